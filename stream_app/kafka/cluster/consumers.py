"""Consumers without a group: they read topics from the beginning, or from a point in time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.domain.formats import require_known_formats
from stream_app.kafka.cluster.connection import (
    CONNECT_SECONDS,
    READ_SECONDS,
    connection_options,
    kafka_errors,
)
from stream_app.kafka.cluster.other_prefixes import require_topics
from stream_app.kafka.cluster.topic_metadata import PartitionId
from stream_app.kafka.records.fetched_records import whole_records
from stream_app.kafka.records.fetcher import READ_COMMITTED, install_fetcher
from stream_app.settings import Settings

_POLL_MS = 200

Offsets = Mapping[PartitionId, int]


async def open_topics(
    settings: Settings, topics: Sequence[str], **options: Any
) -> AIOKafkaConsumer:
    """Start a consumer at the beginning of all partitions of topics. The caller stops it.

    Args:
        settings: those of the installation.
        topics: their full names.
        options: of aiokafka's consumer, in place of those that are given here.

    Raises:
        KafkaUnreachableError: no broker answers.
        TopicMismatchError: a topic is missing.
    """
    async with kafka_errors(settings):
        partitions = await _partitions(settings, topics)
        install_fetcher()
        usual = {
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "isolation_level": READ_COMMITTED,
            "fetch_max_wait_ms": settings.kafka.fetch_max_wait_ms,
            "key_deserializer": whole_records,
        }
        consumer = AIOKafkaConsumer(**{**connection_options(settings), **usual, **options})
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await consumer.start()
            consumer.assign(partitions)
        except BaseException:
            await close(consumer)
            raise
    return consumer


@contextlib.asynccontextmanager
async def reading(
    settings: Settings, topics: Sequence[str], **options: Any
) -> AsyncIterator[AIOKafkaConsumer]:
    """Open topics as `open_topics` does; the consumer is stopped at the end.

    Raises:
        KafkaUnreachableError: no broker answers, or they stop answering.
        TopicMismatchError: a topic is missing.
    """
    consumer = await open_topics(settings, topics, **options)
    try:
        async with kafka_errors(settings):
            yield consumer
    finally:
        await close(consumer)


async def close(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer, whatever has become of its broker.

    When a connection has just broken, aiokafka cancels a fetch of its own and raises that error
    as if the caller had been cancelled. It then leaves its other connections open.
    """
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
    finally:
        await consumer._client.close()  # noqa: SLF001 - again, unless `stop` has got that far


async def _partitions(settings: Settings, topics: Sequence[str]) -> list[TopicPartition]:
    found = await require_topics(settings, topics)
    return [
        TopicPartition(name, number) for name, count in found.items() for number in range(count)
    ]


async def end_offsets(
    consumer: AIOKafkaConsumer, timeout_seconds: float
) -> dict[TopicPartition, int]:
    """Return the end offset of each partition, or raise TimeoutError or KafkaError."""
    async with asyncio.timeout(timeout_seconds):
        ends: dict[TopicPartition, int] = await consumer.end_offsets(consumer.assignment())
    return ends


async def offset_bounds(settings: Settings, topics: Sequence[str]) -> tuple[Offsets, Offsets]:
    """Return the first and the end offset of each partition of topics.

    Raises:
        KafkaUnreachableError: no broker answers.
        TopicMismatchError: a topic is missing.
    """
    if not topics:
        return {}, {}
    async with reading(settings, topics) as consumer:
        ends = await end_offsets(consumer, CONNECT_SECONDS)
        starts = await consumer.beginning_offsets(list(ends))
    return starts, ends


async def batches_to_end(consumer: AIOKafkaConsumer) -> AsyncIterator[list[Any]]:
    """Yield lists of records up to the end that the topics have at the time of the call.

    Raises:
        NewerFormatError: a record has a format that this version cannot read.
    """
    ends = await end_offsets(consumer, CONNECT_SECONDS)
    while True:
        fetched = await consumer.getmany(timeout_ms=_POLL_MS)
        for tp, batch in fetched.items():
            require_known_formats(tp.topic, tp.partition, batch)
        yield [record for batch in fetched.values() for record in batch]
        positions = {partition: await consumer.position(partition) for partition in ends}
        if all(positions[partition] >= end for partition, end in ends.items()):
            return


async def seek_to_time(consumer: AIOKafkaConsumer, since_ms: int) -> None:
    """Seek the first record of each partition from a time on (Unix ms), or its end without one."""
    async with asyncio.timeout(CONNECT_SECONDS):
        partitions = consumer.assignment()
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        ends = await consumer.end_offsets(partitions)
    for partition, end in ends.items():
        at = found.get(partition)
        consumer.seek(partition, end if at is None else at.offset)


async def records_to_end(consumer: AIOKafkaConsumer) -> AsyncIterator[Any]:
    """Yield records up to the end that the topics have at the time of the call.

    Raises:
        TimeoutError: nothing came for `READ_SECONDS`.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(READ_SECONDS) as patience:
        async for batch in batches_to_end(consumer):
            for record in batch:
                yield record
            if batch:
                patience.reschedule(loop.time() + READ_SECONDS)
