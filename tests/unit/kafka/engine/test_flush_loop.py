"""When a flush is due, and what a batch keeps until it is acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from stream_app.kafka.engine.flush import FlushLimits
from stream_app.kafka.engine.flush_loop import FlushLoop
from stream_app.kafka.engine.record_batches import BatchValue
from stream_app.kafka.records.fetched_records import FetchedRecords

LIMITS = FlushLimits(interval_seconds=0.25, max_events=1000)
PARTITION = TP("events.hits", 0)


@pytest.mark.parametrize(
    ("events", "seconds", "changes", "due"),
    [
        (999, 0.24, 0, False),
        (1000, 0.0, 0, True),
        (1, 0.25, 0, True),
        # A flush that writes little for its events does not wait any longer...
        (1000, 0.0, 50, True),
        (20, 0.25, 1, True),
        # ... one that writes much waits for more of them, or for other bounds.
        (1000, 0.0, 51, False),
        (1020, 0.0, 51, True),
        (19, 0.25, 1, False),
        (19, 0.99, 1, False),
        (19, 1.0, 1, True),
        (9_999, 0.0, 10_000, False),
        (10_000, 0.0, 10_000, True),
    ],
)
def test_a_flush_waits_for_more_events_while_it_would_write_much_for_them(
    events: int, seconds: float, changes: int, *, due: bool
) -> None:
    assert LIMITS.is_due(events, seconds, lambda: changes) is due


def test_what_a_flush_would_write_is_not_asked_for_before_a_limit_is_reached() -> None:
    def changes() -> int:
        raise AssertionError("this takes time for each batch")

    assert not LIMITS.is_due(999, 0.24, changes)


def test_a_released_batch_keeps_its_place_and_its_size_but_not_its_records() -> None:
    released = []
    records = FetchedRecords([object()] * 3)
    records.start, records.end = 7, 12
    value = BatchValue(records, 1, lambda _: released.append(True))
    value.release()
    assert released == [True]
    assert (value.start, value.end, value.size, len(value.records)) == (7, 12, 3, 0)


class Stream:
    """The stream of an agent; it ends with as many batches as are `expected`."""

    def __init__(self, *batches: BatchValue) -> None:
        self.channel = SimpleNamespace(queue=asyncio.Queue())
        self.acknowledged: list[BatchValue] = []
        self.expected = 2
        for value in batches:
            self.put(value)

    def put(self, value: BatchValue) -> None:
        self.channel.queue.put_nowait(value)

    def noack(self) -> Stream:
        return self

    async def events(self) -> AsyncIterator[SimpleNamespace]:
        message = SimpleNamespace(generation_id=1, tp=PARTITION, topic="", partition=0)
        for _ in range(self.expected):
            value = await self.channel.queue.get()
            ack = partial(self.acknowledged.append, value)
            yield SimpleNamespace(message=message, value=value, ack=ack)


def batch(start: int, end: int, epoch: int) -> BatchValue:
    records = FetchedRecords([object()] * (end - start))
    records.start, records.end = start, end
    return BatchValue(records, epoch, lambda _: None)


def nothing(*_: object) -> None:
    """Do nothing."""


async def true(*_: object) -> bool:
    return True


class Bench:
    """A loop whose stage would write `changes` records for the batches that it has."""

    def __init__(self, *batches: BatchValue, changes: int = 0) -> None:
        self.stream = Stream(*batches)
        self.is_behind = False
        #: Records of each flush, as numbers of batches.
        self.flushes: list[int] = []
        self._batches = 0
        self._changes = changes
        consumer = SimpleNamespace(
            epoch=2, start_positions={PARTITION: 0}, is_behind=lambda _: self.is_behind
        )
        app = SimpleNamespace(flush_loops=[], consumer=consumer, produce_step=self._sent)
        ownership: Any = SimpleNamespace(is_current=lambda _: True, confirm=true, give_up=nothing)
        self.loop = FlushLoop(app, ["events.hits"], self, ownership, LIMITS)
        self.table: Any = SimpleNamespace(generation=1, epoch=0)

    @property
    def changes(self) -> int:
        return self._changes

    hold_seconds = 0.0

    def steps(self, *_: object) -> Iterator[None]:
        self._batches += 1
        yield

    def pass_over(self, *_: object) -> None:
        raise AssertionError("nothing is unreadable here")

    def cut(self) -> Any:
        self.flushes.append(self._batches)
        self._batches = 0
        return SimpleNamespace(steps=lambda: [[]], confirm=nothing)

    async def prepare(self) -> None:
        """Wait for nothing."""

    def reset(self) -> None:
        """Forget nothing."""

    @staticmethod
    async def _sent(_step: object) -> dict[object, list[int]]:
        return {}

    async def run(self) -> None:
        await self.loop.run(self.stream)
        await self.loop.settled()


async def test_what_a_refused_batch_comes_behind_does_not_wait_for_another() -> None:
    good, of_older_positions = batch(0, 5, epoch=2), batch(0, 5, epoch=1)
    bench = Bench(good, of_older_positions)
    await bench.run()
    assert bench.stream.acknowledged == [good]


@pytest.mark.parametrize(
    ("changes", "is_behind", "flushes"),
    [(5, True, [2]), (5, False, [1, 1]), (0, True, [1, 1])],
    ids=["much to write, more at the broker", "all is here", "little to write"],
)
async def test_a_flush_waits_for_a_batch_at_the_broker_where_it_would_write_much(
    changes: int, flushes: list[int], *, is_behind: bool
) -> None:
    first, second = batch(0, 5, epoch=2), batch(5, 10, epoch=2)
    bench = Bench(first, changes=changes)
    bench.is_behind = is_behind

    async def fetch() -> None:
        await asyncio.sleep(0.03)
        assert bench.loop.is_idle is (len(flushes) > 1), "what waits is not done"
        bench.is_behind = False
        bench.stream.put(second)

    async with asyncio.timeout(60):
        await asyncio.gather(bench.run(), fetch())
    assert bench.flushes == flushes
    assert bench.stream.acknowledged == [first, second]


async def test_a_flush_does_not_wait_for_long_for_a_batch_that_the_broker_does_not_give() -> None:
    only = batch(0, 5, epoch=2)
    bench = Bench(only, changes=5)
    bench.is_behind = True
    bench.stream.expected = 1
    async with asyncio.timeout(60):
        await bench.run()
    assert bench.stream.acknowledged == [only]
