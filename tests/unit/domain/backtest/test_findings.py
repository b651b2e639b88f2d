from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stream_app.domain.backtest.findings import Findings, ThresholdRow, Window
from stream_app.domain.configuration.triggers import Threshold, Trigger
from stream_app.domain.replay.counting_replay import ReplayFigures

DAY = 86_400
START = 20_000 * DAY


def findings(counts: dict[int, int], days: float = 7, **changes: Any) -> Findings:
    trigger = Trigger(
        61, 1111, "On-call", "hits_exceeded", True, (), Threshold(5, 60), (521,), 0
    )  # fmt: skip
    known: dict[str, Any] = {
        "trigger": trigger,
        "counts": counts,
        "figures": ReplayFigures(Counter(counted=sum(counts.values()))),
        "records": 1000,
        "from_ms": START * 1000,
        "to_ms": START * 1000 + round(days * DAY * 1000),
        "read_ms": (START * 1000, START * 1000 + round(days * DAY * 1000)),
        "samples": {},
    }
    return Findings(**known | changes)


def test_thresholds_are_rated_in_alerts_a_day() -> None:
    # Day n has n + 1 windows, with 1, 2 ... n + 1 times ten events.
    counts = {START + day * DAY + 60 * n: 10 * (n + 1) for day in range(7) for n in range(day + 1)}
    rows = findings(counts).rows
    assert [row.threshold for row in rows] == [0, 5, 10, 20, 50, 60, 70]
    assert rows[1] == ThresholdRow(5, 28, 4.0, 7, "as it is")
    by_note = {row.note: row for row in rows if row.note}
    rare = "at most 1 a day, at most 1 a week"
    assert by_note[rare] == ThresholdRow(60, 1, 1 / 7, 1, rare)
    assert by_note["never"] == ThresholdRow(70, 0, 0.0, 0, "never")


@given(st.dictionaries(st.integers(0, 20_000).map(lambda n: START + 60 * n), st.integers(1, 99)))
def test_a_threshold_for_a_rate_is_the_lowest_that_keeps_it(counts: dict[int, int]) -> None:
    def worst(threshold: int, seconds: int) -> int:
        parts = Counter((s - START) // seconds for s, n in counts.items() if n > threshold)
        return max(parts.values(), default=0)

    found = findings(counts, days=14)
    for row in found.rows:
        assert row.alerts == sum(n > row.threshold for n in counts.values())
        assert row.worst_day == worst(row.threshold, DAY)
        for text, most, seconds in (
            ("10 a day", 10, DAY),
            ("most 1 a day", 1, DAY),
            ("1 a week", 1, 7 * DAY),
        ):
            if text in row.note:
                assert worst(row.threshold, seconds) <= most
                assert row.threshold == 0 or worst(row.threshold - 1, seconds) > most


def test_one_bad_day_is_not_hidden_by_quiet_ones() -> None:
    """Seven bursts on one day of a week are one a day on average, but seven pages on that day."""
    counts = {START + day * DAY + n * 600: 1 + n % 4 for day in range(7) for n in range(144)}
    counts |= {START + 3 * DAY + n * 600: 30 for n in range(7)}
    by_note = {row.note: row for row in findings(counts).rows}
    assert by_note["at most 10 a day"] == ThresholdRow(4, 7, 1.0, 7, "at most 10 a day")
    assert by_note["at most 1 a day, at most 1 a week, never"].threshold == 30


def test_less_than_a_day_has_no_rates_of_whole_days() -> None:
    rows = findings({START: 9}, days=0.5).rows
    assert {row.note for row in rows} == {"at most 10 a day", "as it is", "never"}
    assert next(row for row in rows if row.threshold == 0).per_day == 2


def test_the_busiest_and_the_fired_are_in_order() -> None:
    found = findings({START: 5, START + 120: 9, START + 60: 9})
    assert found.fired == [Window(START + 60, 9), Window(START + 120, 9)]
    assert found.busiest(2) == [Window(START + 60, 9), Window(START + 120, 9)]
    assert found.busiest(9)[-1] == Window(START, 5)


def test_the_timeline_has_the_largest_window_of_each_part() -> None:
    found = findings({START: 1, START + 60: 7, START + DAY: 3, START - 60: 50, START + 8 * DAY: 50})
    assert found.timeline(7) == [7, 3, 0, 0, 0, 0, 0]
    long_window = Trigger(
        1, 1, "d", "hits_exceeded", True, (), Threshold(5, DAY), (1,), 0
    )  # fmt: skip
    assert findings({START: 4}, days=2, trigger=long_window).timeline(72) == [4, 0]
    assert findings({}).timeline(3) == [0, 0, 0]


def test_a_time_too_short_for_rates_has_none() -> None:
    short = findings({START: 9}, days=0.04)
    assert not short.has_rates
    assert {(row.note, row.per_day) for row in short.rows} == {
        ("", None), ("as it is", None), ("never", None)
    }  # fmt: skip
    hour = findings({START: 9}, days=1 / 24)
    assert hour.per_day(1) == 24
    # A time shorter than a window has no rate, even if the window is a day.
    daily = Trigger(1, 1, "d", "hits_exceeded", True, (), Threshold(5, DAY), (1,), 0)
    brief = {"trigger": daily, "read_ms": (START * 1000, (START + 7200) * 1000)}
    assert findings({START: 9}, days=1, **brief).per_day(1) is None
    assert findings({START: 9}, days=1, **brief, is_loaded=True).per_day(1) == 1
