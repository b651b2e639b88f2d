"""Ready means moving: finds partitions that have records and do not move, with nothing in the way.

What is in the way is no standstill: a broker that is away, partitions that move or whose state is
read, a partition without a leader, a topic whose buffer is full, an open transaction (`withheld.py`
tells of that). Time counts in small steps between two looks, so that a worker that was stopped does
not take the pause for one.
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

#: A pause between two looks that is longer than this says nothing about the partitions.
MAX_STEP_SECONDS = 2.0


@dataclass(frozen=True)
class Patience:
    """For how long a partition may stand still: until the worker is not ready, and until it ends.

    What is fetched may wait for a flush, and that for the broker or the configuration; a fetch
    waits for nothing.
    """

    not_ready: float
    end: float


UNREAD = Patience(30.0, 180.0)
UNDONE = Patience(120.0, 600.0)


@dataclass
class _Still:
    """A partition that is not at its end; `place` is what changes when it moves."""

    place: tuple[int | None, int, int]
    patience: Patience
    at: int
    end: int
    seconds: float = 0.0


class Fetching(Protocol):
    """The consumer: how far its partitions are."""

    @property
    def start_positions(self) -> Mapping[TP, int]:
        """Where it began with the partitions that it has now."""

    def fetched(self) -> Mapping[TP, Fetched] | None:
        """Return how far each partition is fetched; None: there is no assignment now."""

    def done_to(self, tp: TP) -> int:
        """Return the offset before which everything in a partition is done."""

    def is_full(self, tp: TP) -> bool:
        """Tell whether a partition is not fetched because enough of its topic waits."""


class EventCounts(Protocol):
    """An agent's loop: how much it has done."""

    @property
    def topics(self) -> Sequence[str]:
        """The topics that it reads."""

    @property
    def done(self) -> Mapping[str, int]:
        """Records that are done, by topic."""


class Reading(Protocol):
    """The app of a worker that reads partitions."""

    started: bool
    rebalancing: bool

    @property
    def consumer(self) -> Fetching | None:
        """The consumer; None before there is one."""

    @property
    def flush_loops(self) -> Sequence[EventCounts]:
        """The loops of the agents."""

    def fail(self, error: BaseException) -> None:
        """End the process with `error`."""


class Standstill:
    """Looks at the partitions now and then.

    Args:
        app: its consumer and flush loops tell how far the partitions are.
        ends: returns the ends that the leaders have told lately; a leader that is silent tells
            none, and nothing is said of its partitions.
        clock: seconds, as `time.monotonic`.
    """

    def __init__(
        self,
        app: Reading,
        ends: Callable[[], Mapping[TP, int]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._ends = ends
        self._clock = clock
        self._loops = {topic: loop for loop in app.flush_loops for topic in loop.topics}
        self._still: dict[TP, _Still] = {}
        self._said: set[TP] = set()
        self._last_look = clock()
        self._is_known = False

    def look(self, *, is_held_up: bool) -> None:
        """Bring it up to date; end the worker when a partition has stood still for too long.

        Args:
            is_held_up: the broker or the configuration is away, which all may wait for.
        """
        now = self._clock()
        step, self._last_look = min(now - self._last_look, MAX_STEP_SECONDS), now
        app = self._app
        consumer = app.consumer if app.started and not app.rebalancing else None
        self._is_known = consumer is not None
        if consumer is None:
            self._still.clear()
            return
        ends, found = self._ends(), {}
        for tp, fetched in (consumer.fetched() or {}).items():
            if tp not in consumer.start_positions or tp not in ends:
                continue
            if (still := self._of(tp, fetched, consumer.done_to(tp), ends[tp])) is None:
                continue
            before = self._still.get(tp)
            if before is not None and before.place == still.place:
                is_full = still.patience is UNREAD and consumer.is_full(tp)
                still.seconds = before.seconds + (0.0 if is_held_up or is_full else step)
            found[tp] = still
        self._still = found
        self._tell()

    def _of(self, tp: TP, fetched: Fetched, done: int, end: int) -> _Still | None:
        """Return where a partition is; None: all of it is done."""
        if done >= end:
            return None
        position = fetched.position
        if position is None or position < end:
            place = (position, 0, 0)
            return _Still(place, UNREAD, done if position is None else position, end)
        place = (position, done, self._loops[tp.topic].done[tp.topic])
        return _Still(place, UNDONE, done, end)

    def _tell(self) -> None:
        standing = self._standing()
        for tp in standing.keys() - self._said:
            still = standing[tp]
            log.error(
                "partition_stands_still", topic=tp.topic, partition=tp.partition,
                offset=still.at, end=still.end, seconds=round(still.seconds),
            )  # fmt: skip
        self._said = set(standing)
        for tp, still in standing.items():
            if still.seconds >= still.patience.end:
                self._app.fail(
                    StreamAppError(
                        f"{_text(tp, still)}. The worker cannot go on; nothing unfinished was "
                        "acknowledged, start it again"
                    )
                )
                return

    def _standing(self) -> dict[TP, _Still]:
        return {
            tp: still
            for tp, still in self._still.items()
            if still.seconds >= still.patience.not_ready
        }

    def failure(self) -> str | None:
        """Return which partitions stand still; None: all of them move, or are done."""
        standing = self._standing()
        return "; ".join(_text(tp, standing[tp]) for tp in sorted(standing)) or None

    def numbers(self) -> Counter[str] | None:
        """Return how many partitions stand still, by their topics; None: it is not known now."""
        return Counter(tp.topic for tp in self._standing()) if self._is_known else None


def _text(tp: TP, still: _Still) -> str:
    return (
        f"{tp.topic} partition {tp.partition} stands still at offset {still.at} for "
        f"{still.seconds:.0f} s, though it goes to {still.end}"
    )
