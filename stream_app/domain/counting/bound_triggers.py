"""The triggers of a client in one source partition, with the windows that they count in now."""

from __future__ import annotations

import functools
from typing import Any

from stream_app.domain.counting.cells import TriggerCells
from stream_app.domain.counting.matching import ClientTriggers, CompiledTrigger

#: Before the first turn.
UNSET = -1

#: Sets of periods, and times, whose turns are remembered.
TURN_CACHE_SIZE = 1_000


class BoundTrigger:
    """A trigger in one partition, with the window it counted last and the turn it did so.

    `pending` events are counted, and not yet in the cell: a number at hand in the place of one
    that is far away in memory, for each event.
    """

    __slots__ = ("cells", "keep", "key", "pending", "period", "start", "turn")

    def __init__(self, trigger: CompiledTrigger) -> None:
        self.key = trigger.key
        self.period = trigger.period
        self.keep = trigger.keep
        self.start = self.turn = UNSET
        self.pending = 0
        self.cells: TriggerCells | None = None

    def settle(self) -> None:
        """Add to the cell what is counted and not yet in it."""
        if self.pending and self.cells is not None:
            self.cells.counts[self.start] += self.pending
            self.pending = 0


class BoundClient:
    """A client's triggers in one partition, and which of them match which signatures.

    Which windows an event counts in is looked up once for all events of a *turn*: the times from
    `first` up to `end`, in which no window of the client's triggers begins or ends. From the
    watermark `expiry` on, one of these windows at least takes no more events.

    `few` remembers the part of the signature that the triggers' `values` of an event give.
    """

    __slots__ = (
        "_bound", "_keeps", "end", "expiry", "few", "first", "looks", "matches", "triggers",
        "turn", "values",
    )  # fmt: skip

    def __init__(self, triggers: ClientTriggers) -> None:
        self.triggers = triggers
        self.values = triggers.values
        self.looks = triggers.looks
        self.few: dict[Any, int] = {}
        self.matches: dict[int, tuple[BoundTrigger, ...]] = {}
        self.first = self.end = self.expiry = self.turn = UNSET
        self._bound = {trigger.key: BoundTrigger(trigger) for trigger in triggers.triggers}
        self._keeps = tuple(sorted({(one.period, one.keep) for one in triggers.triggers}))

    def match(self, signature: int) -> tuple[BoundTrigger, ...]:
        """Find out which triggers count events of a signature."""
        found = self.triggers.of_signature(signature)
        return tuple(self._bound[trigger.key] for trigger in found)

    def turn_to(self, seconds: int) -> None:
        """Begin the turn that the event time `seconds` is in; the client has triggers."""
        first = max(seconds - seconds % period for period, _ in self._keeps)
        self.first, self.end, self.expiry = _turn_from(first, self._keeps)
        self.turn += 1


@functools.lru_cache(maxsize=TURN_CACHE_SIZE)
def _turn_from(first: int, keeps: tuple[tuple[int, int], ...]) -> tuple[int, int, int]:
    """Return first and end of a turn, and the watermark from which a window of it is closed.

    Remembered, so that all clients look at the same numbers: each event compares its time.
    """
    starts = [(first - first % period, period, keep) for period, keep in keeps]
    return (
        first,
        min(start + period for start, period, _ in starts),
        min(start + keep for start, _, keep in starts),
    )
