"""The configuration of today, and the earlier versions that its topics still hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.explanation.versions import TriggerVersion, TriggerVersions
from stream_app.kafka.cluster.topics import VIEW_TOPICS, Topic
from stream_app.kafka.configuration.records import id_of_key, read_records
from stream_app.kafka.configuration.view import Configuration, RecordApplier
from stream_app.settings import Settings


@dataclass
class ConfigurationHistory:
    """Today's configuration and what is known of earlier ones.

    `client_since_ms` is when the first known record of each client was written, Unix ms.
    """

    today: Configuration
    versions: TriggerVersions = field(default_factory=TriggerVersions)
    client_since_ms: dict[int, int] = field(default_factory=dict)


async def read_configuration_history(settings: Settings) -> ConfigurationHistory:
    """Return the configuration as workers see it, and every older record that is still kept.

    Raises:
        KafkaUnreachableError: no broker answers.
        TopicMismatchError: a topic is missing.
    """
    applier, triggers = RecordApplier(settings), settings.names(Topic.TRIGGERS)
    history = ConfigurationHistory(applier.configuration)
    records = await read_records(settings, VIEW_TOPICS)
    applier.apply(records)
    for record in records:
        _note(history, record, applier.read_alone(record), triggers)
    return history


def _note(history: ConfigurationHistory, record: Any, found: Any, triggers: str) -> None:
    """Note one version of an object; `found` is the object, or None if there is none."""
    number = id_of_key(record.key)
    if number is None:
        return
    if record.topic == triggers:
        trigger = found if isinstance(found, Trigger) else None
        history.versions.add(number, TriggerVersion(record.timestamp, trigger))
    elif isinstance(found, Client):
        history.client_since_ms.setdefault(number, record.timestamp)
