"""The configuration of this moment, for commands, which do not follow it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from stream_app.kafka.cluster.connection import READ_SECONDS, kafka_errors
from stream_app.kafka.cluster.consumers import batches_to_end, close
from stream_app.kafka.cluster.topics import VIEW_TOPICS
from stream_app.kafka.configuration.records import open_configuration
from stream_app.kafka.configuration.view import Configuration, RecordApplier
from stream_app.settings import Settings


async def read_configuration(settings: Settings) -> Configuration:
    """Return the configuration as workers see it, and log the records that cannot be used.

    Raises:
        KafkaUnreachableError: no broker answers.
        TopicMismatchError: a topic is missing.
    """
    applier = RecordApplier(settings)
    await apply_stored(settings, applier)
    return applier.configuration


async def apply_stored(
    settings: Settings, applier: RecordApplier, seen: Callable[[Any], None] = lambda _: None
) -> None:
    """Have an applier take every record of the configuration that is kept; `seen` gets each, too.

    Raises:
        KafkaUnreachableError: no broker answers.
        TopicMismatchError: a topic is missing.
    """
    consumer = await open_configuration(settings, VIEW_TOPICS)
    try:
        with kafka_errors(settings):
            async with asyncio.timeout(READ_SECONDS):
                async for batch in batches_to_end(consumer):
                    if batch:
                        applier.apply(batch)
                    for record in batch:
                        seen(record)
    finally:
        await close(consumer)
