"""Transactions that stay open, and what they hold back; only the brokers are asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stream_app.domain.reports.problems import Problem, amount
from stream_app.domain.times import iso_utc
from stream_app.kafka.cluster.admin import Admin
from stream_app.kafka.cluster.topic_metadata import (
    PartitionId,
    ends_of,
    stable_ends,
    topic_metadata,
)
from stream_app.kafka.configuration.hidden_writes import how_to_end
from stream_app.kafka.history.record_times import times_from

if TYPE_CHECKING:
    from stream_app.settings import Settings

READ_UNCOMMITTED = "read_uncommitted"
#: A transaction that is open for less time is normal work.
OPEN_SECONDS = 30.0
#: One that seems to be open for longer is looked at again after this time.
STAY_SECONDS = 3.0
#: The clocks of brokers, producers and this machine may differ by this much.
SKEW_MS = 60_000


async def long_open(settings: Settings, topics: Sequence[str]) -> list[Problem]:
    """Return a problem for each partition where a transaction has held records back for long.

    The transaction's first record says since when. That time may come from a producer's clock. So
    a transaction that seems old must stay open for another moment, and one whose time lies ahead
    is reported without a time.

    Args:
        settings: those of the installation.
        topics: full names of topics.
    """
    now_ms = time.time_ns() // 1_000_000
    behind = await _behind(settings, topics)
    times = {place: at for place, (at, _) in behind.items()}
    begun = await times_from(settings, times, isolation_level=READ_UNCOMMITTED) if behind else {}
    ages = {place: now_ms - begun_ms for place, begun_ms in begun.items()}
    long = [p for p in behind if not -SKEW_MS < ages.get(p, -SKEW_MS) < OPEN_SECONDS * 1000]
    if not long:
        return []
    await asyncio.sleep(STAY_SECONDS)
    later = await _behind(settings, topics)
    problems = []
    for place in sorted(long):
        at, _ = behind[place]
        at_later, end = later.get(place, (None, 0))
        if at == at_later:
            topic, partition = place
            since = f" since {iso_utc(begun[place])}" if ages.get(place, -1) >= 0 else ""
            what = (
                f"{topic} partition {partition}: a transaction is open at offset {at}{since}: "
                f"nobody sees the {amount(end - at, 'record')} from there on"
            )
            problems.append(Problem(what, how_to_end(settings, place, at)))
    return problems


async def _behind(settings: Settings, topics: Sequence[str]) -> dict[PartitionId, tuple[int, int]]:
    """Return the last stable offset and the end of the partitions where these differ."""
    async with Admin(settings) as client:
        facts = await topic_metadata(client.kafka, topics)
        partitions = [(name, number) for name, fact in facts.items() for number in fact.leaders]
        # In this order, so that records written in between do not count as held back.
        ends = await ends_of(client.kafka, partitions, facts)
        stable = await stable_ends(client.kafka, partitions, facts)
    return {place: (at, ends[place]) for place, at in stable.items() if ends.get(place, 0) > at}
