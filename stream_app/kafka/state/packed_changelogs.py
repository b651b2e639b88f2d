"""Prepares the changelogs of packed tables: new ones, and those that an older version has made.

An older version kept a record for each key and let compaction remove the overwritten ones. Packed
records have no key to compact by. Instead, the owner of a partition deletes what its snapshots
replace, which Kafka allows only with the clean-up policy `delete`; nothing may expire by time or
size.

A worker of an older version cannot read packed records and must not run beside this one, because
it would skip the partial counts in them. So before this worker joins the group, each changelog gets
a mark: a record at which an older worker ends when the next assignment makes it read there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from stream_app.domain.state import packed_log
from stream_app.kafka.cluster.broker_clock import BrokerClock
from stream_app.kafka.cluster.connection import connection_options
from stream_app.kafka.cluster.consumers import close
from stream_app.kafka.state.changelog_settings import override, topic_overrides
from stream_app.kafka.state.packed_table import PACKED_CONFIG, PackedTable
from stream_app.settings import Settings


async def prepare_packed_changelogs(
    settings: Settings,
    client: AIOKafkaAdminClient,
    tables: Sequence[PackedTable[Any]],
    clock: BrokerClock,
) -> None:
    """Set up the changelogs of packed tables for packed records."""
    topics = [table.changelog_topic_name for table in tables]
    found = await topic_overrides(client, topics)
    older = [name for name in topics if "delete" not in found[name].get("cleanup.policy", "")]
    await _write_marks(settings, tables, older, clock.now_ms())
    for name in older:
        await override(client, name, found[name], PACKED_CONFIG)


async def _write_marks(
    settings: Settings, tables: Sequence[PackedTable[Any]], older: Sequence[str], now_ms: int
) -> None:
    """Write the mark into the changelogs of older versions, and into empty ones."""
    places = [
        TopicPartition(table.changelog_topic_name, number)
        for table in tables
        for number in range(table.partitions)
    ]
    if not places:
        return
    consumer = AIOKafkaConsumer(**connection_options(settings), enable_auto_commit=False)
    await consumer.start()
    try:
        ends = await consumer.end_offsets(places)
    finally:
        await close(consumer)
    wanted = [tp for tp in places if tp.topic in older or not ends[tp]]
    if not wanted:
        return
    key, value = packed_log.mark()
    producer = AIOKafkaProducer(**connection_options(settings), acks="all")
    await producer.start()
    try:
        sent = [
            await producer.send(tp.topic, value, key, tp.partition, timestamp_ms=now_ms)
            for tp in wanted
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
