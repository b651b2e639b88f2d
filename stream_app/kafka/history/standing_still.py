"""Which partitions stand still, by the offsets that the groups commit; no worker is asked.

A record that has waited for a minute may only be next in a long backlog. But if its partition gets
no new offset within some seconds, although workers are there, the partition stands still.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from stream_app.domain.reports.overview_rows import StuckPartitionRow
from stream_app.kafka.cluster.groups import read_role_groups
from stream_app.kafka.history.record_times import times_from

if TYPE_CHECKING:
    from stream_app.kafka.cluster.groups import GroupView
    from stream_app.kafka.cluster.topic_metadata import PartitionId
    from stream_app.settings import Settings

#: A record that has waited for less time is not checked further.
WAITED_MS = 60_000
#: Workers commit every second.
MOVE_SECONDS = 5.0


async def partitions_standing_still(
    settings: Settings,
    groups: Mapping[str, GroupView],
    starts: Mapping[PartitionId, int],
    ends: Mapping[PartitionId, int],
) -> list[StuckPartitionRow]:
    """Return the partitions that stand still; checking one that may takes some seconds.

    Args:
        settings: those of the installation.
        groups: the roles' groups, just read.
        starts: first offset of each partition.
        ends: last stable offset of each partition.
    """
    looked_at = time.monotonic()
    waiting: dict[PartitionId, tuple[str, int]] = {}
    for role, topics in settings.names.role_sources().items():
        for place, end in ends.items():
            if place[0] not in topics or not groups[role].members:
                continue
            at = max(starts[place], groups[role].committed.get(place, starts[place]))
            if at < end:
                waiting[place] = role, at
    if not waiting:
        return []
    times = await times_from(settings, {place: at for place, (_, at) in waiting.items()})
    oldest = time.time_ns() // 1_000_000 - WAITED_MS
    waiting = {place: row for place, row in waiting.items() if times.get(place, oldest) < oldest}
    if not waiting:
        return []
    await asyncio.sleep(max(0.0, MOVE_SECONDS - (time.monotonic() - looked_at)))
    later = await read_role_groups(settings)
    return [
        StuckPartitionRow(role, *place, at, times[place])
        for place, (role, at) in sorted(waiting.items())
        if max(starts[place], later[role].committed.get(place, starts[place])) == at
    ]
