"""The time that the figures of a backtest cover, and the windows outside of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_app.domain.backtest.time_basis import TimeBasis, choose_time_basis

HOUR, DAY = 3600, 86_400
START = 20_000 * DAY
#: Two hours with three events in each minute.
LIVE = {START - 2 * HOUR + 60 * n: 3 for n in range(120)}
TWO_HOURS = (START - 2 * HOUR) * 1000, START * 1000


def test_the_figures_of_live_events_cover_the_time_of_their_records() -> None:
    assert choose_time_basis(LIVE, 60, *TWO_HOURS) == TimeBasis(LIVE, *TWO_HOURS)
    assert choose_time_basis({}, 60, *TWO_HOURS) == TimeBasis({}, *TWO_HOURS)


def test_a_late_upload_beside_live_events_is_no_load() -> None:
    backlog = {START - 20 * HOUR + 4800 * n: 9 for n in range(12)}
    found = choose_time_basis(LIVE | backlog, 60, *TWO_HOURS)
    assert found == TimeBasis(LIVE, *TWO_HOURS, is_loaded=False, outside=backlog)


def test_what_happened_just_before_the_first_record_is_within_its_time() -> None:
    before = {START - 2 * HOUR - 240: 1}
    found = choose_time_basis(LIVE | before, 60, *TWO_HOURS)
    assert found == TimeBasis(LIVE | before, (START - 2 * HOUR - 240) * 1000, START * 1000)


def test_events_of_days_in_records_of_a_minute_were_loaded() -> None:
    hours = {START + HOUR * n: 1 for n in range(48)}
    minute = (START + 5 * DAY) * 1000, (START + 5 * DAY + 60) * 1000
    own = START * 1000, (START + 2 * DAY) * 1000
    assert choose_time_basis(hours, HOUR, *minute) == TimeBasis(hours, *own, is_loaded=True)
    wrong = {0: 5, 60 * DAY: 1}
    found = choose_time_basis(hours | wrong, HOUR, *minute)
    assert found == TimeBasis(hours, *own, is_loaded=True, outside=wrong), "of wrong clocks"


def test_few_busy_windows_do_not_hide_the_days_of_a_load() -> None:
    quiet = {START + n * DAY // 10: 9 for n in range(50)}
    busy = {START + 5 * DAY + n: 1 for n in range(0, DAY, 15)}
    found = choose_time_basis(
        quiet | busy, 1, (START + 9 * DAY) * 1000, (START + 9 * DAY + 60) * 1000
    )
    assert found.is_loaded
    assert (found.from_ms, found.outside) == (START * 1000, {})


def test_the_time_has_one_window_at_least() -> None:
    now = (START + 5000) * 1000
    found = choose_time_basis({START: 4}, DAY, now, now + 1)
    assert found == TimeBasis({START: 4}, START * 1000, (START + DAY) * 1000)


@given(
    st.dictionaries(st.integers(0, 300).map(lambda n: START + HOUR * n), st.integers(1, 9)),
    st.integers(0, 300 * HOUR),
    st.integers(1, 300 * HOUR),
)
def test_every_window_is_within_or_outside_and_never_lost(
    counts: dict[int, int], begin: int, length: int
) -> None:
    first = (START + begin) * 1000
    found = choose_time_basis(counts, HOUR, first, first + length * 1000)
    assert {**found.counts, **found.outside} == counts
    assert not found.counts.keys() & found.outside.keys()
    assert found.to_ms - found.from_ms >= HOUR * 1000
    assert found.from_ms % (HOUR * 1000) == found.to_ms % (HOUR * 1000) == 0
    for start in found.counts:
        assert found.from_ms <= start * 1000 < found.to_ms
    assert 2 * sum(found.outside.values()) <= sum(counts.values())
    if not found.is_loaded:
        assert found.from_ms <= first < first + length * 1000 <= found.to_ms
