"""What a backtest has found, in the figures by which a person chooses a threshold."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from stream_app.domain.backtest import Sample
from stream_app.domain.replaying import Figures
from stream_app.domain.triggers import Trigger

DAY_SECONDS = 86400
#: Rates that people choose a threshold by, as days for one alert.
_RATES = ((0.1, "at most 10 a day"), (1.0, "at most 1 a day"), (7.0, "at most 1 a week"))
_STEPS = (1, 2, 5)
#: One in so many windows may have a time far from the others.
_STRAYS = 100


class Window(NamedTuple):
    """A window by its start (Unix seconds), and how many events it holds."""

    start: int
    events: int


class ThresholdRow(NamedTuple):
    """What a threshold would have meant; `worst_day` is the most alerts of one day (UTC)."""

    threshold: int
    alerts: int
    per_day: float
    worst_day: int
    note: str = ""


@dataclass(frozen=True)
class Findings:
    """All that a backtest has found.

    `from_ms` and `to_ms` are the time that the figures a day are of (`time_of` tells it). `samples`
    holds events of the busiest windows, by window start.
    """

    trigger: Trigger
    counts: Mapping[int, int]
    figures: Figures
    records: int
    from_ms: int
    to_ms: int
    samples: Mapping[int, Sequence[Sample]]
    is_loaded: bool = False

    @property
    def threshold(self) -> int:
        """The threshold of the trigger as it stands."""
        return self.trigger.threshold.count if self.trigger.threshold is not None else 0

    @property
    def period(self) -> int:
        """The length of a window, in seconds."""
        return self.trigger.threshold.period if self.trigger.threshold is not None else 1

    @property
    def days(self) -> float:
        """How many days were read."""
        return max(1, self.to_ms - self.from_ms) / 1000 / DAY_SECONDS

    @property
    def late(self) -> int:
        """How many of the events came late."""
        return self.figures.results["late"]

    @property
    def events(self) -> int:
        """How many events the windows hold, the late ones included."""
        return self.figures.results["counted"] + self.late

    @cached_property
    def _sorted(self) -> list[int]:
        return sorted(self.counts.values())

    @property
    def largest(self) -> int:
        """The largest count of a window."""
        return self._sorted[-1] if self._sorted else 0

    def alerts_at(self, threshold: int) -> int:
        """Return how many windows exceed a threshold."""
        return len(self._sorted) - bisect_right(self._sorted, threshold)

    def fired(self) -> list[Window]:
        """Return the windows that exceed the trigger's threshold, the oldest first."""
        return sorted(Window(s, n) for s, n in self.counts.items() if n > self.threshold)

    def busiest(self, number: int) -> list[Window]:
        """Return the windows with most events, the largest first, of equal ones the oldest."""
        return busiest(self.counts, number)

    def rows(self) -> list[ThresholdRow]:
        """Return what thresholds would have meant, the lowest first."""
        notes = self._notes()
        found: list[ThresholdRow] = []
        for threshold in sorted({*_steps(self.largest), *notes}):
            alerts = self.alerts_at(threshold)
            note = ", ".join(notes.get(threshold, ()))
            if found and alerts == found[-1].alerts and not note:
                continue  # it would change nothing
            worst = self._worst_day(threshold)
            found.append(ThresholdRow(threshold, alerts, alerts / self.days, worst, note))
        return found

    def _notes(self) -> dict[int, list[str]]:
        notes: dict[int, list[str]] = {self.threshold: ["as it is"]}
        for days_each, text in _RATES:
            if self.days >= days_each:
                allowed = math.floor(self.days / days_each)
                chosen = self._sorted[-allowed - 1] if allowed < len(self._sorted) else 0
                notes.setdefault(chosen, []).append(text)
        notes.setdefault(self.largest, []).append("never")
        return notes

    def _worst_day(self, threshold: int) -> int:
        days = Counter(s // DAY_SECONDS for s, n in self.counts.items() if n > threshold)
        return max(days.values(), default=0)

    def timeline(self, columns: int) -> list[int]:
        """Return the largest count of a window in each of so many equal parts of the time read."""
        begin, end = self.from_ms / 1000, max(self.to_ms / 1000, self.from_ms / 1000 + 1)
        columns = max(1, min(columns, math.ceil((end - begin) / self.period)))
        width = (end - begin) / columns
        found = [0] * columns
        for start, count in self.counts.items():
            if start + self.period <= begin or start >= end:
                continue
            first = max(0, int((start - begin) / width))
            last = min(columns - 1, math.ceil((start + self.period - begin) / width) - 1)
            for column in range(first, max(first, last) + 1):
                found[column] = max(found[column], count)
        return found


def time_of(
    counts: Mapping[int, int], period: int, from_ms: int, to_ms: int
) -> tuple[int, int, bool]:
    """Return the time (Unix ms) that a backtest's figures a day are of.

    It is that of the records, given here, unless the events took longer to happen: those were
    loaded at once, and their own time tells, without the strays at both its ends.

    Returns:
        From, to, and whether it is that of the events.
    """
    starts = sorted(counts)
    if not starts:
        return from_ms, to_ms, False
    stray = len(starts) // _STRAYS
    first, last = starts[stray] * 1000, (starts[-1 - stray] + period) * 1000
    # One window more: the last may just have begun.
    if last - first > to_ms - from_ms + 2 * period * 1000:
        return first, last, True
    return from_ms, to_ms, False


def busiest(counts: Mapping[int, int], number: int) -> list[Window]:
    """Return the windows with most events, the largest first, of equal ones the oldest."""
    rows = (Window(start, count) for start, count in counts.items())
    return heapq.nsmallest(number, rows, key=lambda row: (-row.events, row.start))


def _steps(largest: int) -> list[int]:
    """Return 0, 1, 2, 5, 10, 20, 50 and so on, below the largest count."""
    powers = range(len(str(largest)))
    return [0, *(s * 10**p for p in powers for s in _STEPS if s * 10**p < largest)]
