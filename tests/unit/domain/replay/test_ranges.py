from __future__ import annotations

import pytest

from stream_app.domain.errors import UsageError
from stream_app.domain.replay.ranges import Bound, Extent, Range, parse_bound, parse_range

NOW = 1_767_225_600_000


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        (None, Bound()),
        ("0", Bound(offset=0)),
        ("20261124", Bound(offset=20261124)),
        ("2h", Bound(NOW - 7_200_000)),
        ("7d", Bound(NOW - 7 * 86_400_000)),
        ("now", Bound(NOW)),
        ("2026-01-01", Bound(NOW)),
        ("2026-01-01T01:00:00+01:00", Bound(NOW)),
        ("2026-01-01T00:00:00.5Z", Bound(NOW + 500)),
    ],
)
def test_a_bound_is_a_time_or_an_offset(text: str | None, bound: Bound) -> None:
    assert parse_bound(text, NOW) == bound


@pytest.mark.parametrize("text", ["", "-", "-5", "yesterday", "-2h", "2w", "-2026-01-01", "1e3"])
def test_what_is_neither_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(UsageError, match="neither a time nor an offset"):
        parse_bound(text, NOW)


def test_a_range_that_cannot_hold_anything_is_refused() -> None:
    for start, end in (("1h", "2h"), ("now", "now"), ("5", "5"), ("2026-01-02", "2026-01-01")):
        with pytest.raises(UsageError, match="nothing lies between"):
            parse_range(start, end, NOW)
    assert parse_range("5", "1h", NOW) == Range(Bound(offset=5), Bound(NOW - 3_600_000))


def test_an_extent_misses_a_part_of_what_reaches_beyond_it() -> None:
    extent = Extent(1000, 5000)
    assert not extent.misses_part_of(1000, 5000)
    assert extent.misses_part_of(999, 2000)
    assert extent.misses_part_of(4000, 5001)
    assert not extent.overlaps(0, 1000)
    assert extent.overlaps(0, 1001)
    assert not extent.overlaps(5000, 6000)
    assert not Extent().misses_part_of(0, 10**15)
    assert Extent().overlaps(0, 1)


def test_an_empty_range_says_which_times_were_read() -> None:
    with pytest.raises(UsageError, match=r"--from 23:30 \(2025-12-31T23:30:00Z\) is not before"):
        parse_range("23:30", "23:00", 1_767_225_600_000)
