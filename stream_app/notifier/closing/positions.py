"""How far the groups are, and where their topics end, as the brokers tell it now."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NamedTuple

from stream_app.domain.topics import EVENT_TOPICS, Topic
from stream_app.kafka.cluster.admin import Admin
from stream_app.kafka.cluster.groups import committed_offsets
from stream_app.kafka.cluster.topic_metadata import ends_of, stable_ends, topic_metadata
from stream_app.kafka.cluster.topics import TopicNames
from stream_app.notifier.closing.barrier import PartitionEnd, Passage

if TYPE_CHECKING:
    from stream_app.kafka.brokers.admin_client import ClusterAdminClient
    from stream_app.kafka.cluster.topic_metadata import PartitionId
    from stream_app.settings import Settings

#: If no broker answers within this time, the question is asked again on a new connection.
ANSWER_SECONDS = 10.0


class GroupPositions(NamedTuple):
    """The offsets that a group has committed, and the ends of its topics, read after them."""

    committed: dict[PartitionId, int]
    ends: dict[PartitionId, PartitionEnd | None]


def way_to_close(names: TopicNames) -> tuple[Passage, ...]:
    """Return the way from an event to a delivery."""
    detector, notifier = names.group("detector"), names.group("notifier")
    return (
        Passage(tuple(names(topic) for topic in EVENT_TOPICS), detector),
        Passage((names(Topic.COUNTS),), detector),
        Passage((names(Topic.ALERTS),), notifier),
        Passage((names(Topic.DELIVERIES), names(Topic.RESULTS)), notifier),
    )


class Cluster:
    """Reads the positions of passages, on a connection that lasts only while something is asked."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: ClusterAdminClient | None = None
        self._connection = AsyncExitStack()

    async def positions(self, passage: Passage) -> GroupPositions:
        """Ask the brokers; connect first if there is no connection.

        Raises:
            KafkaUnreachableError: none answers.
            KafkaRefusedError: one refuses the sign-in, or the user lacks a right.
            StreamAppError: one refuses.
        """
        if self._client is None:
            self._client = await self._connection.enter_async_context(Admin(self._settings))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await read_positions(self._client, passage)
        except BaseException as error:
            self._client = None
            await self._connection.__aexit__(type(error), error, error.__traceback__)
            raise

    async def close(self) -> None:
        """Disconnect."""
        self._client = None
        await self._connection.aclose()


async def read_positions(client: ClusterAdminClient, passage: Passage) -> GroupPositions:
    """Ask the brokers.

    Raises:
        KafkaError: one does not answer, or refuses.
    """
    cluster = client.kafka
    facts = await topic_metadata(cluster, passage.topics)
    places = [(topic, number) for topic, fact in facts.items() for number in fact.leaders]
    committed = await committed_offsets(client, passage.group, places)
    # In this order, so that records written in between do not count as held back.
    log_ends = await ends_of(cluster, places, facts)
    stable = await stable_ends(cluster, places, facts)
    ends = {
        place: PartitionEnd(
            min(stable[place], log_ends[place]), log_ends[place], facts[place[0]].id
        )
        if place in stable and place in log_ends
        else None
        for place in places
    }
    return GroupPositions(committed, ends)
