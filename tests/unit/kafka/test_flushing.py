"""When a flush is due, and what a batch keeps until it is acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from types import SimpleNamespace

import pytest
from faust.types import TP

from stream_app.kafka.fetched_records import FetchedRecords
from stream_app.kafka.flushing import FlushLimits, FlushLoop
from stream_app.kafka.record_batches import BatchValue

LIMITS = FlushLimits(interval_seconds=0.25, max_events=1000)


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
    value = BatchValue(records, 1, lambda: released.append(True))
    value.release()
    assert released == [True]
    assert (value.start, value.end, value.size, len(value.records)) == (7, 12, 3, 0)


class Stream:
    """The stream of an agent, with all its batches in the queue from the start."""

    def __init__(self, *batches: BatchValue) -> None:
        self.channel = SimpleNamespace(queue=asyncio.Queue())
        self.acknowledged: list[BatchValue] = []
        for value in batches:
            self.channel.queue.put_nowait(value)

    def noack(self) -> Stream:
        return self

    async def events(self) -> AsyncIterator[SimpleNamespace]:
        message = SimpleNamespace(generation_id=1, tp=TP("events.hits", 0), topic="", partition=0)
        while not self.channel.queue.empty():
            value = self.channel.queue.get_nowait()
            ack = partial(self.acknowledged.append, value)
            yield SimpleNamespace(message=message, value=value, ack=ack)


def batch(start: int, end: int, epoch: int) -> BatchValue:
    records = FetchedRecords([object()] * (end - start))
    records.start, records.end = start, end
    return BatchValue(records, epoch, lambda: None)


def nothing(*_: object) -> None:
    """Do nothing."""


async def true(*_: object) -> bool:
    return True


async def test_what_a_refused_batch_comes_behind_does_not_wait_for_another() -> None:
    async def sent(_step: object) -> dict[object, list[int]]:
        return {}

    consumer = SimpleNamespace(epoch=2, start_positions={TP("events.hits", 0): 0})
    app = SimpleNamespace(flush_loops=[], consumer=consumer, produce_step=sent)
    flush = SimpleNamespace(steps=lambda: [[]], confirm=nothing)
    stage = SimpleNamespace(
        table=SimpleNamespace(generation=1), changes=0, add=nothing, reset=nothing, prepare=true,
        cut=lambda: flush,
    )  # fmt: skip
    ownership = SimpleNamespace(is_current=lambda _: True, confirm=true, give_up=nothing)
    loop = FlushLoop(app, ["events.hits"], stage, ownership, LIMITS)  # type: ignore[arg-type]
    good, of_older_positions = batch(0, 5, epoch=2), batch(0, 5, epoch=1)
    stream = Stream(good, of_older_positions)
    await loop.run(stream)
    await loop.settled()
    assert stream.acknowledged == [good]
