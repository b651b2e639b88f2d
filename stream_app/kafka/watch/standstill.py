"""Finds partitions that stand still: they have records, do not advance, and nothing is in the way.

These are in the way: a broker that is away, a rebalance, a state that is being read, a partition
without a leader, a full buffer, an open transaction (see `withheld.py`). Time is added up in
limited steps from look to look, so that a suspended worker does not take its pause for a
standstill.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from faust.types import TP

from stream_app.domain.errors import StreamAppError
from stream_app.kafka.records.fetch_states import Fetched
from stream_app.logs import get_logger

log = get_logger(__name__)

#: Most that one step counts: after a longer pause the worker itself was suspended.
MAX_STEP_SECONDS = 2.0


@dataclass(frozen=True)
class Patience:
    """How long a partition may stand still before the worker is not ready, and before it ends."""

    not_ready_seconds: float
    end_seconds: float


#: Records that are not fetched: a fetch waits for nothing.
UNREAD = Patience(30.0, 180.0)
#: Fetched records wait for a flush, which may wait for the broker or the configuration.
UNDONE = Patience(120.0, 600.0)


@dataclass
class _Unfinished:
    """A partition with records that are not done; `place` changes whenever it advances."""

    place: tuple[int | None, int, int]
    patience: Patience
    offset: int
    end: int
    seconds: float = 0.0


class WatchedConsumer(Protocol):
    """What the consumer tells: how far its partitions are fetched and done."""

    @property
    def start_positions(self) -> Mapping[TP, int]:
        """The offset at which it started with each of its current partitions."""

    def fetched(self) -> Mapping[TP, Fetched] | None:
        """Return how far each partition is fetched; None without an assignment."""

    def done_to(self, tp: TP) -> int:
        """Return the offset before which everything in a partition is done."""

    def is_full(self, tp: TP) -> bool:
        """Tell whether a partition is not fetched because its topic's buffer is full."""


class WatchedLoop(Protocol):
    """What an agent's flush loop tells: how much it has done."""

    @property
    def topics(self) -> Sequence[str]:
        """The topics that it reads."""

    @property
    def done(self) -> Mapping[str, int]:
        """Records that are done, by topic."""


class WatchedApp(Protocol):
    """What the watch needs of the worker's app."""

    started: bool
    rebalancing: bool

    @property
    def consumer(self) -> WatchedConsumer | None:
        """The consumer; None before there is one."""

    @property
    def flush_loops(self) -> Sequence[WatchedLoop]:
        """The loops of the agents."""

    def fail(self, error: BaseException) -> None:
        """End the process with `error`."""


class Standstill:
    """Measures for how long each partition has stood still; `look` is called regularly.

    Args:
        app: its consumer and flush loops tell how far the partitions are.
        ends: returns the ends that the leaders have told lately. Partitions whose leader is silent
            are missing and are not judged.
        clock: seconds, as `time.monotonic`.
    """

    def __init__(
        self,
        app: WatchedApp,
        ends: Callable[[], Mapping[TP, int]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._ends = ends
        self._clock = clock
        self._loops = {topic: loop for loop in app.flush_loops for topic in loop.topics}
        self._unfinished: dict[TP, _Unfinished] = {}
        self._reported: set[TP] = set()
        self._last_look = clock()
        self._is_known = False

    def look(self, *, is_held_up: bool) -> None:
        """Look at all partitions; end the worker if one has stood still for too long.

        Args:
            is_held_up: the broker or the configuration is away, and any partition may wait for it.
        """
        now = self._clock()
        step, self._last_look = min(now - self._last_look, MAX_STEP_SECONDS), now
        app = self._app
        consumer = app.consumer if app.started and not app.rebalancing else None
        self._is_known = consumer is not None
        if consumer is None:
            self._unfinished.clear()
            return
        ends, found = self._ends(), {}
        for tp, fetched in (consumer.fetched() or {}).items():
            if tp not in consumer.start_positions or tp not in ends:
                continue
            if (one := self._unfinished_at(tp, fetched, consumer.done_to(tp), ends[tp])) is None:
                continue
            before = self._unfinished.get(tp)
            if before is not None and before.place == one.place:
                is_full = one.patience is UNREAD and consumer.is_full(tp)
                one.seconds = before.seconds + (0.0 if is_held_up or is_full else step)
            found[tp] = one
        self._unfinished = found
        self._report()

    def _unfinished_at(self, tp: TP, fetched: Fetched, done: int, end: int) -> _Unfinished | None:
        """Return where a partition is; None if all of it is done."""
        if done >= end:
            return None
        position = fetched.position
        if position is None or position < end:
            place = (position, 0, 0)
            return _Unfinished(place, UNREAD, done if position is None else position, end)
        place = (position, done, self._loops[tp.topic].done[tp.topic])
        return _Unfinished(place, UNDONE, done, end)

    def _report(self) -> None:
        """Log partitions that have begun to stand still; end the worker for one that lasts."""
        standing = self._standing()
        for tp in standing.keys() - self._reported:
            one = standing[tp]
            log.error(
                "partition_stands_still", topic=tp.topic, partition=tp.partition,
                offset=one.offset, end=one.end, seconds=round(one.seconds),
            )  # fmt: skip
        self._reported = set(standing)
        for tp, one in standing.items():
            if one.seconds >= one.patience.end_seconds:
                self._app.fail(
                    StreamAppError(
                        f"{_text(tp, one)}. The worker cannot go on; nothing unfinished was "
                        "acknowledged, start it again"
                    )
                )
                return

    def _standing(self) -> dict[TP, _Unfinished]:
        return {
            tp: one
            for tp, one in self._unfinished.items()
            if one.seconds >= one.patience.not_ready_seconds
        }

    def failure(self) -> str | None:
        """Return which partitions stand still; None if none does."""
        standing = self._standing()
        return "; ".join(_text(tp, standing[tp]) for tp in sorted(standing)) or None

    def counts(self) -> Counter[str] | None:
        """Return how many partitions of each topic stand still; None if that is not known now."""
        return Counter(tp.topic for tp in self._standing()) if self._is_known else None


def _text(tp: TP, one: _Unfinished) -> str:
    return (
        f"{tp.topic} partition {tp.partition} stands still at offset {one.offset} for "
        f"{one.seconds:.0f} s, though it goes to {one.end}"
    )
