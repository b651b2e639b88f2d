"""The range of time that a backtest's figures cover.

It is the time of the records. Where events were loaded at once, it is the time of the events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stream_app.domain.events.times import MAX_AHEAD_SECONDS

#: An event may have happened so long before its record was appended and still be of the range.
SLACK_SECONDS = MAX_AHEAD_SECONDS
#: What lies further from the other windows than this has a wrong clock.
GAP_SECONDS = 30 * 86400


@dataclass(frozen=True)
class TimedCounts:
    """The windows (start -> events) in a range of time (Unix ms) that figures per day are made of.

    The range consists of whole windows, so it has at least one. `is_loaded` says that it is the
    events' own time, not that of their records. `outside` are the windows that lie elsewhere:
    figures leave them out.
    """

    counts: Mapping[int, int]
    from_ms: int
    to_ms: int
    is_loaded: bool = False
    outside: Mapping[int, int] = field(default_factory=dict)


def timed(counts: Mapping[int, int], period: int, from_ms: int, to_ms: int) -> TimedCounts:
    """Return the windows within the time of the records, given here, or within their own.

    It is their own where most of the events had happened before the first record was appended:
    then they were loaded at once, and the time of their records tells nothing. Late uploads beside
    live events are fewer, and are left out: of the time before, the records hold only a part.
    """
    first = from_ms // 1000 // period * period
    begin = from_ms // 1000 - SLACK_SECONDS
    kept = {start: n for start, n in counts.items() if start + period > begin}
    is_loaded = 2 * sum(kept.values()) < sum(counts.values())
    if is_loaded:
        kept = _together(counts)
        first, end = min(kept), max(kept) + period
    else:
        first = min([first, *kept])
        end = max(
            [-(-to_ms // (1000 * period)) * period, first + period, *(s + period for s in kept)]
        )
    outside = {start: n for start, n in counts.items() if start not in kept}
    return TimedCounts(kept, first * 1000, end * 1000, is_loaded, outside)


def _together(counts: Mapping[int, int]) -> dict[int, int]:
    """Return the windows of the largest group without a gap that no recording has."""
    groups: list[dict[int, int]] = []
    before: int | None = None
    for start in sorted(counts):
        if before is None or start - before > GAP_SECONDS:
            groups.append({})
        groups[-1][start] = counts[start]
        before = start
    return max(groups, key=lambda group: sum(group.values()))
