"""What the brokers say about topics: which exist, their ids, who leads them, and where they end.

A topic that is deleted and made anew has the same name and other records at its offsets; only its
id differs. Brokers report ids since Kafka 2.8.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, OffsetResetStrategy
from aiokafka.errors import (
    LeaderNotAvailableError,
    NoError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.offset import OffsetRequest

from stream_app.kafka.brokers.cluster_client import ask_any
from stream_app.kafka.cluster.requests import NO_ID, DescribeTopics

#: (topic, partition); aiokafka's `TopicPartition` and Faust's `TP` are such tuples, too.
PartitionId = tuple[str, int]
#: A broker's answer about each topic, by the protocol's names of its fields.
DescribedTopics = list[dict[str, Any]]


@dataclass(frozen=True)
class TopicMetadata:
    """A topic that exists; `id` is empty if the brokers are too old to report it.

    `leaders` holds the broker that leads each partition, -1 if there is none.
    """

    id: str
    leaders: Mapping[int, int]


async def describe_topics(
    client: AIOKafkaClient, names: Sequence[str], *, with_operations: bool = False
) -> DescribedTopics:
    """Return what a broker says of each topic; one that does not exist has an error code.

    Raises:
        KafkaError: no broker answers.
    """
    asked = DescribeTopics(names, with_operations=with_operations)
    answer: Any = await ask_any(client, asked)
    rows: DescribedTopics = answer.to_object()["topics"]
    return rows


async def topic_metadata(client: AIOKafkaClient, names: Sequence[str]) -> dict[str, TopicMetadata]:
    """Return what a broker knows about topics; one that does not exist is left out.

    Raises:
        KafkaError: no broker answers, or one refuses.
    """
    found = {}
    for row in await describe_topics(client, names):
        error = for_code(row["error_code"])
        if error is UnknownTopicOrPartitionError:
            continue
        if error not in {NoError, LeaderNotAvailableError}:
            raise error(row["topic"])
        topic_id = row.get("topic_id", NO_ID)
        leaders = {part["partition"]: part["leader"] for part in row["partitions"]}
        found[row["topic"]] = TopicMetadata(topic_id.hex if topic_id != NO_ID else "", leaders)
    return found


async def stable_ends(
    client: AIOKafkaClient, partitions: Iterable[PartitionId], facts: Mapping[str, TopicMetadata]
) -> dict[PartitionId, int]:
    """Return the last stable offset of each partition whose leader reports it.

    Raises:
        KafkaError: a leader does not answer.
    """
    return await ends_of(client, partitions, facts, READ_COMMITTED)


async def ends_of(
    client: AIOKafkaClient,
    partitions: Iterable[PartitionId],
    facts: Mapping[str, TopicMetadata],
    isolation: int = READ_UNCOMMITTED,
    which: int = OffsetResetStrategy.LATEST,
) -> dict[PartitionId, int]:
    """Return the end of each partition, open transactions included, as `stable_ends` does.

    With `OffsetResetStrategy.EARLIEST` it returns where each begins.
    """
    asked: dict[int, dict[str, list[tuple[int, int]]]] = {}
    for topic, number in partitions:
        leader = facts[topic].leaders.get(number, -1) if topic in facts else -1
        if leader >= 0:
            rows = asked.setdefault(leader, {}).setdefault(topic, [])
            rows.append((number, which))
    ends = {}
    for leader, topics in asked.items():
        request = OffsetRequest(-1, isolation, list(topics.items()))
        answer: Any = await client.send(leader, request)
        for topic, rows in answer.topics:
            for number, code, *_, offset in rows:
                if not code:
                    ends[topic, number] = offset
    return ends
