"""The brokers' time as a worker knows it, since its own clock may be hours off and may be set.

The acknowledgement of a record that a broker has stamped gives a time of the broker between two
times of this machine; so does the answer to `cluster_time`. In between, a clock that nobody sets
counts the time. Brokers' stamps decide which records count, when windows end and what is due, so a
worker must compare them with the same clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka.errors import KafkaError

from stream_app.domain.errors import StreamAppError
from stream_app.kafka.cluster.admin import Admin
from stream_app.kafka.cluster.requests import DescribeQuorum
from stream_app.logs import get_logger

if TYPE_CHECKING:
    from stream_app.settings import Settings

log = get_logger(__name__)

#: A clock that is off by more is reported; a smaller difference changes nothing.
TOLERANCE_SECONDS = 60
ASK_SECONDS = 60.0
#: aiokafka's timestamp type of a record whose time is the broker's.
OF_THE_BROKER = 1


def monotonic_ms() -> int:
    """Return a time in ms that only increases, from an arbitrary beginning."""
    return time.monotonic_ns() // 1_000_000


class ClockReading(NamedTuple):
    """A time of the cluster, Unix ms, and times of a clock of this machine before and after it."""

    before_ms: int
    stamp_ms: int
    after_ms: int

    @property
    def ahead_seconds(self) -> float:
        """How far this machine's clock is ahead, at least; below 0 if it is behind."""
        ahead_ms = max(self.before_ms - self.stamp_ms, 0) or min(self.after_ms - self.stamp_ms, 0)
        return ahead_ms / 1000


class BrokerClock:
    """Tells the brokers' time, or this machine's until that is known.

    Args:
        wall_ms: this machine's clock, Unix ms.
        steady_ms: a clock with any beginning that is never set.
    """

    def __init__(
        self,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        steady_ms: Callable[[], int] = monotonic_ms,
    ) -> None:
        self.steady_ms = steady_ms
        self._wall_ms = wall_ms
        #: The brokers' time minus the steady one; None if not known.
        self._offset_ms: int | None = None
        self._is_off = False

    def now_ms(self) -> int:
        """Return the time, Unix ms."""
        if self._offset_ms is None:
            return self._wall_ms()
        return self.steady_ms() + self._offset_ms

    @property
    def ahead_seconds(self) -> float | None:
        """How far this machine's clock is ahead of the brokers'; None if not known."""
        if self._offset_ms is None:
            return None
        return (self._wall_ms() - self.now_ms()) / 1000

    def note(self, stamp: ClockReading) -> None:
        """Move the offset just as far as a broker's time between two of `steady_ms` requires."""
        earliest, latest = stamp.stamp_ms - stamp.after_ms, stamp.stamp_ms - stamp.before_ms
        if self._offset_ms is None:
            self._offset_ms = self._wall_ms() - self.steady_ms()
        self._offset_ms = min(max(self._offset_ms, earliest), latest)
        self._report()

    def note_sent(self, before_ms: int, metadata: Any) -> None:
        """Take the acknowledgement of a record that was sent after this time of `steady_ms`."""
        if metadata.timestamp_type == OF_THE_BROKER and metadata.timestamp > 0:
            self.note(ClockReading(before_ms, metadata.timestamp, self.steady_ms()))

    def _report(self) -> None:
        """Log when this machine's clock becomes wrong, and when it is right again."""
        ahead = self.ahead_seconds or 0.0
        is_off = abs(ahead) > TOLERANCE_SECONDS
        if is_off and not self._is_off:
            log.error("clock_off", **difference(ahead), then="set it by NTP")
        elif self._is_off and not is_off:
            log.info("clock_right")
        self._is_off = is_off


async def cluster_time(client: Any, clock_ms: Callable[[], int]) -> ClockReading | None:
    """Ask the cluster for its time, without writing anything; None: it does not say.

    Kafka has no request for its time. But in the answer about the controllers' quorum, the time at
    which the active controller itself was last up to date is the time of the answer. There is none
    before Kafka 3.3, in clusters with ZooKeeper, and without the right to describe the cluster.

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


async def read_time(settings: Settings, clock: BrokerClock) -> None:
    """Ask the cluster for its time, before any record tells it.

    Raises:
        KafkaUnreachableError: no broker answers.
    """
    async with Admin(settings) as client:
        stamp = await cluster_time(client, clock.steady_ms)
    if stamp is not None:
        clock.note(stamp)


async def watch_time(settings: Settings, clock: BrokerClock) -> None:
    """Ask again now and then: a clock may be set while a worker writes nothing for long."""
    while True:
        await asyncio.sleep(ASK_SECONDS)
        with contextlib.suppress(StreamAppError, KafkaError, OSError):
            await read_time(settings, clock)


def difference(ahead_seconds: float) -> dict[str, int]:
    """Return how far a clock is off, as a field of a log line."""
    way = "seconds_ahead" if ahead_seconds > 0 else "seconds_behind"
    return {way: round(abs(ahead_seconds))}
