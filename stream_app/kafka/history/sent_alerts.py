"""The alerts on an installation's topic, and the partition counts of its topics."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stream_app.domain.alerts.alert import Alert, NoticeAlert
from stream_app.domain.errors import TopicMismatchError
from stream_app.domain.replay.recorded_alerts import RecordedAlerts
from stream_app.kafka.cluster.admin import Admin, partition_counts
from stream_app.kafka.cluster.consumers import reading, records_to_end
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.settings import Settings


async def read_sent_alerts(
    settings: Settings, prefix: str, wanted: Callable[[Alert | NoticeAlert], bool]
) -> RecordedAlerts:
    """Return the alerts that an installation has sent; `prefix` is that of its topics.

    All of the topic is read, because an alert may be appended long after its window if a worker
    was down.

    Raises:
        KafkaUnreachableError: no broker answers, or they stop answering.
        TopicMismatchError: the topic is missing.
    """
    recorded = RecordedAlerts()
    async with reading(settings, [TopicNames(prefix)(Topic.ALERTS)]) as consumer:
        async for record in records_to_end(consumer):
            recorded.add_record(record.value, wanted)
    return recorded


async def partition_differences(
    settings: Settings, prefix: str, counts: Mapping[Topic, int]
) -> dict[Topic, str]:
    """Return the topics whose partition count differs from the replayed one, and both counts.

    Raises:
        TopicMismatchError: an installation of this prefix has no such topic.
    """
    names = TopicNames(prefix)
    async with Admin(settings) as client:
        found = await partition_counts(client, map(names, counts))
    for topic in counts:
        if names(topic) not in found:
            raise TopicMismatchError(f"topic {names(topic)} does not exist: check the prefix")
    return {
        topic: f"{names(topic)} has {found[names(topic)]} partitions, {count} were replayed"
        for topic, count in counts.items()
        if found[names(topic)] != count
    }
