"""Compares the partition counts of topics with those of states: topics may get more partitions.

A state has a part for each partition of its topic. When the topic has got more, the next start of a
worker gives its changelog as many, and the new partitions are read from their first record. Running
workers notice it within seconds (`watch/topic_watch.py`) and end, so that they are started again.
The `FIXED_TOPICS` must keep the number that they have.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from stream_app.domain.errors import TopicGrownError, TopicMismatchError
from stream_app.domain.topics import FIXED_TOPICS, Role
from stream_app.kafka.cluster.admin import Admin, partition_counts
from stream_app.kafka.cluster.other_prefixes import require_topics
from stream_app.kafka.cluster.topic_creation import make_topics, raise_partitions
from stream_app.kafka.cluster.topics import (
    CONFIG_TOPICS,
    DEAD_LETTER_SOURCES,
    Topic,
    TopicNames,
    TopicSpec,
)
from stream_app.kafka.configuration.records import several_partitions
from stream_app.kafka.state.changelog_settings import ensure_broker_clock, ensure_packed
from stream_app.kafka.state.packed_table import PackedTable
from stream_app.kafka.state.state_table import StateTable
from stream_app.logs import get_logger
from stream_app.settings import Settings

log = get_logger(__name__)


class SourceConsumer(Protocol):
    """The consumer of a worker's topics."""

    def topic_partitions(self, topic: str) -> int | None:
        """Return how many partitions a topic has now; None if that is not known."""


class StatefulApp(Protocol):
    """The app that keeps the states."""

    role: Role
    settings: Settings
    started: bool
    state_tables: Sequence[StateTable[Any]]

    @property
    def consumer(self) -> SourceConsumer | None:
        """The app's consumer; None before there is one."""


async def source_partitions(
    settings: Settings, topics: Sequence[Topic], outputs: Sequence[Topic] = ()
) -> dict[Topic, int]:
    """Return the partition count of each topic.

    Raises:
        TopicMismatchError: a topic, an output, or the dead-letter topic of a topic is missing.
    """
    names = TopicNames(settings.topic_prefix)
    wanted = [names(topic) for topic in (*topics, *outputs)]
    wanted += [names.dead_letters(topic) for topic in topics if topic in DEAD_LETTER_SOURCES]
    counts = await require_topics(settings, wanted)
    return {topic: counts[names(topic)] for topic in topics}


async def prepare_changelogs(settings: Settings, app: StatefulApp) -> None:
    """Make the missing changelogs, and give the others as many partitions as their source topics.

    Faust would make them, too, but it does not wait until the brokers know them, and then leaves
    them out of the assignment.

    Raises:
        TopicMismatchError: a topic has other partitions than its state was kept for, and more for
            the changelog do not help.
        StreamAppError: the broker refuses a changelog.
    """
    async with Admin(settings) as client:
        changelogs = [table.changelog_topic_name for table in app.state_tables]
        counts = await partition_counts(client, changelogs)
        await raise_partitions(client, _grown(app, counts))
        missing = [
            TopicSpec(table.changelog_topic_name, table.partitions, "state", table.config)
            for table in app.state_tables
            if table.changelog_topic_name not in counts
        ]
        await make_topics(client, missing, settings.kafka.replication_factor)
        await ensure_broker_clock(client, changelogs)
        packed = [table for table in app.state_tables if isinstance(table, PackedTable)]
        await ensure_packed(client, [table.changelog_topic_name for table in packed])


def _grown(app: StatefulApp, counts: Mapping[str, int]) -> dict[str, int]:
    """Return the changelogs whose topics have got more partitions, and how many these have.

    Raises:
        TopicMismatchError: a changelog does not fit its topic, and cannot be made to.
    """
    grown = {}
    for table in app.state_tables:
        changelog, wanted = table.changelog_topic_name, table.partitions
        found = counts.get(changelog, wanted)
        sources = ", ".join(sorted(table.source_topics))
        if found > wanted:
            raise TopicMismatchError(
                changelog_grown(
                    app.settings, app.role, changelog, found, table.source_topics, wanted
                )
            )
        if found < wanted:
            if is_fixed(app.settings, table.source_topics):
                raise _mismatch(app, sources, wanted, found)
            log.warning("state_grows", changelog=changelog, had=found, has=wanted)
            grown[changelog] = wanted
    return grown


def is_fixed(settings: Settings, topics: Collection[str]) -> bool:
    """Tell whether a state depends on the number of partitions of one of these topics."""
    return not frozenset(topics).isdisjoint(map(TopicNames(settings.topic_prefix), FIXED_TOPICS))


def changelog_grown(
    settings: Settings, role: Role, changelog: str, found: int, topics: Collection[str], kept: int
) -> str:
    """Say that somebody has given a changelog more partitions than its topics have.

    A topic that must not grow would fit again, and its state would be read for other keys.
    """
    sources = ", ".join(sorted(topics))
    grow = f"give {sources} {found} partitions, too (kafka-topics --alter), or "
    step = "" if is_fixed(settings, topics) else grow
    step += f"stop all workers of this role and run 'stream-app state reset {role} --yes'"
    return (
        f"{changelog} has {found} partitions, but {sources} {kept}: only changelogs of topics with "
        f"as many can be read. {step[0].upper()}{step[1:]}"
    )


def topic_grown(topic: str, found: int, kept: int) -> TopicGrownError:
    """Return the error of a running worker whose topic has got more partitions."""
    return TopicGrownError(
        f"topic {topic} had {kept} partitions and has {found} now: the worker ends. Start it again "
        "(a supervisor does), and it reads the new ones from their first record"
    )


def check_growth(app: StatefulApp) -> None:
    """Check that no topic has got more partitions since the worker started.

    Raises:
        TopicGrownError: one has; the next start reads its new partitions.
        TopicMismatchError: one has that must not.
    """
    if not app.started or app.consumer is None:
        return
    for table in app.state_tables:
        for topic in sorted(table.source_topics):
            found = app.consumer.topic_partitions(topic)
            if found is not None and found > table.partitions:
                if is_fixed(app.settings, [topic]):
                    raise _mismatch(app, topic, found, table.partitions)
                raise topic_grown(topic, found, table.partitions)


def _mismatch(app: StatefulApp, topic: str, partitions: int, kept: int) -> TopicMismatchError:
    if topic in map(TopicNames(app.settings.topic_prefix), CONFIG_TOPICS):
        return several_partitions(topic, partitions)
    return TopicMismatchError(
        f"{topic} has {partitions} partitions, but its state was kept for {kept}: stop all "
        f"workers of this role and run 'stream-app state reset {app.role} --yes'"
    )
