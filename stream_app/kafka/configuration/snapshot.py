"""The configuration of this moment, for commands, which do not follow it."""

from __future__ import annotations

from stream_app.kafka.cluster.topics import VIEW_TOPICS
from stream_app.kafka.configuration.records import read_records
from stream_app.kafka.configuration.view import Configuration, RecordApplier
from stream_app.settings import Settings


async def read_configuration(settings: Settings) -> Configuration:
    """Return the configuration as workers see it, and log the records that cannot be used.

    Raises:
        KafkaUnreachableError: no broker answers.
        TopicMismatchError: a topic is missing.
    """
    applier = RecordApplier(settings)
    applier.apply(await read_records(settings, VIEW_TOPICS))
    return applier.configuration
