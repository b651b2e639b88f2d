"""How far the groups are, and where their topics end, as the brokers tell it now."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from stream_app.domain.topics import EVENT_TOPICS, Topic
from stream_app.kafka.cluster.groups import committed_offsets
from stream_app.kafka.cluster.topic_metadata import ends_of, stable_ends, topic_metadata
from stream_app.kafka.cluster.topics import TopicNames
from stream_app.notifier.closing.barrier import PartitionEnd, Passage

if TYPE_CHECKING:
    from stream_app.kafka.brokers.admin_client import ClusterAdminClient
    from stream_app.kafka.cluster.topic_metadata import PartitionId


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
