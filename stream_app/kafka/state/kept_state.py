"""Whether the state that each role keeps is there, and fits the topics that it is kept of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stream_app.kafka.cluster.admin import Admin, partition_counts
from stream_app.kafka.cluster.topics import TOPIC_OF_KIND, Topic, TopicNames
from stream_app.kafka.state.known_topics import GONE, app_id_of, changed_topics, is_changelog
from stream_app.settings import Settings

#: Role -> table -> topic that it keeps a state of: their partitions must be equal.
TABLES = {
    "detector": {
        **{f"cells-{kind}": topic for kind, topic in TOPIC_OF_KIND.items()},
        "windows": Topic.COUNTS,
        "matched": Topic.ACCOUNT,
        "announced": Topic.TRIGGERS,
    },
    "notifier": {"routed": Topic.ALERTS, "deliveries": Topic.DELIVERIES},
}


@dataclass(frozen=True)
class KeptState:
    """What is wrong with a role's state; a reset helps."""

    role: str
    problem: str


async def state_problems(settings: Settings) -> tuple[int, list[KeptState]]:
    """Return how many changelogs there are, and what is wrong with the states."""
    async with Admin(settings) as client:
        counts = await partition_counts(client)
    found, problems = 0, []
    for role, tables in TABLES.items():
        fits = _fits(settings, role, tables, counts)
        found += len(fits)
        problems += [KeptState(role, problem) for problem in fits if problem]
        for topic, what in (await changed_topics(settings, role)).items():
            if is_changelog(topic, role):
                lost = f"{topic} {what}: the state of the {role} that was kept in it is lost"
                problems.append(KeptState(role, lost))
            elif what != GONE:  # that a topic is missing is told without its state
                of = f"{topic} {what}: the state of the {role} is of the topic before"
                problems.append(KeptState(role, of))
    return found, problems


def _fits(
    settings: Settings, role: str, tables: Mapping[str, Topic], counts: Mapping[str, int]
) -> list[str]:
    """Return what is wrong with each changelog that is there; empty where nothing is."""
    names, found = TopicNames(settings.topic_prefix), []
    for table, topic in tables.items():
        log, source = f"{app_id_of(settings, role)}-{table}-changelog", names(topic)
        if log not in counts or source not in counts:
            continue
        found.append(
            f"{source} has {counts[source]} partitions, but the state of the {role} is kept for "
            f"{counts[log]}: what is in the others is not read, and no {role} starts"
            if counts[log] != counts[source]
            else ""
        )
    return found
