"""The findings of a backtest: the figures by which a person chooses a threshold."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from stream_app.domain.backtest.backtest import EventSample
from stream_app.domain.backtest.pages import SHOWN_OPTIONS, PagesRow, pages_rows
from stream_app.domain.configuration.repeat_options import RepeatOptions
from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.episodes.episode import FiredWindow
from stream_app.domain.replay.counting_replay import ReplayFigures

DAY_SECONDS = 86400
WEEK_SECONDS = 7 * DAY_SECONDS
#: The rates for which a threshold is suggested: the most alerts of any day (UTC), or of any seven
#: days counted from the first one.
_RATES = (
    (10, DAY_SECONDS, "at most 10 a day"),
    (1, DAY_SECONDS, "at most 1 a day"),
    (1, WEEK_SECONDS, "at most 1 a week"),
)
_STEPS = (1, 2, 5)
#: A shorter time is too short for figures per day.
_MIN_RATED_SECONDS = 3600


class Window(NamedTuple):
    """A window: its start (Unix seconds) and how many events it holds."""

    start: int
    events: int


class ThresholdRow(NamedTuple):
    """How many alerts a threshold would have given.

    `per_day` is an average, or None if the time is too short for one. `worst_day` is the most
    alerts of one day (UTC).
    """

    threshold: int
    alerts: int
    per_day: float | None
    worst_day: int
    note: str = ""


@dataclass(frozen=True)
class Findings:
    """All findings of a backtest.

    `from_ms` and `to_ms` bound the time that the figures cover (see `time_basis.py`). `counts` are
    the windows within it, and `outside` the others. `read_ms` is the time of the records.
    `samples` holds events of the busiest windows, by window start. `integrations` are those of the
    trigger's integrations that are known: how they want to be told of one attack, by id.
    """

    trigger: Trigger
    counts: Mapping[int, int]
    figures: ReplayFigures
    records: int
    from_ms: int
    to_ms: int
    read_ms: tuple[int, int]
    samples: Mapping[int, Sequence[EventSample]]
    is_loaded: bool = False
    outside: Mapping[int, int] = field(default_factory=dict)
    integrations: Mapping[int, RepeatOptions] = field(default_factory=dict)

    @property
    def threshold(self) -> int:
        """The trigger's own threshold."""
        return self.trigger.threshold.count if self.trigger.threshold is not None else 0

    @property
    def period(self) -> int:
        """The length of a window, in seconds."""
        return self.trigger.threshold.period if self.trigger.threshold is not None else 1

    @property
    def days(self) -> float:
        """How many days the figures cover, in whole windows."""
        return (self.to_ms - self.from_ms) / 1000 / DAY_SECONDS

    @property
    def has_rates(self) -> bool:
        """Whether the time is long enough for figures per day."""
        first, last = (self.from_ms, self.to_ms) if self.is_loaded else self.read_ms
        return last - first >= 1000 * max(_MIN_RATED_SECONDS, self.period)

    def per_day(self, alerts: int) -> float | None:
        """Return the average per day of a number of alerts; None: the time is too short."""
        return alerts / self.days if self.has_rates else None

    @property
    def late(self) -> int:
        """How many events came late."""
        return self.figures.results["late"]

    @property
    def events(self) -> int:
        """How many events the windows hold, the late ones included."""
        return sum(self.counts.values())

    @property
    def events_ms(self) -> tuple[int, int]:
        """The time (Unix ms) from the first window with events to the last."""
        return min(self.counts) * 1000, (max(self.counts) + self.period) * 1000

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

    @cached_property
    def fired(self) -> list[Window]:
        """The windows that exceed the trigger's threshold, the oldest first."""
        return sorted(Window(s, n) for s, n in self.counts.items() if n > self.threshold)

    @cached_property
    def pages(self) -> list[PagesRow]:
        """How many pages the fired windows are, as the integrations are and as they might be."""
        windows = [FiredWindow(start, start + self.period) for start, _ in self.fired]
        return pages_rows(windows, self.integrations, SHOWN_OPTIONS)

    def busiest(self, number: int) -> list[Window]:
        """Return the windows with most events; see `busiest`."""
        return busiest(self.counts, number)

    @cached_property
    def rows(self) -> list[ThresholdRow]:
        """A row for each threshold that is worth showing, the lowest first."""
        notes = self._notes()
        found: list[ThresholdRow] = []
        for threshold in sorted({*_round_thresholds(self.largest), *notes}):
            alerts = self.alerts_at(threshold)
            note = ", ".join(notes.get(threshold, ()))
            if found and alerts == found[-1].alerts and not note:
                continue
            worst = self.worst_day(threshold)
            found.append(ThresholdRow(threshold, alerts, self.per_day(alerts), worst, note))
        return found

    def worst_day(self, threshold: int) -> int:
        """Return how many windows exceed a threshold on the worst day (UTC)."""
        return self._worst_days[self.alerts_at(threshold)]

    def _notes(self) -> dict[int, list[str]]:
        notes: dict[int, list[str]] = {self.threshold: ["as it is"]}
        for number, seconds, text in _RATES if self.has_rates else ():
            chosen = self._lowest_threshold(number, seconds)
            if chosen is not None:
                notes.setdefault(chosen, []).append(text)
        notes.setdefault(self.largest, []).append("never")
        return notes

    def _lowest_threshold(self, number: int, seconds: int) -> int | None:
        """Return the lowest threshold with at most `number` alerts in every `seconds`.

        If the figures cover less than `seconds`, their share of `number` counts instead. None: that
        share is less than one alert.
        """
        share = self.days * DAY_SECONDS / seconds
        if share < 1:
            fire = math.floor(number * share)
            if not fire:
                return None
        else:
            worst = self._worst_days if seconds == DAY_SECONDS else self._worst_weeks
            fire = bisect_right(worst, number) - 1
        return self._sorted[-fire - 1] if fire < len(self._sorted) else 0

    @cached_property
    def _worst_days(self) -> list[int]:
        return self._most_alerts(0, DAY_SECONDS)

    @cached_property
    def _worst_weeks(self) -> list[int]:
        return self._most_alerts(self.from_ms // 1000, WEEK_SECONDS)

    @cached_property
    def _ranked(self) -> list[int]:
        return sorted(self.counts, key=self.counts.__getitem__, reverse=True)

    def _most_alerts(self, begin: int, seconds: int) -> list[int]:
        """Return, by n, the most alerts in one part of the time if the n busiest windows fire.

        Args:
            begin: start of the first part, Unix seconds.
            seconds: length of each part.
        """
        parts, most, found = dict[int, int](), 0, [0]
        for start in self._ranked:
            part = (start - begin) // seconds
            number = parts[part] = parts.get(part, 0) + 1
            most = max(most, number)
            found.append(most)
        return found

    def timeline(self, columns: int) -> list[int]:
        """Return the largest count of a window in each of at most `columns` equal parts of time."""
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


def busiest(counts: Mapping[int, int], number: int) -> list[Window]:
    """Return the windows with most events, the largest first; of equal ones the oldest is first."""
    rows = (Window(start, count) for start, count in counts.items())
    return heapq.nsmallest(number, rows, key=lambda row: (-row.events, row.start))


def _round_thresholds(largest: int) -> list[int]:
    """Return 0, 1, 2, 5, 10, 20, 50 and so on, below the largest count."""
    powers = range(len(str(largest)))
    return [0, *(s * 10**p for p in powers for s in _STEPS if s * 10**p < largest)]
