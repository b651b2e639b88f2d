"""A step's records in batches: their partitions, their order, their offsets, and large ones."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError, UnknownError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder

from stream_app.kafka.engine.batched_sends import SendPolicy, send_batches
from stream_app.kafka.state.send import Send

PARTITIONS = 4
#: The largest request, in bytes.
LIMIT = 10_000


class Producer:
    """Keeps records as a broker would; its batches are those of aiokafka's own producer."""

    def __init__(self) -> None:
        self.real = AIOKafkaProducer(max_batch_size=2000, max_request_size=LIMIT)
        self._max_request_size = self.real._max_request_size
        #: What the broker answers to a batch, by its place among those sent; else it takes it.
        self.errors: dict[int, Exception] = {}
        #: The largest batch that it takes.
        self.most_bytes = 10**6
        self.logs: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        self.batches = 0

    async def partitions_for(self, _topic: str) -> set[int]:
        return set(range(PARTITIONS))

    def create_batch(self) -> BatchBuilder:
        batch: BatchBuilder = self.real.create_batch()
        return batch

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any:
        assert batch.closed()
        future = asyncio.get_running_loop().create_future()
        error = self.errors.get(self.batches)
        log, self.batches = self.logs[topic, partition], self.batches + 1
        if batch.size() > self.most_bytes:
            error = MessageSizeTooLargeError()
        if error is not None:
            future.set_exception(error)
            return future
        base = len(log)
        log += [base] * batch.record_count()
        future.set_result(SimpleNamespace(offset=base))
        return future

    def _partition(self, *_: Any) -> int:
        return 3


@pytest.fixture
async def producer() -> AsyncIterator[Producer]:
    found = Producer()
    yield found
    await found.real.stop()


async def test_records_go_where_aiokafka_would_send_them_with_offsets_in_their_order(
    producer: Producer,
) -> None:
    step = [Send("a", b"%d" % n, b"x" * 50) for n in range(200)]
    step += [Send("b", b"key", b"y", 2), Send("b", None, b"z")]
    found = await send_batches(producer, step)
    partitioner = DefaultPartitioner()
    for number in range(PARTITIONS):
        wanted = [s for s in step[:200] if partitioner(s.key, range(PARTITIONS), ()) == number]
        assert found["a", number] == list(range(len(wanted)))
    assert (found["b", 2], found["b", 3]) == ([0], [0])
    assert producer.batches > len(found)  # full ones are followed by others


async def test_a_record_larger_than_a_batch_is_a_batch_of_its_own(producer: Producer) -> None:
    found = await send_batches(
        producer, [Send("a", b"1", b"x" * 5000, 0), Send("a", b"1", b"y", 0)]
    )
    assert found == {("a", 0): [0, 1]}
    assert producer.batches == 2


@pytest.mark.parametrize("before", [0, 1, 30])
async def test_a_record_larger_than_a_request_is_an_error_and_its_partition_gets_nothing(
    producer: Producer, before: int
) -> None:
    step = [Send("a", b"1", b"y" * 100, 2)] * before
    step += [Send("a", b"1", b"x" * LIMIT, 2), Send("a", b"1", b"y", 2)]
    with pytest.raises(MessageSizeTooLargeError) as error:
        await send_batches(producer, step)
    assert str(error.value).endswith(
        "a[2]: a batch of 1 record, 10073 bytes, is more than the producer's max_request_size of "
        "10000"
    )
    assert producer.batches == 0


async def test_a_record_as_large_as_a_request_is_taken(producer: Producer) -> None:
    await send_batches(producer, [Send("a", b"1", b"x" * (LIMIT - 73), 2)])
    assert producer.batches == 1


async def test_a_batch_that_is_refused_for_its_size_is_divided_until_it_is_taken(
    producer: Producer,
) -> None:
    producer.most_bytes = 300
    found = await send_batches(producer, [Send("a", b"1", b"x" * 100, 3)] * 20)
    assert sorted(found["a", 3]) == list(range(20))


async def test_a_record_that_is_refused_alone_is_sent_in_another_form_or_not_at_all(
    producer: Producer,
) -> None:
    producer.most_bytes = 300

    def refused(send: Send, _error: object) -> Send | None:
        value = send.value or b""
        return Send("a", b"1", b"y" * 50, 3) if value.startswith(b"large") else None

    step = [Send("a", b"1", start + b"x" * 500, 3) for start in (b"large", b"lost", b"large")]
    step += [Send("a", b"1", b"largest" * LIMIT, 3)]
    found = await send_batches(producer, [*step, Send("a", b"1", b"x", 3)], SendPolicy(refused))
    assert sorted(found["a", 3]) == [0, 1, 2, 3]


async def test_a_record_that_nothing_can_be_sent_for_is_named_with_what_helps(
    producer: Producer,
) -> None:
    producer.most_bytes = 300
    with pytest.raises(MessageSizeTooLargeError) as told:
        await send_batches(producer, [Send("a", b"1", b"x" * 500, 3)] * 2)
    assert "a[3]: a batch of 1 record, 571 bytes, was not taken" in str(told.value)
    assert str(told.value).endswith(
        "raise the topic's max.message.bytes (`stream-app topics check`)"
    )


@pytest.mark.parametrize("error", [KafkaTimeoutError("late"), UnknownError()])
async def test_what_the_broker_has_not_taken_is_named_by_place_records_and_bytes(
    producer: Producer, error: Exception
) -> None:
    producer.errors[1] = error
    with pytest.raises(type(error)) as told:
        await send_batches(producer, [Send("a", b"1", b"x" * 100, 3)] * 20)
    why = re.escape("".join(f": {arg}" for arg in error.args))
    text = r"a\[3\]: a batch of 3 records, 39\d bytes, was not taken by the broker"
    assert re.search(f"{text}{why}$", str(told.value))
    assert told.value.__cause__ is error


async def test_an_empty_step_sends_nothing(producer: Producer) -> None:
    assert await send_batches(producer, []) == {}
    assert producer.batches == 0
