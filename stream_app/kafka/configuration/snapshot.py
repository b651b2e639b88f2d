"""The configuration of this moment, for commands, which do not follow it."""

from __future__ import annotations

import asyncio

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
    consumer = await open_configuration(settings, VIEW_TOPICS)
    try:
        with kafka_errors(settings):
            async with asyncio.timeout(READ_SECONDS):
                async for batch in batches_to_end(consumer):
                    if batch:
                        applier.apply(batch)
    finally:
        await close(consumer)
    return applier.configuration
