"""A step's records in batches: their partitions, their order, their offsets, and large ones."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder

from stream_app.kafka.batched_sends import send_batches
from stream_app.kafka.flushing import Send

PARTITIONS = 4


class Producer:
    """Keeps records as a broker would, and builds batches as aiokafka does."""

    def __init__(self) -> None:
        self.logs: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        self.batches = 0

    async def partitions_for(self, _topic: str) -> set[int]:
        return set(range(PARTITIONS))

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(2000, 0)

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any:
        assert batch.closed()
        log, self.batches = self.logs[topic, partition], self.batches + 1
        base = len(log)
        log += [base] * batch.record_count()
        future = asyncio.get_running_loop().create_future()
        future.set_result(SimpleNamespace(offset=base))
        return future

    def _partition(self, *_: Any) -> int:
        return 3


async def test_records_go_where_aiokafka_would_send_them_with_offsets_in_their_order() -> None:
    producer = Producer()
    step = [Send("a", b"%d" % n, b"x" * 50) for n in range(200)]
    step += [Send("b", b"key", b"y", 2), Send("b", None, b"z")]
    found = await send_batches(producer, step)
    partitioner = DefaultPartitioner()
    for number in range(PARTITIONS):
        wanted = [s for s in step[:200] if partitioner(s.key, range(PARTITIONS), ()) == number]
        assert found["a", number] == list(range(len(wanted)))
    assert (found["b", 2], found["b", 3]) == ([0], [0])
    assert producer.batches > len(found)  # full ones are followed by others


async def test_a_record_larger_than_a_batch_is_a_batch_of_its_own() -> None:
    found = await send_batches(
        Producer(), [Send("a", b"1", b"x" * 5000, 0), Send("a", b"1", b"y", 0)]
    )
    assert found == {("a", 0): [0, 1]}


async def test_a_record_that_no_batch_takes_is_an_error_and_not_lost() -> None:
    producer: Any = Producer()
    producer.create_batch = lambda: SimpleNamespace(append=lambda **_: None)
    with pytest.raises(MessageSizeTooLargeError):
        await send_batches(producer, [Send("a", b"1", b"x", 0)])


async def test_an_empty_step_sends_nothing() -> None:
    assert await send_batches(Producer(), []) == {}
