"""Sending the records of one step of a flush as whole batches.

aiokafka makes a future for each record that it is handed and settles each by itself. In a flush of
thousands of cells that is most of the cost. A batch that is built here has one future, and its
records have consecutive offsets, in the order in which they were appended.
"""

from __future__ import annotations

import asyncio
import functools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    NotEnoughReplicasAfterAppendError,
    NotEnoughReplicasError,
    RecordListTooLargeError,
)
from aiokafka.partitioner import DefaultPartitioner

from stream_app.domain.formats import Headers, with_format

if TYPE_CHECKING:
    from stream_app.kafka.state.send import Send

#: Keys whose partition is remembered: the hash is plain Python.
KEY_CACHE_SIZE = 50_000

#: A topic and one of its partitions.
PartitionName = tuple[str, int]
#: Takes a record that its topic refuses as too large, and the error. Returns what to send instead,
#: or None for nothing; raises the error if nothing can be sent instead.
OnTooLarge = Callable[["Send", KafkaError], "Send | None"]


class Batch(NamedTuple):
    """A closed aiokafka batch and its records."""

    built: Any
    sends: Sequence[Send]


def raise_error(_send: Send, error: KafkaError) -> None:
    """Raise the error of a record that is refused as too large."""
    raise error


class SendPolicy(NamedTuple):
    """How records are sent.

    `refused` decides about records that their topics refuse as too large. `now_ms` returns the
    timestamp of the records, unless the broker stamps them; None means this machine's time.
    `headers` are added to those of the records of a topic, by its full name.
    `acknowledged` is called with the broker's acknowledgement of each batch.
    """

    refused: OnTooLarge = raise_error
    now_ms: Callable[[], int | None] = lambda: None
    acknowledged: Callable[[Any], None] = lambda _: None
    headers: Mapping[str, Headers] = MappingProxyType({})


DEFAULT_POLICY = SendPolicy()


async def send_batches(
    producer: Any, step: Sequence[Send], policy: SendPolicy = DEFAULT_POLICY
) -> dict[PartitionName, list[int]]:
    """Send records, keeping their order within each partition; wait until all are acknowledged.

    A topic's `max.message.bytes` limits a batch. A batch that is refused as too large is halved,
    and its halves are sent after the other batches, until it holds a single record.

    Args:
        producer: aiokafka's producer, which must know the topics by name.
        step: the records.
        policy: says what to do with a record that is refused alone, and which time records get.

    Returns:
        The offsets of the records by topic and partition, in order.

    Raises:
        KafkaError: a record is too large, or the broker refused a batch. The message names the
            topic, the partition, the number of records, and the bytes.
    """
    counts = {
        topic: len(await producer.partitions_for(topic)) for topic in {send.topic for send in step}
    }
    places: defaultdict[PartitionName, list[Send]] = defaultdict(list)
    for send in step:
        partition = send.partition
        if partition is None:
            partition = _partition(producer, send.topic, send.key, counts[send.topic])
        places[send.topic, partition].append(send)
    found = await asyncio.gather(
        *[_send(producer, place, rows, policy) for place, rows in places.items()]
    )
    return dict(zip(places, found, strict=True))


async def _send(
    producer: Any, place: PartitionName, sends: Sequence[Send], policy: SendPolicy
) -> list[int]:
    batches = _batches(producer, sends, policy.now_ms(), policy.headers.get(place[0], ()))
    limit = producer._max_request_size  # noqa: SLF001 - only its own `send` looks at it
    if any(batch.built.size() > limit for batch in batches):
        fitting = [
            send for batch in batches for send in _fitting(place, batch, limit, policy.refused)
        ]
        return await _send(producer, place, fitting, policy) if fitting else []
    futures = [await _hand_over(producer, place, batch) for batch in batches]
    offsets: list[int] = []
    results = await asyncio.gather(*futures, return_exceptions=True)
    for batch, result in zip(batches, results, strict=True):
        if isinstance(result, MessageSizeTooLargeError | RecordListTooLargeError):
            error = _not_taken(result, place, batch)
            error.__cause__ = result
            offsets += await _send_divided(producer, place, batch.sends, policy, error)
            continue
        if isinstance(result, KafkaError):
            raise _not_taken(result, place, batch) from result
        if isinstance(result, BaseException):
            raise result
        policy.acknowledged(result)
        offsets += range(result.offset, result.offset + batch.built.record_count())
    return offsets


