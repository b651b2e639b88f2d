"""What the brokers say of topics: which there are, who leads them, their ids and their ends.

A topic that is deleted and made anew has the same name and other records at its offsets; only its
id tells. aiokafka 0.14 asks for metadata by version 5, and ids come with version 10 (Kafka 2.8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from uuid import UUID

from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, OffsetResetStrategy
from aiokafka.errors import (
    LeaderNotAvailableError,
    NoError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest_v5
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

#: (topic, partition)
PartitionId = tuple[str, int]

_NONE = UUID(int=0)


class _Uuid(AbstractType[UUID]):
    """Kafka's UUID: 16 bytes."""

    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


class _Answer(Response):
    """Metadata of version 10."""

    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _Question(RequestStruct):
    """Request of metadata of version 10."""

    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields)
            ),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _TopicsRequest(Request[MetadataRequest_v5 | _Question]):
    """Asks for topics by their names, by the newest of both versions that the broker knows."""

    API_KEY = 3

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def build(
        self, request_struct_class: type[MetadataRequest_v5 | _Question]
    ) -> MetadataRequest_v5 | _Question:
        if request_struct_class is _Question:
            rows: list[tuple[UUID, str, dict[int, bytes]]]
            rows = [(_NONE, name, {}) for name in self._names]
            return _Question(rows, False, False, False, {})
        return MetadataRequest_v5(list(self._names), False)


@dataclass(frozen=True)
class TopicMetadata:
    """A topic that exists. `id` is empty where the brokers are too old to tell.

    `leaders` holds the broker that leads each partition, -1 where there is none.
    """

    id: str
    leaders: Mapping[int, int]


async def topic_metadata(client: AIOKafkaClient, names: Sequence[str]) -> dict[str, TopicMetadata]:
    """Return what a broker knows of topics; one that does not exist is left out.

    Raises:
        KafkaError: no broker answers, or one refuses.
    """
    answer: Any = await client.send(client.get_random_node(), _TopicsRequest(names))
    found = {}
    for row in answer.to_object()["topics"]:
        error = for_code(row["error_code"])
        if error is UnknownTopicOrPartitionError:
            continue
        if error not in {NoError, LeaderNotAvailableError}:
            raise error(row["topic"])
        topic_id = row.get("topic_id", _NONE)
        leaders = {part["partition"]: part["leader"] for part in row["partitions"]}
        found[row["topic"]] = TopicMetadata(topic_id.hex if topic_id != _NONE else "", leaders)
    return found


async def stable_ends(
    client: AIOKafkaClient, partitions: Iterable[PartitionId], facts: Mapping[str, TopicMetadata]
) -> dict[PartitionId, int]:
    """Return the last stable offsets of partitions, of those whose leaders tell it.

    Raises:
        KafkaError: a leader does not answer.
    """
    return await ends_of(client, partitions, facts, READ_COMMITTED)


async def ends_of(
    client: AIOKafkaClient,
    partitions: Iterable[PartitionId],
    facts: Mapping[str, TopicMetadata],
    isolation: int = READ_UNCOMMITTED,
) -> dict[PartitionId, int]:
    """Return the ends of partitions, with what is in open transactions, as `stable_ends` does."""
    asked: dict[int, dict[str, list[tuple[int, int]]]] = {}
    for topic, number in partitions:
        leader = facts[topic].leaders.get(number, -1) if topic in facts else -1
        if leader >= 0:
            rows = asked.setdefault(leader, {}).setdefault(topic, [])
            rows.append((number, OffsetResetStrategy.LATEST))
    ends = {}
    for leader, topics in asked.items():
        request = OffsetRequest(-1, isolation, list(topics.items()))
        answer: Any = await client.send(leader, request)
        for topic, rows in answer.topics:
            for number, code, *_, offset in rows:
                if not code:
                    ends[topic, number] = offset
    return ends
