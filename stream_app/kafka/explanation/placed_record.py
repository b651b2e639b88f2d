"""One record of an event topic, by its place: what is there, and whether the detector has read it.

An offset may hold no record for many reasons, and each has an answer of its own.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import TopicPartition

from stream_app.domain.dead_letters.dead_letter import Place
from stream_app.domain.errors import UsageError
from stream_app.domain.explanation.places import PlacedRecord, PlaceState
from stream_app.kafka.cluster.admin import Admin
from stream_app.kafka.cluster.connection import READ_SECONDS
from stream_app.kafka.cluster.consumers import reading
from stream_app.kafka.cluster.groups import read_group
from stream_app.kafka.cluster.other_prefixes import missing_topics_error
from stream_app.kafka.cluster.topic_metadata import ends_of, stable_ends, topic_metadata
from stream_app.kafka.configuration.hidden_writes import how_to_end
from stream_app.kafka.history.open_transactions import READ_UNCOMMITTED
from stream_app.kafka.records.unreadable_batches import UNREADABLE_BATCHES, UnreadableBatch
from stream_app.settings import Settings

_POLL_MS = 200


async def read_place(settings: Settings, place: Place) -> PlacedRecord:
    """Return what is at a place.

    Raises:
        UsageError: the topic has no such partition.
        TopicMismatchError: the topic is missing.
        KafkaUnreachableError: no broker answers, or they stop answering.
    """
    end, stable, committed, workers = await _ends(settings, place)
    async with reading(settings, [place.topic]) as consumer:
        tp = TopicPartition(place.topic, place.partition)
        start = (await consumer.beginning_offsets([tp]))[tp]
        found = None
        if start <= place.offset < stable:
            found = await _read_one(consumer, tp, place.offset)
    facts = start, end, committed, workers
    if isinstance(found, UnreadableBatch):
        return PlacedRecord(place, PlaceState.UNREADABLE, *facts, found)
    if found is not None:
        return PlacedRecord(place, PlaceState.RECORD, *facts, found)
    if place.offset < start:
        return PlacedRecord(place, PlaceState.REMOVED, *facts)
    if place.offset >= end:
        return PlacedRecord(place, PlaceState.NOT_WRITTEN, *facts)
    if place.offset >= stable:
        hint = how_to_end(settings, place.log, stable)
        return PlacedRecord(place, PlaceState.WITHHELD, *facts, hint=hint)
    is_aborted = await _is_written(settings, place)
    return PlacedRecord(place, PlaceState.ABORTED if is_aborted else PlaceState.NO_RECORD, *facts)


async def _ends(settings: Settings, place: Place) -> tuple[int, int, int | None, int]:
    """Return end and stable end of a partition, the detector's next offset, and how many run."""
    async with Admin(settings) as client:
        kafka = client.kafka
        facts = await topic_metadata(kafka, [place.topic])
        if place.topic not in facts:
            raise await missing_topics_error(settings, [place.topic])
        count = len(facts[place.topic].leaders)
        if place.partition >= count:
            raise UsageError(
                f"topic {place.topic} has no partition {place.partition}: it has 0 to {count - 1}"
            )
        partition = place.topic, place.partition
        ends = await ends_of(kafka, [partition], facts)
        stable = await stable_ends(kafka, [partition], facts)
        group = await read_group(client, settings.names.group("detector"))
    end = ends.get(partition, 0)
    return end, stable.get(partition, end), group.committed.get(partition), len(group.members)


async def _read_one(consumer: Any, tp: TopicPartition, offset: int) -> Any:
    """Return the record at an offset, or the unreadable batch that covers it; None: neither."""
    consumer.pause(*(consumer.assignment() - {tp}))
    consumer.seek(tp, offset)
    async with asyncio.timeout(READ_SECONDS):
        while await consumer.position(tp) <= offset:
            for record in (await consumer.getmany(tp, timeout_ms=_POLL_MS)).get(tp, ()):
                if record.offset == offset:
                    return record
    # The consumer has passed over a batch that cannot be read, and has noted it.
    for batch in UNREADABLE_BATCHES.found.values():
        is_there = (batch.topic, batch.partition) == (tp.topic, tp.partition)
        if is_there and batch.first_offset <= offset <= batch.offset:
            return batch
    return None


async def _is_written(settings: Settings, place: Place) -> bool:
    """Tell whether a record that nobody can see is in the log."""
    async with reading(settings, [place.topic], isolation_level=READ_UNCOMMITTED) as consumer:
        tp = TopicPartition(place.topic, place.partition)
        return await _read_one(consumer, tp, place.offset) is not None
