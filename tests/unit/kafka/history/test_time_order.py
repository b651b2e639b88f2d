"""Records of several partitions come in the order of their time, and no partition runs ahead."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition

from stream_app.kafka.history.event_log import EventLog
from stream_app.kafka.history.spans import Span
from stream_app.kafka.history.time_order import in_time_order


class Log:
    """Hands out its records in random portions, of partitions that are not held."""

    def __init__(self, chance: random.Random, times: Sequence[Sequence[int]]) -> None:
        self._chance = chance
        self._left = {
            TopicPartition("t", n): [SimpleNamespace(timestamp=ms, n=i) for i, ms in enumerate(row)]
            for n, row in enumerate(times)
        }
        self.spans = {tp: Span(0, len(row), 0, len(row)) for tp, row in self._left.items()}
        self.held: set[TopicPartition] = set()
        self.done = False

    def hold(self, partition: TopicPartition) -> None:
        self.held.add(partition)

    def release(self, partition: TopicPartition) -> None:
        self.held.remove(partition)

    async def batches(
        self, report: Callable[[int], None]
    ) -> AsyncIterator[tuple[TopicPartition, list[Any], bool]]:
        open_ = {tp for tp, row in self._left.items() if row}
        while open_:
            free = sorted(open_ - self.held)
            assert free, "all that is left is held: nothing would ever come"
            tp = self._chance.choice(free)
            count = self._chance.randint(0, 4)
            records, self._left[tp] = self._left[tp][:count], self._left[tp][count:]
            is_last = not self._left[tp]
            if is_last:
                open_.discard(tp)
            if records or is_last:
                yield tp, records, is_last
        self.done = True
        report(0)


@pytest.mark.parametrize("seed", range(40))
async def test_the_oldest_comes_first_and_each_partition_keeps_its_order(seed: int) -> None:
    chance = random.Random(seed)
    times = [
        sorted(chance.randint(0, 50) for _ in range(chance.choice([0, 1, 7, 30])))
        for _ in range(chance.randint(1, 5))
    ]
    log = Log(chance, times)
    found = [
        placed
        async for some in in_time_order(cast("EventLog", log), lambda _done: None)
        for placed in some
    ]
    assert [r.timestamp for _, r in found] == sorted(ms for row in times for ms in row)
    for tp, span in log.spans.items():
        assert [r.n for where, r in found if where == tp] == list(range(span.end))
    assert log.done


async def test_times_that_go_back_within_a_partition_do_not_change_its_order() -> None:
    log = Log(random.Random(1), [[5, 1, 9], [2, 3]])
    found = [
        (tp.partition, r.timestamp)
        async for some in in_time_order(cast("EventLog", log), lambda _done: None)
        for tp, r in some
    ]
    assert [ms for n, ms in found if n == 0] == [5, 1, 9]
    assert found[:2] == [(1, 2), (1, 3)]
