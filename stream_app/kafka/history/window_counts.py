"""How many events the window of an alert has counted: an alert holds no count.

The detector's own partial counts tell it. When their topic no longer has them, the events are
counted again, by the trigger as the alert holds it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from stream_app.domain.configuration.clients import Client
from stream_app.domain.counting.partial_counts import decode_partial_counts
from stream_app.domain.counting.window_sum import WindowSum
from stream_app.domain.counting.windows import CellKey, retention_seconds
from stream_app.domain.errors import StreamAppError
from stream_app.domain.events.model import KIND_OF_CONDITION
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.domain.events.times import MAX_AHEAD_SECONDS
from stream_app.domain.replay.counting_replay import CountingReplay
from stream_app.domain.replay.ranges import Bound, Range
from stream_app.domain.replay.recorded_alerts import window_of
from stream_app.domain.replay.recorded_triggers import recorded_trigger
from stream_app.kafka.cluster.consumers import reading, records_to_end, seek_to_time
from stream_app.kafka.cluster.topics import TOPIC_OF_KIND, Topic
from stream_app.kafka.engine.batched_sends import partition_of_key
from stream_app.kafka.history.event_log import EventLog

if TYPE_CHECKING:
    from stream_app.domain.alerts.alert import Alert
    from stream_app.kafka.history.newest_records import ReportRead
    from stream_app.settings import Settings

#: Most records of a topic that are read for one window.
MOST = 1_000_000
#: Events that are counted again were appended at most this long after the alert or the window.
_AFTER_MS = 600_000


@dataclass(frozen=True)
class ObservedCount:
    """How many events a window has counted; `is_whole` is false if there may be more."""

    count: int
    is_whole: bool = True


async def read_observed_count(
    settings: Settings, alert: Alert, fired_ms: int, progress: ReportRead
) -> ObservedCount | None:
    """Return how many events the window of an alert has counted up to now.

    Args:
        settings: those of the installation.
        alert: whose window is meant.
        fired_ms: when the alert was appended, Unix ms.
        progress: called with the progress of the read.

    Returns:
        None if neither the counts nor the events are kept any more.
    """
    # An event is not counted before its window begins, unless a clock is ahead.
    since_ms = (alert.window_start - MAX_AHEAD_SECONDS) * 1000
    last_ms = max(fired_ms, alert.window_end * 1000)
    found = await read_counted(settings, window_of(alert), since_ms, last_ms)
    if found is None:
        found = await _count_again(settings, alert, since_ms, last_ms + _AFTER_MS, progress)
    return found


async def read_counted(
    settings: Settings, window: CellKey, since_ms: int, last_ms: int
) -> ObservedCount | None:
    """Return the detector's count of a window from `counts`; None: the topic has none of it.

    Args:
        settings: those of the installation.
        window: its key.
        since_ms: time from which on it may have been counted, Unix ms.
        last_ms: time of its last known event; late ones may follow for as long as it is kept.
    """
    name, start = window
    _, trigger_id, revision, period = name.split(":")
    topic = settings.names(Topic.COUNTS)
    needle = f'"{revision}"'.encode()
    until_ms = last_ms + retention_seconds(int(period)) * 1000
    counted, read = WindowSum(), 0
    async with reading(settings, [topic]) as consumer:
        number = partition_of_key(trigger_id.encode(), len(consumer.assignment()))
        consumer.assign([TopicPartition(topic, number)])
        await seek_to_time(consumer, since_ms)
        async for record in records_to_end(consumer):
            read += 1
            if record.timestamp > until_ms or read > MOST:
                break
            if needle not in (record.value or b""):
                continue
            with contextlib.suppress(*DECODE_ERRORS, TypeError):
                for part in decode_partial_counts(record.value).triggers:
                    rows = part.windows if part.name == name else ()
                    found = [(source, count) for at, source, count in rows if at == start]
                    counted.merge(found, fired=False, seen_ms=0)
    return ObservedCount(counted.total, read <= MOST) if counted.total else None


async def _count_again(
    settings: Settings, alert: Alert, since_ms: int, until_ms: int, progress: ReportRead
) -> ObservedCount | None:
    kind, trigger = KIND_OF_CONDITION.get(alert.trigger.template_id), recorded_trigger(alert)
    if kind is None:
        return None
    client = Client(alert.client_id, alert.client_name, alert.cloud, {})
    topic = settings.names(TOPIC_OF_KIND[kind])
    window = window_of(alert, trigger.revision)
    async with EventLog(settings, [topic]) as log:
        try:
            await log.select(Range(Bound(since_ms), Bound(until_ms)))
        except StreamAppError:
            return None  # nothing is left of that time
        counting = CountingReplay(kind, {client.client_id: client}, [trigger], None, [window])
        async for tp, records, _ in log.batches(lambda done: progress(done, log.spans.size)):
            counting.replay(tp.partition, records)
            if log.records > MOST:
                break
        is_whole = log.records <= MOST
    total = counting.total(window)
    return ObservedCount(total, is_whole) if total else None
