"""Checks whether the state of each role is there and fits the topics that it was made from."""

from __future__ import annotations

from dataclasses import dataclass

from stream_app.kafka.cluster.admin import Admin, partition_counts
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


@dataclass(frozen=True)
class StateProblem:
    """What is wrong with a role's state. A reset helps."""

    role: str
    problem: str


async def state_problems(settings: Settings) -> tuple[int, list[StateProblem]]:
    """Return how many changelogs there are, and the problems of the states kept in them."""
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
        for table, topic in tables.items():
            log, source = f"{app_id_of(settings, role)}-{table}-changelog", names(topic)
            if log not in counts or source not in counts:
                continue
            changelogs += 1
            if counts[log] != counts[source]:
                misfit = (
                    f"{source} has {counts[source]} partitions, but the state of the {role} is "
                    f"kept for {counts[log]}: what is in the others is not read, and no {role} "
                    "starts"
                )
                problems.append(StateProblem(role, misfit))
        for name, what in (await changed_topics(settings, role)).items():
            if is_changelog(name, role):
                lost = f"{name} {what}: the state of the {role} that was kept in it is lost"
                problems.append(StateProblem(role, lost))
            elif what != GONE:  # a missing source topic is reported elsewhere
                outdated = f"{name} {what}: the state of the {role} is of the topic before"
                problems.append(StateProblem(role, outdated))
    return changelogs, problems
