"""Compares the partition counts of topics with those of states: topics may get more partitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from stream_app.domain.errors import TopicMismatchError
from stream_app.domain.topics import Role
from stream_app.kafka.cluster.admin import Admin, make_topics, partition_counts
from stream_app.kafka.cluster.broker_clock import BrokerClock
from stream_app.kafka.cluster.other_prefixes import missing_topics_error
from stream_app.kafka.cluster.topics import (
    CONFIG_TOPICS,
    DEAD_LETTER_SOURCES,
    Topic,
    TopicNames,
    TopicSpec,
)
from stream_app.kafka.configuration.records import several_partitions
from stream_app.kafka.state.changelog_settings import ensure_broker_clock
from stream_app.kafka.state.packed_changelogs import prepare_packed_changelogs
from stream_app.kafka.state.packed_table import PackedTable
from stream_app.kafka.state.state_table import StateTable
from stream_app.settings import Settings


class SourceConsumer(Protocol):
    """The consumer of a worker's topics."""

    def topic_partitions(self, topic: str) -> int | None:
        """Return how many partitions a topic has now; None if that is not known."""


class StatefulApp(Protocol):
    """The app that keeps the states."""

    role: Role
    settings: Settings
    clock: BrokerClock
    started: bool
    state_tables: Sequence[StateTable[Any]]
    packed_tables: Sequence[PackedTable[Any]]

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
    async with Admin(settings) as client:
        counts = await partition_counts(client, wanted)
    missing = [name for name in wanted if name not in counts]
    if missing:
        raise await missing_topics_error(settings, missing)
    return {topic: counts[names(topic)] for topic in topics}


async def prepare_changelogs(settings: Settings, app: StatefulApp) -> None:
    """Make the missing changelogs, and compare the others with their source topics.

    Faust would make them, too, but it does not wait until the brokers know them, and then leaves
    them out of the assignment.

    Raises:
        TopicMismatchError: a topic has other partitions than its state was kept for.
        StreamAppError: the broker refuses a changelog.
    """
    async with Admin(settings) as client:
        changelogs = [table.changelog_topic_name for table in app.state_tables]
        counts = await partition_counts(client, changelogs)
        for table in app.state_tables:
            found = counts.get(table.changelog_topic_name)
            if found is not None and found != table.partitions:
                sources = ", ".join(sorted(table.source_topics))
                raise _mismatch(app, sources, table.partitions, found)
        missing = [
            TopicSpec(table.changelog_topic_name, table.partitions, "state", table.config)
            for table in app.state_tables
            if table.changelog_topic_name not in counts
        ]
        await make_topics(client, missing, settings.kafka.replication_factor)
        await ensure_broker_clock(client, changelogs)
        await prepare_packed_changelogs(settings, client, app.packed_tables, app.clock)


def check_growth(app: StatefulApp) -> None:
    """Check that no topic has got more partitions since the worker started.

    Raises:
        TopicMismatchError: one has; the records of its new partitions are not read.
    """
    if not app.started or app.consumer is None:
        return
    for table in app.state_tables:
        for topic in sorted(table.source_topics):
            found = app.consumer.topic_partitions(topic)
            if found is not None and found > table.partitions:
                raise _mismatch(app, topic, found, table.partitions)


def _mismatch(app: StatefulApp, topic: str, partitions: int, kept: int) -> TopicMismatchError:
    if topic in map(TopicNames(app.settings.topic_prefix), CONFIG_TOPICS):
        return several_partitions(topic, partitions)
    return TopicMismatchError(
        f"{topic} has {partitions} partitions, but its state was kept for {kept}: stop all "
        f"workers of this role and run 'stream-app state reset {app.role} --yes'"
    )
