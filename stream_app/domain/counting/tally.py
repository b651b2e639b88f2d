"""What becomes of events: the closed list, and how many of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from stream_app.domain.counting.windows import CellKey
from stream_app.domain.events.parts_decoder import Rejected


@dataclass
class Tally:
    """What became of the events of a call, for the metrics."""

    counted: int = 0
    unmatched: int = 0
    experimental: int = 0
    unsampled: int = 0
    false_positive: int = 0
    late: int = 0
    skipped: int = 0
    rejected: list[tuple[Any, Rejected]] = field(default_factory=list)
    #: How many events came late for each window.
    late_windows: Counter[CellKey] = field(default_factory=Counter)


class EventResult(StrEnum):
    """What became of an event; all but the last are counts of a `Tally`."""

    COUNTED = "counted"
    UNMATCHED = "unmatched"
    EXPERIMENTAL = "experimental"
    UNSAMPLED = "unsampled"
    FALSE_POSITIVE = "false_positive"
    REJECTED = "rejected"
