"""The triggers of a client in one source partition, with the windows that they count in now."""

from __future__ import annotations

import functools
from typing import Any

from stream_app.domain.counting.cells import TriggerCells
from stream_app.domain.counting.matching import ClientMatcher, CountingTrigger
from stream_app.domain.counting.windows import window_start

#: Before the first span.
UNSET = -1

#: Spans that are remembered, for all sets of periods.
SPAN_CACHE_SIZE = 1_000


class BoundTrigger:
    """A trigger in one partition, with the window and the span in which it counted last.

    `pending` is the number of events that are counted but not in the cell yet: a number here is
    quicker to change for each event than one in the cell.
    """

    __slots__ = ("cells", "keep", "key", "pending", "period", "span", "start")

    def __init__(self, trigger: CountingTrigger) -> None:
        self.key = trigger.key
        self.period = trigger.period
        self.keep = trigger.keep
        self.start = self.span = UNSET
        self.pending = 0
        self.cells: TriggerCells | None = None

    def add_pending(self) -> None:
        """Add the pending events to the cell."""
        if self.pending and self.cells is not None:
            self.cells.counts[self.start] += self.pending
            self.pending = 0


class BoundClient:
    """A client's triggers in one partition, and which of them match which signatures.

    A *span* is the time from `first` up to `end` in which no window of the client's triggers begins
    or ends. The windows of a span are looked up once for all its events. From the watermark
    `expiry` on, at least one of them takes no more events.

    `cached_parts` has the cacheable part of a signature by its cache key.
    """

    __slots__ = (
        "_bound",
        "_keeps",
        "cache_key",
        "cached_parts",
        "end",
        "expiry",
        "first",
        "lookups",
        "matches",
        "span",
        "triggers",
    )  # fmt: skip

    def __init__(self, triggers: ClientMatcher) -> None:
        self.triggers = triggers
        self.cache_key = triggers.cache_key
        self.lookups = triggers.lookups
        self.cached_parts: dict[Any, int] = {}
        self.matches: dict[int, tuple[BoundTrigger, ...]] = {}
        self.first = self.end = self.expiry = self.span = UNSET
        self._bound = {trigger.key: BoundTrigger(trigger) for trigger in triggers.triggers}
        self._keeps = tuple(sorted({(one.period, one.keep) for one in triggers.triggers}))

    def match(self, signature: int) -> tuple[BoundTrigger, ...]:
        """Return the triggers that count events of a signature."""
        found = self.triggers.of_signature(signature)
        return tuple(self._bound[trigger.key] for trigger in found)

    def enter_span(self, seconds: int) -> None:
        """Enter the span of the event time `seconds`. The client has triggers."""
        first = max(seconds - seconds % period for period, _ in self._keeps)
        self.first, self.end, self.expiry = _span_from(first, self._keeps)
        self.span += 1


@functools.lru_cache(maxsize=SPAN_CACHE_SIZE)
def _span_from(first: int, keeps: tuple[tuple[int, int], ...]) -> tuple[int, int, int]:
    """Return a span's first second, its end, and the watermark from which one window is closed.

    It is cached so that all clients share the same numbers, which each event is compared with.
    """
    starts = [(window_start(first, period), period, keep) for period, keep in keeps]
    return (
        first,
        min(start + period for start, period, _ in starts),
        min(start + keep for start, _, keep in starts),
    )
