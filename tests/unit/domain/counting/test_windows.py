from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.domain.counting.windows import keep_seconds, retention_seconds, window_start

NOON = int(datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp())


@given(st.integers(0, 2**40), st.integers(1, 86400))
def test_the_windows_of_a_period_tile_time_from_the_epoch_on(seconds: int, period: int) -> None:
    start = window_start(seconds, period)
    assert start <= seconds < start + period
    assert start % period == 0


@pytest.mark.parametrize(
    ("period", "start"),
    [
        (1, timedelta(hours=15, minutes=47, seconds=31)),
        (60, timedelta(hours=15, minutes=47)),
        (3600, timedelta(hours=15)),
        (86400, timedelta(0)),
    ],
)
def test_seconds_minutes_hours_and_days_are_those_of_utc(period: int, start: timedelta) -> None:
    midnight = datetime(2026, 3, 8, tzinfo=UTC)
    moment = midnight + timedelta(hours=15, minutes=47, seconds=31)
    found = window_start(int(moment.timestamp()), period)
    assert datetime.fromtimestamp(found, UTC) == midnight + start


def test_two_seconds_that_touch_are_two_windows() -> None:
    assert window_start(NOON, 1) != window_start(NOON + 1, 1)
    assert window_start(NOON, 60) == window_start(NOON + 59, 60) != window_start(NOON + 60, 60)


@pytest.mark.parametrize(
    ("period", "retention"),
    [
        (1, 3600),
        (3, 3600),
        (4, 4000),
        (60, 60_000),
        (86, 86_000),
        (87, 86_400),
        (3600, 86_400),
        (86_400, 86_400),
    ],
)
def test_a_window_is_kept_1000_periods_but_an_hour_at_least_and_a_day_at_most(
    period: int, retention: int
) -> None:
    assert retention_seconds(period) == retention


def test_retention_begins_at_the_end_of_the_window() -> None:
    assert keep_seconds(60) == 60 + 60_000
