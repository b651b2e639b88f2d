"""What a person should know of a trigger that is kept as it is, but does less than it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stream_app.domain.configuration.triggers import read_trigger


@dataclass(frozen=True)
class TriggerNotes:
    """`not_evaluated` as in `Trigger`; `tells_nobody`: it is evaluated, and no alert goes out."""

    not_evaluated: tuple[str, ...] = ()
    tells_nobody: bool = False

    def __str__(self) -> str:
        """Return both as one text; empty when there is nothing to say."""
        parts = []
        if self.not_evaluated:
            parts.append(f"not evaluated here: {', '.join(self.not_evaluated)}")
        if self.tells_nobody:
            parts.append("tells nobody: no integration is named")
        return "; ".join(parts)


def notes_of(record: Mapping[str, object]) -> TriggerNotes:
    """Return the notes on a trigger's record; its other problems, if any, do not matter here."""
    trigger, _ = read_trigger(record, allowed_periods=())
    return TriggerNotes(trigger.not_evaluated, trigger.tells_nobody)
