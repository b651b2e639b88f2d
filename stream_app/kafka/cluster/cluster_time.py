"""The cluster's time, asked for without writing anything.

Kafka has no request for its time. But in the answer about the controllers' quorum, the time at
which the active controller itself was last up to date is the time of the answer. There is none
before Kafka 3.3, in clusters with ZooKeeper, and without the right to describe the cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError

from stream_app.kafka.cluster.requests import DescribeQuorum


class ClockReading(NamedTuple):
    """A time of the cluster, Unix ms, and times of a clock of this machine before and after it."""

    before_ms: int
    stamp_ms: int
    after_ms: int

    @property
    def ahead_seconds(self) -> float:
        """By how much this machine's clock is ahead, at least; below 0 if it is behind."""
        ahead_ms = max(self.before_ms - self.stamp_ms, 0) or min(self.after_ms - self.stamp_ms, 0)
        return ahead_ms / 1000


async def cluster_time(client: Any, clock_ms: Callable[[], int]) -> ClockReading | None:
    """Ask for the time; None: this cluster does not tell it.

    Args:
        client: aiokafka's admin client.
        clock_ms: the clock to compare it with.
    """
    before_ms = clock_ms()
    try:
        answer = await client._send_request(DescribeQuorum())  # noqa: SLF001 - it has no such call
    except (KafkaError, NotImplementedError):
        return None
    after_ms = clock_ms()
    # A broker that refuses answers without topics.
    for _, partitions, _ in answer.topics or ():
        for _, error, leader, _, _, voters, *_ in partitions or ():
            for replica, _, _, caught_up_ms, _ in voters or ():
                if not error and replica == leader and caught_up_ms > 0:
                    return ClockReading(before_ms, caught_up_ms, after_ms)
    return None
