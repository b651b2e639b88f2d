"""Reads what `validate` checks of a topic."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from stream_app.cli.output import text_of
from stream_app.cli.record_files import InputRecord
from stream_app.domain.dead_letters.dead_letter import Place
from stream_app.kafka.cluster.connection import CONNECT_SECONDS
from stream_app.kafka.cluster.consumers import end_offsets, reading, records_to_end
from stream_app.settings import Settings


async def topic_records(
    settings: Settings, topic: str, show_total: Callable[[int], None]
) -> AsyncGenerator[InputRecord, None]:
    """Yield the records that a topic holds now. Nothing joins a group or commits.

    Raises:
        KafkaUnreachableError: no broker answers, or no more.
        TopicMismatchError: the topic is missing.
    """
    async with reading(settings, [topic]) as consumer:
        ends = await end_offsets(consumer, CONNECT_SECONDS)
        starts = await consumer.beginning_offsets(consumer.assignment())
        show_total(sum(ends.values()) - sum(starts.values()))
        async for record in records_to_end(consumer):
            place = Place(topic, record.partition, record.offset)
            headers = {name: text_of(value) for name, value in record.headers}
            key, timestamp = record.key or b"", record.timestamp
            yield InputRecord(str(place), topic, key, record.value, headers, timestamp)
