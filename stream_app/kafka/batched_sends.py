"""The records of one step of a flush, sent as whole batches.

aiokafka makes a future for each record that it is handed, and settles each one by itself: of a
flush of thousands of cells that is most of its cost. A batch that is built here has one future,
and its records the offsets behind the first one's, in the order in which they were appended.
"""

from __future__ import annotations

import asyncio
import functools
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.partitioner import DefaultPartitioner

if TYPE_CHECKING:
    from stream_app.kafka.flushing import Send

#: Keys whose partition is remembered: the hash is plain Python.
KEY_CACHE_SIZE = 50_000

Place = tuple[str, int]


async def send_batches(producer: Any, step: Sequence[Send]) -> dict[Place, list[int]]:
    """Send records, in their order within each partition; wait for the broker to take them all.

    Args:
        producer: aiokafka's, which knows the topics by name.
        step: what to send.

    Returns:
        The offsets of the records, by (topic, partition), in their order.

    Raises:
        KafkaError: a record is too large, or the broker has not taken a batch. Its message names
            topic, partition, records and bytes.
    """
    counts = {
        topic: len(await producer.partitions_for(topic)) for topic in {send.topic for send in step}
    }
    places: defaultdict[Place, list[Send]] = defaultdict(list)
    for send in step:
        partition = send.partition
        if partition is None:
            partition = _partition(producer, send.topic, send.key, counts[send.topic])
        places[send.topic, partition].append(send)
    found = await asyncio.gather(*[_send(producer, place, rows) for place, rows in places.items()])
    return dict(zip(places, found, strict=True))


async def _send(producer: Any, place: Place, sends: Sequence[Send]) -> list[int]:
    topic, partition = place
    batches = _batches(producer, place, sends)
    futures = []
    for batch in batches:
        try:
            futures.append(await producer.send_batch(batch, topic, partition=partition))
        except KafkaError as error:
            raise _not_taken(error, place, batch) from error
    offsets: list[int] = []
    results = await asyncio.gather(*futures, return_exceptions=True)
    for batch, result in zip(batches, results, strict=True):
        if isinstance(result, KafkaError):
            raise _not_taken(result, place, batch) from result
        if isinstance(result, BaseException):
            raise result
        offsets += range(result.offset, result.offset + batch.record_count())
    return offsets


def _batches(producer: Any, place: Place, sends: Sequence[Send]) -> list[Any]:
    """Return the closed batches of a partition; none is larger than the producer may send.

    An empty batch takes a record of any size, and none of many records outgrows its own limit. So
    the size of a batch tells of a record that is too large, at no cost for each record.
    """
    batches, batch = [], producer.create_batch()
    for send in sends:
        if _append(batch, send) is None:
            batches.append(batch)
            batch = producer.create_batch()
            _append(batch, send)
    batches.append(batch)
    limit = producer._max_request_size  # noqa: SLF001 - only its own `send` looks at it
    for batch in batches:
        batch.close()  # else it would wait for more, and take in records of others
        if batch.size() > limit:
            why = f"more than the producer's max_request_size of {limit}"
            raise MessageSizeTooLargeError(f"{_shown(place, batch)} is {why}")
    return batches


def _not_taken(error: KafkaError, place: Place, batch: Any) -> KafkaError:
    """Return an error of the same kind that says what it happened to."""
    why = ", ".join(map(str, error.args))
    return type(error)(f"{_shown(place, batch)} was not taken by the broker{why and f': {why}'}")


def _shown(place: Place, batch: Any) -> str:
    topic, partition = place
    number = batch.record_count()
    records = f"{number} record{'s' * (number != 1)}"
    return f"{topic}[{partition}]: a batch of {records}, {batch.size()} bytes,"


def _append(batch: Any, send: Send) -> Any:
    return batch.append(timestamp=None, key=send.key, value=send.value, headers=list(send.headers))


def _partition(producer: Any, topic: str, key: bytes | None, count: int) -> int:
    """Return the partition that aiokafka gives a record."""
    if key is None:
        partition: int = producer._partition(topic, None, None, None, None, None)  # noqa: SLF001 - it knows which have a leader
        return partition
    return _partition_of_key(key, count)


@functools.lru_cache(maxsize=KEY_CACHE_SIZE)
def _partition_of_key(key: bytes, count: int) -> int:
    partition: int = DefaultPartitioner()(key, range(count), ())
    return partition
