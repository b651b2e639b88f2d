"""The records of one step of a flush, sent as whole batches.

aiokafka makes a future for each record that it is handed, and settles each one by itself: of a
flush of thousands of cells that is most of its cost. A batch that is built here has one future,
and its records the offsets behind the first one's, in the order in which they were appended.
"""

from __future__ import annotations

import asyncio
import functools
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.partitioner import DefaultPartitioner

if TYPE_CHECKING:
    from stream_app.kafka.state.send import Send

#: Keys whose partition is remembered: the hash is plain Python.
KEY_CACHE_SIZE = 50_000

Place = tuple[str, int]
#: Is given a record that its topic refuses for its size, and why. Returns what is sent in its
#: place; None: nothing. It raises the error where there is no other way.
Refused = Callable[["Send", KafkaError], "Send | None"]


class Batch(NamedTuple):
    """A closed batch of aiokafka's, and what is in it."""

    built: Any
    sends: Sequence[Send]


def give_up(_send: Send, error: KafkaError) -> None:
    """Raise the error of a record that is refused for its size."""
    raise error


class Way(NamedTuple):
    """How records are sent.

    `refused` gets those that their topics refuse for their size. `now_ms` tells the time that the
    others get, where it is not the broker that stamps them; None: this machine's. `taken` gets the
    broker's acknowledgement of each batch.
    """

    refused: Refused = give_up
    now_ms: Callable[[], int | None] = lambda: None
    taken: Callable[[Any], None] = lambda _: None


PLAIN = Way()


async def send_batches(
    producer: Any, step: Sequence[Send], way: Way = PLAIN
) -> dict[Place, list[int]]:
    """Send records, in their order within each partition; wait for the broker to take them all.

    A topic's `max.message.bytes` is about a batch: one that is refused for its size is divided,
    and comes behind the others, until it holds one record alone.

    Args:
        producer: aiokafka's, which knows the topics by name.
        step: what to send.
        way: what becomes of a record that is refused alone, and what time the others get.

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
    found = await asyncio.gather(
        *[_send(producer, place, rows, way) for place, rows in places.items()]
    )
    return dict(zip(places, found, strict=True))


async def _send(producer: Any, place: Place, sends: Sequence[Send], way: Way) -> list[int]:
    batches = _batches(producer, sends, way.now_ms())
    limit = producer._max_request_size  # noqa: SLF001 - only its own `send` looks at it
    if any(batch.built.size() > limit for batch in batches):
        fitting = [send for batch in batches for send in _fitting(place, batch, limit, way.refused)]
        return await _send(producer, place, fitting, way) if fitting else []
    futures = [await _handed_over(producer, place, batch) for batch in batches]
    offsets: list[int] = []
    results = await asyncio.gather(*futures, return_exceptions=True)
    for batch, result in zip(batches, results, strict=True):
        if isinstance(result, MessageSizeTooLargeError | RecordListTooLargeError):
            error = _not_taken(result, place, batch)
            error.__cause__ = result
            offsets += await _send_divided(producer, place, batch.sends, way, error)
            continue
        if isinstance(result, KafkaError):
            raise _not_taken(result, place, batch) from result
        if isinstance(result, BaseException):
            raise result
        way.taken(result)
        offsets += range(result.offset, result.offset + batch.built.record_count())
    return offsets


async def _handed_over(producer: Any, place: Place, batch: Batch) -> Any:
    """Hand a batch to the producer; return what will hold its offset, or its error."""
    topic, partition = place
    try:
        return await producer.send_batch(batch.built, topic, partition=partition)
    except KafkaError as error:
        raise _not_taken(error, place, batch) from error


def _fitting(place: Place, batch: Batch, limit: int, refused: Refused) -> Sequence[Send]:
    """Return what a batch holds; of one that is larger than a request, what is sent instead."""
    if batch.built.size() <= limit:
        return batch.sends
    why = f"{_shown(place, batch)} is more than the producer's max_request_size of {limit}"
    others = (refused(send, MessageSizeTooLargeError(why)) for send in batch.sends)
    return [other for other in others if other is not None]


async def _send_divided(
    producer: Any, place: Place, sends: Sequence[Send], way: Way, error: KafkaError
) -> list[int]:
    """Send what was refused for its size as two batches, or the record alone in another form."""
    if len(sends) == 1:
        other = way.refused(sends[0], error)
        if other is None:
            return []
        if other.topic != place[0]:
            await send_batches(producer, [other], way)
            return []
        return await _send(producer, place, [other], way)
    middle = len(sends) // 2
    first = await _send(producer, place, sends[:middle], way)
    return first + await _send(producer, place, sends[middle:], way)


def _batches(producer: Any, sends: Sequence[Send], now_ms: int | None) -> list[Batch]:
    """Return the closed batches of a partition.

    An empty batch takes a record of any size, and none of many records outgrows its own limit. So
    the size of a batch tells of a record that is too large, at no cost for each record.
    """
    batches, built, start = [], producer.create_batch(), 0
    for place, send in enumerate(sends):
        if _append(built, send, now_ms) is None:
            batches.append(Batch(built, sends[start:place]))
            built, start = producer.create_batch(), place
            _append(built, send, now_ms)
    batches.append(Batch(built, sends[start:]))
    for batch in batches:
        batch.built.close()  # else it would wait for more, and take in records of others
    return batches


def _not_taken(error: KafkaError, place: Place, batch: Batch) -> KafkaError:
    """Return an error of the same kind that says what it happened to, and what helps."""
    why = ", ".join(map(str, error.args))
    if isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):
        why += f"{why and ': '}raise the topic's max.message.bytes (`stream-app topics check`)"
    return type(error)(f"{_shown(place, batch)} was not taken by the broker{why and f': {why}'}")


def _shown(place: Place, batch: Batch) -> str:
    topic, partition = place
    number = batch.built.record_count()
    records = f"{number} record{'s' * (number != 1)}"
    return f"{topic}[{partition}]: a batch of {records}, {batch.built.size()} bytes,"


def _append(batch: Any, send: Send, now_ms: int | None) -> Any:
    return batch.append(
        timestamp=now_ms, key=send.key, value=send.value, headers=list(send.headers)
    )


def _partition(producer: Any, topic: str, key: bytes | None, count: int) -> int:
    """Return the partition that aiokafka gives a record."""
    if key is None:
        partition: int = producer._partition(topic, None, None, None, None, None)  # noqa: SLF001 - it knows which have a leader
        return partition
    return partition_of_key(key, count)


@functools.lru_cache(maxsize=KEY_CACHE_SIZE)
def partition_of_key(key: bytes, count: int) -> int:
    """Return the partition that aiokafka's default gives a key among `count`."""
    partition: int = DefaultPartitioner()(key, range(count), ())
    return partition
