"""The times of single records, by partition and offset."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from stream_app.kafka.cluster.consumers import reading
from stream_app.kafka.records.fetcher import READ_COMMITTED

if TYPE_CHECKING:
    from stream_app.kafka.cluster.topic_metadata import PartitionId
    from stream_app.settings import Settings

#: Longest time to look for the records.
_READ_SECONDS = 10.0
_POLL_MS = 200


async def times_from(
    settings: Settings, offsets: Mapping[PartitionId, int], *, isolation_level: str = READ_COMMITTED
) -> dict[PartitionId, int]:
    """Return the time (Unix ms) of the first record from an offset of each partition on."""
    times: dict[PartitionId, int] = {}
    topics = sorted({topic for topic, _ in offsets})
    async with reading(settings, topics, isolation_level=isolation_level) as consumer:
        wanted = {TopicPartition(*place): at for place, at in offsets.items()}
        consumer.pause(*(consumer.assignment() - set(wanted)))
        for tp, at in wanted.items():
            consumer.seek(tp, at)
        deadline = time.monotonic() + _READ_SECONDS
        while len(times) < len(wanted) and time.monotonic() < deadline:
            for tp, records in (await consumer.getmany(timeout_ms=_POLL_MS)).items():
                times.setdefault(tp, records[0].timestamp)
                consumer.pause(tp)
    return times
