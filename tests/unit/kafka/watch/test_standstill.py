"""Partitions that have records but do not advance are found, and no others."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from stream_app.kafka.records.fetch_states import Fetched
from stream_app.kafka.watch.standstill import UNDONE, UNREAD, Standstill

ONE, OTHER = TP("p.events.hits", 1), TP("p.events.hits", 2)


class Worker:
    """A worker with two partitions of one topic: one that stands at 40 of 50, one that is done."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ends: dict[TP, int] = {ONE: 50, OTHER: 9}
        self.done = {ONE: 40, OTHER: 9}
        self.positions: dict[TP, int | None] = {ONE: 40, OTHER: 9}
        self.full: set[TP] = set()
        self.failed: list[BaseException] = []
        consumer = SimpleNamespace(
            start_positions={ONE: 0, OTHER: 0},
            fetched=lambda: {tp: Fetched(at, None) for tp, at in self.positions.items()},
            done_to=self.done.__getitem__,
            is_full=self.full.__contains__,
        )
        self.loop = SimpleNamespace(topics=[ONE.topic], done=Counter())
        self.app: Any = SimpleNamespace(
            started=True,
            rebalancing=False,
            consumer=consumer,
            flush_loops=[self.loop],
            fail=self.failed.append,
        )
        self.standstill = Standstill(self.app, lambda: self.ends, lambda: self.now)

    def after(self, seconds: float, *, is_held_up: bool = False) -> str | None:
        for _ in range(round(seconds * 2)):
            self.now += 0.5
            self.standstill.look(is_held_up=is_held_up)
        return self.standstill.failure()


def test_a_partition_that_is_not_fetched_is_reported_and_finally_ends_the_worker() -> None:
    worker = Worker()
    assert worker.after(UNREAD.not_ready_seconds - 1) is None
    why = worker.after(2)
    assert why is not None
    assert why.startswith("p.events.hits partition 1 stands still at offset 40 for 3")
    assert why.endswith("though it goes to 50")
    assert worker.standstill.counts() == {ONE.topic: 1}
    assert worker.failed == []
    worker.after(UNREAD.end_seconds - UNREAD.not_ready_seconds)
    assert "stands still at offset 40" in str(worker.failed[0])


def test_a_partition_that_advances_again_is_no_longer_reported() -> None:
    worker = Worker()
    assert worker.after(UNREAD.not_ready_seconds + 2) is not None
    worker.positions[ONE] = 41
    assert worker.after(0.5) is None
    worker.positions[ONE] = worker.done[ONE] = 50
    assert worker.after(UNREAD.end_seconds) is None


def test_fetched_records_may_wait_for_longer() -> None:
    worker = Worker()
    worker.positions[ONE] = 50
    assert worker.after(UNDONE.not_ready_seconds - 1) is None
    # The agent finishes others: it works, and will come to this one.
    worker.loop.done[ONE.topic] += 1
    assert worker.after(UNDONE.not_ready_seconds - 1) is None
    assert worker.after(3) is not None
    worker.after(UNDONE.end_seconds)
    assert worker.failed


def no_leader(worker: Worker) -> None:
    del worker.ends[ONE]


def open_transaction(worker: Worker) -> None:
    worker.ends[ONE] = 40


def full_buffer(worker: Worker) -> None:
    worker.full.add(ONE)


def rebalance(worker: Worker) -> None:
    worker.app.rebalancing = True


def state_being_read(worker: Worker) -> None:
    worker.app.consumer.start_positions.clear()


@pytest.mark.parametrize(
    "hindrance", [no_leader, open_transaction, full_buffer, rebalance, state_being_read]
)
def test_a_partition_with_something_in_the_way_does_not_stand_still(hindrance: Any) -> None:
    worker = Worker()
    hindrance(worker)
    assert worker.after(UNDONE.end_seconds) is None
    assert worker.failed == []


def test_an_absent_broker_and_a_suspended_worker_are_no_standstill() -> None:
    worker = Worker()
    assert worker.after(UNDONE.end_seconds, is_held_up=True) is None
    worker.now += 3600
    assert worker.after(1) is None
    assert worker.failed == []


def test_a_partition_without_a_position_counts_as_not_fetched() -> None:
    worker = Worker()
    worker.positions[ONE] = None
    assert worker.after(UNREAD.not_ready_seconds + 1) is not None
