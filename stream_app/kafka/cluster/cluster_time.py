"""The cluster's time, asked for without writing anything.

Kafka has no request for it. But the answer to the one about the controllers' quorum has, of the
active controller itself, when it last knew all there is: that is the moment of the answer. Before
Kafka 3.3, in clusters with ZooKeeper, and without the right to describe the cluster, there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

#: The topic and its one partition that the controllers keep.
METADATA = "__cluster_metadata"


class ClockReading(NamedTuple):
    """A time of the cluster's, Unix ms, and one of this machine's clocks before and after it."""

    before_ms: int
    stamp_ms: int
    after_ms: int

    @property
    def ahead_seconds(self) -> float:
        """By how much this machine's clock is ahead, at least; behind: below 0."""
        ahead_ms = max(self.before_ms - self.stamp_ms, 0) or min(self.after_ms - self.stamp_ms, 0)
        return ahead_ms / 1000


async def cluster_time(client: Any, clock_ms: Callable[[], int]) -> ClockReading | None:
    """Ask for the time; None: this cluster does not tell it.

    Args:
        client: aiokafka's admin client.
        clock_ms: the clock to hold it against.
    """
    before_ms = clock_ms()
    try:
        answer = await client._send_request(_DescribeQuorum())  # noqa: SLF001 - it has no such call
    except (KafkaError, NotImplementedError):
        return None
    after_ms = clock_ms()
    # Where it is refused there are none.
    for _, partitions, _ in answer.topics or ():
        for _, error, leader, _, _, voters, *_ in partitions or ():
            for replica, _, _, caught_up_ms, _ in voters or ():
                if not error and replica == leader and caught_up_ms > 0:
                    return ClockReading(before_ms, caught_up_ms, after_ms)
    return None


_REPLICAS = CompactArray(
    ("replica_id", Int32),
    ("log_end_offset", Int64),
    ("last_fetch_timestamp", Int64),
    ("last_caught_up_timestamp", Int64),
    ("tags", TaggedFields),
)


class _QuorumResponse(Response):
    API_KEY = 55
    API_VERSION = 1
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "topics",
            CompactArray(
                ("topic_name", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition_index", Int32),
                        ("error_code", Int16),
                        ("leader_id", Int32),
                        ("leader_epoch", Int32),
                        ("high_watermark", Int64),
                        ("current_voters", _REPLICAS),
                        ("observers", _REPLICAS),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _QuorumRequest(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 55
    API_VERSION = 1
    RESPONSE_TYPE = _QuorumResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic_name", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(("partition_index", Int32), ("tags", TaggedFields)),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _DescribeQuorum(Request[_QuorumRequest]):
    API_KEY = 55

    def build(self, request_struct_class: type[_QuorumRequest]) -> _QuorumRequest:
        return request_struct_class([(METADATA, [(0, {})], {})], {})
