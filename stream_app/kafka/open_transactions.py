"""Transactions that stay open: what they hold back, as the brokers tell; no worker is asked."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from stream_app.domain.overview import WithheldRow
from stream_app.kafka.admin import Admin
from stream_app.kafka.config_records import close, open_named, unreachable
from stream_app.kafka.hidden_writes import how_to_end
from stream_app.kafka.topic_facts import Place, ends_of, stable_ends, topic_facts

if TYPE_CHECKING:
    from stream_app.settings import Settings

READ_UNCOMMITTED = "read_uncommitted"
#: One that is open for less is normal work.
OPEN_SECONDS = 30.0
#: Clocks of brokers, producers and this machine may differ by this.
SKEW_MS = 60_000
_READ_SECONDS = 10.0
_POLL_MS = 200


async def long_open(settings: Settings, topics: Sequence[str]) -> list[WithheldRow]:
    """Return the partitions whose records a transaction holds back for long.

    Its first record says since when. Where that is a producer's own clock, and one that is ahead,
    it is told without it.

    Args:
        settings: where.
        topics: full names of topics.
    """
    async with Admin(settings) as client:
        facts = await topic_facts(client._client, topics)  # noqa: SLF001 - sends our own request
        partitions = [(name, number) for name, fact in facts.items() for number in fact.leaders]
        # In this order: what is written in between is held back by nobody.
        ends = await ends_of(client._client, partitions, facts)  # noqa: SLF001 - as above
        stable = await stable_ends(client._client, partitions, facts)  # noqa: SLF001 - as above
    behind = {place: at for place, at in stable.items() if ends.get(place, 0) > at}
    if not behind:
        return []
    now_ms = time.time_ns() // 1_000_000
    begun = await _begun(settings, behind)
    rows = []
    for place, at in sorted(behind.items()):
        begun_ms = begun.get(place)
        age_ms = None if begun_ms is None else now_ms - begun_ms
        if age_ms is not None and -SKEW_MS < age_ms < OPEN_SECONDS * 1000:
            continue
        since_ms = begun_ms if age_ms is not None and age_ms > 0 else None
        step = how_to_end(settings, place, at)
        rows.append(WithheldRow(*place, at, ends[place] - at, since_ms, step))
    return rows


async def _begun(settings: Settings, places: Mapping[Place, int]) -> dict[Place, int]:
    """Return the times (Unix ms) of the records at some offsets, in transactions or not."""
    times: dict[Place, int] = {}
    topics = sorted({topic for topic, _ in places})
    consumer = await open_named(settings, topics, isolation_level=READ_UNCOMMITTED)
    try:
        with unreachable(settings):
            wanted = {TopicPartition(*place): at for place, at in places.items()}
            consumer.pause(*(consumer.assignment() - set(wanted)))
            for tp, at in wanted.items():
                consumer.seek(tp, at)
            deadline = time.monotonic() + _READ_SECONDS
            while len(times) < len(wanted) and time.monotonic() < deadline:
                for tp, records in (await consumer.getmany(timeout_ms=_POLL_MS)).items():
                    times.setdefault((tp.topic, tp.partition), records[0].timestamp)
                    consumer.pause(tp)
    finally:
        await close(consumer)
    return times
