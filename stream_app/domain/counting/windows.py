"""Tumbling windows in event time, aligned to the epoch.

A window of a period of `p` seconds starts at `t - t % p` and ends at `start + p`. It is kept
open for late events until the watermark (the largest event time of the partition) has passed
its end by the retention: 1,000 periods, at least one hour and at most one day.
"""

from __future__ import annotations

RETENTION_PERIODS = 1000
MIN_RETENTION_SECONDS = 3600
MAX_RETENTION_SECONDS = 86400


def window_start(seconds: int, period: int) -> int:
    """Return the start (Unix seconds) of the window that holds the time `seconds`.

    Code that runs for each event does the same without a call.
    """
    return seconds - seconds % period


def retention_seconds(period: int) -> int:
    """Return how long after its end a window of `period` seconds still takes late events."""
    return min(max(RETENTION_PERIODS * period, MIN_RETENTION_SECONDS), MAX_RETENTION_SECONDS)


def keep_seconds(period: int) -> int:
    """Return how far after a window's start the watermark is when the window expires."""
    return period + retention_seconds(period)


#: Key of the trigger's counts, and the start of the window (Unix seconds).
CellKey = tuple[str, int]


def counts_key(client_id: int, trigger_id: int, revision: str, period: int) -> str:
    """Return the key of a trigger's counts: the counts of one key belong together."""
    return f"{client_id}:{trigger_id}:{revision}:{period}"
