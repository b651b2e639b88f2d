from __future__ import annotations

import pytest

from stream_app.domain.errors import UsageError
from stream_app.domain.times import iso_utc, parse_time

NOW_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("45s", NOW_MS - 45_000),
        ("30m", NOW_MS - 30 * 60_000),
        ("2h", NOW_MS - 2 * 3_600_000),
        ("7d", NOW_MS - 7 * 86_400_000),
        ("999999999d", 0),
        ("2026-01-01", NOW_MS),
        ("2026-01-01T00:00:00", NOW_MS),
        ("2026-01-01T00:00:00Z", NOW_MS),
        ("2026-01-01T03:00:00.250+03:00", NOW_MS + 250),
        ("0001-01-01T00:00:00", 0),
        ("00:00", NOW_MS),
        ("00:00:01", NOW_MS - 86_399_000),
        ("23:59:30", NOW_MS - 30_000),
        ("9:05Z", NOW_MS - (14 * 60 + 55) * 60_000),
    ],
)
def test_a_time_is_read_and_so_is_a_duration_before_now(text: str, expected: int) -> None:
    assert parse_time(text, NOW_MS) == expected


@pytest.mark.parametrize(
    "text",
    ["", "2", "h", "-2h", "2 h", "1h30m", "yesterday", "2026-13-01", "24:00", "10:60", "10:5"],
)
def test_anything_else_is_wrong_usage_that_says_how_to_write_it(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no time: give one as .*2h or 7d"):
        parse_time(text, NOW_MS)


def test_a_time_is_shown_in_utc_or_as_a_number_if_no_calendar_has_it() -> None:
    assert iso_utc(NOW_MS + 999) == "2026-01-01T00:00:00Z"
    assert iso_utc(10**18) == str(10**18)
