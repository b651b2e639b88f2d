"""The results of counting an event, and how many events had each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from stream_app.domain.counting.exclusions import Exclusion
from stream_app.domain.counting.windows import CellKey
from stream_app.domain.events.parts_decoder import Rejected


@dataclass
class Tally:
    """How many of the events of one call had which result."""

    counted: int = 0
    unmatched: int = 0
    experimental: int = 0
    unsampled: int = 0
    false_positive: int = 0
    late: int = 0
    skipped: int = 0
    #: Of the counted ones, those of the pulse.
    pulses: int = 0
    rejected: list[tuple[Any, Rejected]] = field(default_factory=list)
    #: How many events came late for each window.
    late_windows: Counter[CellKey] = field(default_factory=Counter)

    def exclude(self, exclusions: Iterable[Exclusion]) -> None:
        """Add one event for each of the exclusions."""
        for name, number in Counter(exclusions).items():
            setattr(self, name, getattr(self, name) + number)


class EventResult(StrEnum):
    """The results in the metrics. All but the last are fields of a `Tally`."""

    COUNTED = "counted"
    UNMATCHED = "unmatched"
    EXPERIMENTAL = Exclusion.EXPERIMENTAL.value
    UNSAMPLED = Exclusion.UNSAMPLED.value
    FALSE_POSITIVE = Exclusion.FALSE_POSITIVE.value
    REJECTED = "rejected"
