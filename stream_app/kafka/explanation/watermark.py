"""The watermark that a partition had before a record: it decides whether the record is late."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

from stream_app.domain.dead_letters.dead_letter import Place
from stream_app.domain.explanation.event_verdicts import EventExplainer, largest_watermark
from stream_app.domain.state.keys import NEVER
from stream_app.kafka.cluster.topics import Topic
from stream_app.kafka.history.event_log import EventLog
from stream_app.kafka.history.newest_records import ReportRead, read_newest
from stream_app.settings import Settings

#: Most records that are read before the one in question.
MOST = 1_000_000
_FIRST_SLICE = 2_000
#: Records at the end of a topic in which its newest event is looked for.
_NEWEST = 2_000


class WatermarkBefore(NamedTuple):
    """A watermark in Unix seconds. Unless it `is_certain`, records that were not read may raise it.

    It may be lower than the real one where that makes no difference.
    """

    value: int = NEVER
    is_certain: bool = True


#: Lateness decides nothing, so nothing was read.
NOTHING_NEEDED = WatermarkBefore()


async def watermark_before(
    settings: Settings,
    place: Place,
    record: Any,
    explainer: EventExplainer,
    now_ms: int,
    report: ReportRead,
) -> WatermarkBefore:
    """Return the watermark of a partition before a record, as far as it decides about lateness.

    No event can be far ahead of its append time, so most records need no look at earlier ones.
    """
    expiries = explainer.expiries(record)
    if expiries is None or expiries[0] > largest_watermark(record, now_ms):
        return NOTHING_NEEDED
    watermark, size, read = explainer.new_watermark(), _FIRST_SLICE, 0
    async with EventLog(settings, [place.topic]) as log:
        low = await log.first_offset(place.topic, place.partition)
        end, oldest = place.offset, record
        while end > low and read < MOST and watermark.value < expiries[1]:
            start = max(low, end - size)
            first: Any = None
            parts = log.read_part(place.topic, place.partition, start, end - 1)
            async with contextlib.aclosing(parts):
                async for records in parts:
                    if records:
                        first = records[0] if first is None else first
                        watermark.take(records)
                        read += len(records)
                        report(read, min(place.offset - low, MOST))
            oldest = oldest if first is None else first
            end, size = start, size * 4
    is_decided = watermark.value >= expiries[1]
    is_all = end <= low and (low == 0 or largest_watermark(oldest, now_ms) < expiries[0])
    return WatermarkBefore(watermark.value, is_decided or is_all)


async def newest_watermark(
    settings: Settings, topic: Topic, explainer: EventExplainer, report: ReportRead
) -> WatermarkBefore:
    """Return the largest event time among the newest records of a topic.

    A record that is written now may come to any partition, so this is what can make it late.
    """
    watermark = explainer.new_watermark()
    await read_newest(
        settings,
        [settings.names(topic)],
        lambda record: watermark.take([record]),
        most=_NEWEST,
        progress=report,
    )
    return WatermarkBefore(watermark.value, is_certain=False)
