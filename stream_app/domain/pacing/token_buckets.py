"""Token buckets: they bound how fast groups may start items."""

from __future__ import annotations

import math


class TokenBuckets:
    """A token bucket for each group.

    Args:
        per_second: the tokens that each bucket gains in a second. It holds as many, at least one.
    """

    def __init__(self, per_second: float) -> None:
        self._per_ms = per_second / 1000
        self._most = max(1.0, per_second)
        #: Group -> how many tokens were left, and when (Unix ms).
        self._buckets: dict[int, tuple[float, int]] = {}

    def take(self, group: int, now_ms: int) -> int:
        """Take a token for an item that starts now; return when the next may start (Unix ms)."""
        tokens, since_ms = self._buckets.get(group, (self._most, now_ms))
        tokens = min(self._most, tokens + max(0, now_ms - since_ms) * self._per_ms) - 1
        self._buckets[group] = tokens, now_ms
        return now_ms if tokens >= 1 else now_ms + math.ceil((1 - tokens) / self._per_ms)
