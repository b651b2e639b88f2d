"""Checks whether the state of each role is there and fits the topics that it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stream_app.domain.topics import FIXED_TOPICS
from stream_app.kafka.cluster.admin import Admin, partition_counts
from stream_app.kafka.cluster.connection import resolve_bootstrap
from stream_app.kafka.cluster.topics import TOPIC_OF_KIND, Topic, TopicNames
from stream_app.kafka.state.topic_ids import GONE, app_id_of, changed_topics, is_changelog
from stream_app.settings import Settings

#: Role -> table -> the source topic of its state: both must have the same number of partitions.
TABLES = {
    "detector": {
        **{f"cells-{kind}": topic for kind, topic in TOPIC_OF_KIND.items()},
        "windows": Topic.COUNTS,
        "matched": Topic.ACCOUNT,
        "announced": Topic.TRIGGERS,
    },
    "notifier": {"routed": Topic.ALERTS, "deliveries": Topic.DELIVERIES},
}


def source_of(settings: Settings, role: str, changelog: str) -> str:
    """Return the full name of the topic that the state in a changelog is for."""
    table = changelog.removeprefix(f"{app_id_of(settings, role)}-").removesuffix("-changelog")
    return TopicNames(settings.topic_prefix)(TABLES[role][table])


@dataclass(frozen=True)
class StateProblem:
    """What is wrong with a role's state, and what helps."""

    role: str
    problem: str
    remedy: str


async def state_problems(settings: Settings) -> tuple[int, list[StateProblem]]:
    """Return how many changelogs there are, and the problems of the states kept in them.

    Raises:
        NewerFormatError: a newer version keeps one of the states.
    """
    names = TopicNames(settings.topic_prefix)
    asked = [
        name
        for role, tables in TABLES.items()
        for table, topic in tables.items()
        for name in (f"{app_id_of(settings, role)}-{table}-changelog", names(topic))
    ]
    async with Admin(settings) as client:
        counts = await partition_counts(client, asked)
    changelogs, problems = 0, []
    for role, tables in TABLES.items():
        reset = f"stop every {role}, then: stream-app state reset {role} --yes"
        for table, topic in tables.items():
            log, source = f"{app_id_of(settings, role)}-{table}-changelog", names(topic)
            if log not in counts or source not in counts:
                continue
            changelogs += 1
            if counts[log] != counts[source]:
                problem, remedy = _misfit(settings, role, log, topic, counts)
                problems.append(StateProblem(role, problem, remedy or reset))
        for name, what in (await changed_topics(settings, role, require_states=True)).items():
            if is_changelog(name, role):
                lost = f"{name} {what}: the state of the {role} that was kept in it is lost"
                problems.append(StateProblem(role, lost, reset))
            elif what != GONE:  # a missing source topic is reported elsewhere
                outdated = f"{name} {what}: the state of the {role} is of the topic before"
                problems.append(StateProblem(role, outdated, reset))
    return changelogs, problems


def _misfit(
    settings: Settings, role: str, changelog: str, topic: Topic, counts: Mapping[str, int]
) -> tuple[str, str | None]:
    """Return what is wrong with a changelog that does not fit its topic, and what helps.

    None: a reset helps.
    """
    source = TopicNames(settings.topic_prefix)(topic)
    has, kept = counts[source], counts[changelog]
    if kept > has:
        servers = f"--bootstrap-server {resolve_bootstrap(settings)}"
        problem = f"{changelog} has {kept} partitions, but {source} has {has}: no {role} starts"
        if topic in FIXED_TOPICS:
            # With as many partitions its keys would be in others than their states.
            return problem, None
        return problem, f"kafka-topics {servers} --alter --topic {source} --partitions {kept}"
    state = f"{source} has {has} partitions, but the state of the {role} is kept for {kept}"
    if topic in FIXED_TOPICS:
        return f"{state}: what is in the others is not read, and no {role} starts", None
    remedy = f"start every {role} again, unless its supervisor does: stream-app worker {role}"
    return f"{state}: what is in the others is not read before its next start", remedy
