"""When a batch that waits is taken for lost, and when it only waits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from faust.types import TP

from stream_app.kafka.engine.lost_batches import LOOK_SECONDS, LostBatches
from stream_app.kafka.engine.record_batches import BatchValue
from stream_app.kafka.records.fetched_records import FetchedRecords

PARTITION = TP("events.hits", 3)


def batch(start: int, end: int) -> BatchValue:
    records = FetchedRecords([object()] * (end - start))
    records.start, records.end = start, end
    return BatchValue(records, 1, lambda _: None)


class Bench:
    """A worker whose agent is idle, and whose consumer has `waiting` for it."""

    def __init__(self) -> None:
        self.waiting: BatchValue | None = batch(40, 50)
        self.rewinds: list[tuple[str, dict[str, Any]]] = []
        self.app = SimpleNamespace(rebalancing=False)
        waiting = SimpleNamespace(oldest=self._oldest)
        consumer: Any = SimpleNamespace(app=self.app, waiting=waiting, rewind=self._rewind)
        self.loop = SimpleNamespace(topics=("events.hits",), is_idle=True)
        loops: Any = [self.loop]
        self.lost = LostBatches(consumer, loops)
        self.now = 0.0

    def _oldest(self, _topics: object) -> tuple[TP, BatchValue] | None:
        return None if self.waiting is None else (PARTITION, self.waiting)

    def _rewind(self, event: str, **facts: Any) -> None:
        self.rewinds.append((event, facts))

    def look(self, times: int = 1, delay: float = 0.0) -> int:
        """Look so often; return how often it was read again so far."""
        for _ in range(times):
            self.now += LOOK_SECONDS + delay
            self.lost.look(self.now, delay)
        return len(self.rewinds)


def test_a_batch_that_never_comes_to_an_idle_agent_is_read_again_and_named() -> None:
    bench = Bench()
    assert bench.look(3) == 0
    assert bench.look() == 1
    facts = {"topic": "events.hits", "partition": 3, "first_offset": 40, "last_offset": 49}
    assert bench.rewinds == [("batch_not_taken", {**facts, "waited_seconds": 1.5})]


def test_batches_that_only_wait_for_their_turn_are_never_lost() -> None:
    bench = Bench()
    for number in range(100):
        bench.waiting = batch(number, number + 1)
        assert bench.look(2) == 0, "another one each time"


def test_a_batch_that_comes_at_last_was_not_lost() -> None:
    bench = Bench()
    known = bench.waiting
    assert bench.look(3) == 0
    bench.waiting = None
    assert bench.look() == 0
    bench.waiting = known
    assert bench.look(3) == 0


def test_a_slow_event_loop_is_given_as_much_more_time() -> None:
    bench = Bench()
    assert bench.look(1, delay=2.0) == 0
    assert bench.look(38) == 0, "20 s have not gone by"
    assert bench.look(2) == 1


def test_an_agent_that_has_something_to_do_may_come_to_it() -> None:
    bench = Bench()
    assert bench.look(3) == 0
    bench.loop.is_idle = False
    assert bench.look(20) == 0
    bench.loop.is_idle = True
    assert bench.look() == 1, "the same batch still waits"


def test_while_partitions_move_nothing_is_lost() -> None:
    bench = Bench()
    assert bench.look(3) == 0
    bench.app.rebalancing = True
    assert bench.look(20) == 0
    bench.app.rebalancing = False
    assert bench.look(3) == 0
