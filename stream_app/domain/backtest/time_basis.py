"""The time that a backtest's figures cover.

It is the time of the records, or of the events themselves if they were loaded in bulk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stream_app.domain.events.times import MAX_AHEAD_SECONDS

#: How long before the first record an event may have happened and still be within its time.
SLACK_SECONDS = MAX_AHEAD_SECONDS
#: Events that are further from all others than this have the time of a wrong clock.
GAP_SECONDS = 30 * 86400


@dataclass(frozen=True)
class TimeBasis:
    """The time (Unix ms) that the figures cover, and the windows (start -> events) within it.

    The time consists of whole windows, at least one. `is_loaded` says that it is the events' own
    time, not that of their records. `outside` are the windows that the figures leave out.
    """

    counts: Mapping[int, int]
    from_ms: int
    to_ms: int
    is_loaded: bool = False
    outside: Mapping[int, int] = field(default_factory=dict)


def choose_time_basis(
    counts: Mapping[int, int], period: int, from_ms: int, to_ms: int
) -> TimeBasis:
    """Choose the time that the figures cover: that of the records, or that of the events.

    If most of the events had happened before the first record was appended, they were loaded in
    bulk, and the time of their records says nothing. Late uploads beside live events are fewer.
    They are left out, because the records hold only a part of the events of that time.

    Args:
        counts: window start -> events.
        period: length of a window, in seconds.
        from_ms: beginning of the time of the records, Unix ms.
        to_ms: its end.
    """
    first = from_ms // 1000 // period * period
    begin = from_ms // 1000 - SLACK_SECONDS
    kept = {start: n for start, n in counts.items() if start + period > begin}
    is_loaded = 2 * sum(kept.values()) < sum(counts.values())
    if is_loaded:
        kept = _largest_group(counts)
        first, end = min(kept), max(kept) + period
    else:
        first = min([first, *kept])
        end = max(
            [-(-to_ms // (1000 * period)) * period, first + period, *(s + period for s in kept)]
        )
    outside = {start: n for start, n in counts.items() if start not in kept}
    return TimeBasis(kept, first * 1000, end * 1000, is_loaded, outside)


def _largest_group(counts: Mapping[int, int]) -> dict[int, int]:
    """Return the group of windows with most events among those that long gaps separate."""
    groups: list[dict[int, int]] = []
    before: int | None = None
    for start in sorted(counts):
        if before is None or start - before > GAP_SECONDS:
            groups.append({})
        groups[-1][start] = counts[start]
        before = start
    return max(groups, key=lambda group: sum(group.values()))