async def _hand_over(producer: Any, place: PartitionName, batch: Batch) -> Any:
    """Hand a batch to the producer; return the future of its acknowledgement."""
    topic, partition = place
    try:
        return await producer.send_batch(batch.built, topic, partition=partition)
    except KafkaError as error:
        raise _not_taken(error, place, batch) from error


def _fitting(place: PartitionName, batch: Batch, limit: int, refused: OnTooLarge) -> Sequence[Send]:
    """Return the records of a batch, or, if no request can hold it, those to send instead."""
    if batch.built.size() <= limit:
        return batch.sends
    why = f"{_shown(place, batch)} is more than the producer's max_request_size of {limit}"
    others = (refused(send, MessageSizeTooLargeError(why)) for send in batch.sends)
    return [other for other in others if other is not None]


async def _send_divided(
    producer: Any,
    place: PartitionName,
    sends: Sequence[Send],
    policy: SendPolicy,
    error: KafkaError,
) -> list[int]:
    """Send a batch that was refused as too large in halves, or a single record in another form."""
    if len(sends) == 1:
        other = policy.refused(sends[0], error)
        if other is None:
            return []
        if other.topic != place[0]:
            await send_batches(producer, [other], policy)
            return []
        return await _send(producer, place, [other], policy)
    middle = len(sends) // 2
    first = await _send(producer, place, sends[:middle], policy)
    return first + await _send(producer, place, sends[middle:], policy)


def _batches(
    producer: Any, sends: Sequence[Send], now_ms: int | None, headers: Headers
) -> list[Batch]:
    """Return the closed batches of a partition.

    An empty batch takes a record of any size, and a batch of several stays within its limit. So a
    batch that is too large holds one record, and no record's size need be looked at.
    """
    batches, built, start = [], producer.create_batch(), 0
    for index, send in enumerate(sends):
        if _append(built, send, now_ms, headers) is None:
            batches.append(Batch(built, sends[start:index]))
            built, start = producer.create_batch(), index
            _append(built, send, now_ms, headers)
    batches.append(Batch(built, sends[start:]))
    for batch in batches:
        batch.built.close()  # an open batch would wait, and take records of other senders
    return batches


def _not_taken(error: KafkaError, place: PartitionName, batch: Batch) -> KafkaError:
    """Return an error of the same kind that names the batch and what helps."""
    why = ", ".join(map(str, error.args))
    if isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):
        why += f"{why and ': '}raise the topic's max.message.bytes (`stream-app topics check`)"
    elif isinstance(error, NotEnoughReplicasError | NotEnoughReplicasAfterAppendError):
        why += f"{why and ': '}too few copies are in step, see `stream-app topics check`"
    return type(error)(f"{_shown(place, batch)} was not taken by the broker{why and f': {why}'}")


def _shown(place: PartitionName, batch: Batch) -> str:
    topic, partition = place
    number = batch.built.record_count()
    records = f"{number} record{'s' * (number != 1)}"
    return f"{topic}[{partition}]: a batch of {records}, {batch.built.size()} bytes,"


def _append(batch: Any, send: Send, now_ms: int | None, headers: Headers) -> Any:
    return batch.append(
        timestamp=now_ms,
        key=send.key,
        value=send.value,
        headers=with_format(send.headers, headers),
    )


def _partition(producer: Any, topic: str, key: bytes | None, count: int) -> int:
    """Return the partition that aiokafka gives a record."""
    if key is None:
        partition: int = producer._partition(topic, None, None, None, None, None)  # noqa: SLF001 - it knows the partitions with a leader
        return partition
    return partition_of_key(key, count)


@functools.lru_cache(maxsize=KEY_CACHE_SIZE)
def partition_of_key(key: bytes, count: int) -> int:
    """Return the partition, out of `count`, that aiokafka gives a key by default."""
    partition: int = DefaultPartitioner()(key, range(count), ())
    return partition
