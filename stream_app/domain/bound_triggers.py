"""The triggers of a client in one source partition, with the windows that they count in now."""

from __future__ import annotations

from typing import Any

from stream_app.domain.matching import ClientTriggers, CompiledTrigger

#: Before the first turn.
UNSET = -1

#: [count, offset of the last event counted, that offset at the last flush]
Cell = list[int]


class BoundTrigger:
    """A trigger in one partition, with the window it counted last and the turn it did so."""

    __slots__ = ("cell", "keep", "key", "period", "start", "turn")

    def __init__(self, trigger: CompiledTrigger) -> None:
        self.key = trigger.key
        self.period = trigger.period
        self.keep = trigger.keep
        self.start = self.turn = UNSET
        self.cell: Cell = []


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
        self._keeps = {trigger.period: trigger.keep for trigger in triggers.triggers}

    def match(self, signature: int) -> tuple[BoundTrigger, ...]:
        """Find out which triggers count events of a signature."""
        found = self.triggers.of_signature(signature)
        return tuple(self._bound[trigger.key] for trigger in found)

    def turn_to(self, seconds: int) -> None:
        """Begin the turn that the event time `seconds` is in; the client has triggers."""
        starts = [(seconds - seconds % period, period) for period in self._keeps]
        self.first = max(start for start, _ in starts)
        self.end = min(start + period for start, period in starts)
        self.expiry = min(start + self._keeps[period] for start, period in starts)
        self.turn += 1
