"""The changelogs of packed tables, new ones and those that an older version has made.

An older version kept a record for each key and let compaction take the overwritten ones. Packed
records have no key to compact by: the owner of a partition deletes what its snapshots stand for,
which Kafka allows only where the clean-up is `delete`. Time and size must delete nothing.

A worker of an older version cannot read packed records, and must not go on beside this one: it
would pass over the partial counts in packed records. So before this worker joins the group, each
changelog gets a record that such a worker ends at, when the next assignment makes it read there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from stream_app.domain import packed_log
from stream_app.kafka.admin import connection_options
from stream_app.kafka.packed_table import PACKED_CONFIG, PackedTable
from stream_app.logs import get_logger
from stream_app.settings import Settings

log = get_logger(__name__)

#: Where a topic's setting comes from: itself, not a default of the broker's.
OF_THE_TOPIC = 1


async def prepare_packed(
    settings: Settings, client: AIOKafkaAdminClient, tables: Sequence[PackedTable[Any]]
) -> None:
    """Have the changelogs of packed tables ready for packed records."""
    topics = [table.changelog_topic_name for table in tables]
    found = await _own_settings(client, topics)
    older = [name for name in topics if "delete" not in found[name].get("cleanup.policy", "")]
    await _mark(settings, tables, older)
    for name in older:
        await _alter(client, name, found[name] | PACKED_CONFIG)


async def _own_settings(
    client: AIOKafkaAdminClient, topics: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Return the settings that topics have of their own."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in topics]
    found: dict[str, dict[str, str]] = {}
    for response in await client.describe_configs(resources) if resources else ():
        for error, text, _, name, entries in response.resources:
            if error:
                raise for_code(error)(f"{name}: {text or 'its settings are not told'}")
            found[name] = {entry[0]: entry[1] for entry in entries if entry[3] == OF_THE_TOPIC}
    return found


async def _mark(
    settings: Settings, tables: Sequence[PackedTable[Any]], older: Sequence[str]
) -> None:
    """Put the mark into changelogs of older versions, and into empty ones."""
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
        await consumer.stop()
    wanted = [tp for tp in places if tp.topic in older or not ends[tp]]
    if not wanted:
        return
    key, value = packed_log.mark()
    producer = AIOKafkaProducer(**connection_options(settings), acks="all")
    await producer.start()
    try:
        sent = [await producer.send(tp.topic, value, key, tp.partition) for tp in wanted]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def _alter(client: AIOKafkaAdminClient, name: str, config: dict[str, str]) -> None:
    """Give a topic its settings, all of them: those that are left out go back to the defaults."""
    resource = ConfigResource(ConfigResourceType.TOPIC, name, config)
    for response in await client.alter_configs([resource]):
        for error, text, *_ in response.resources:
            if not error:
                log.info("changelog_taken_over", changelog=name)
                continue
            log.warning(
                "changelog_settings_refused",
                changelog=name,
                why=f"{for_code(error).__name__}: {text or ''}",
                then="it grows: set cleanup.policy=delete, retention.ms=-1, retention.bytes=-1",
            )
