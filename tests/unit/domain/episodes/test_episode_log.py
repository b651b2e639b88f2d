"""Which windows are one attack, and which of them are told."""

from __future__ import annotations

import random

import pytest

from stream_app.domain.configuration.repeat_options import Deduplicate, RepeatOptions
from stream_app.domain.counting.windows import keep_seconds
from stream_app.domain.episodes.episode import Decision, FiredWindow, Series, Told, alias_of
from stream_app.domain.episodes.episode_log import RepeatTally, SeriesState, take_window, tally
from stream_app.domain.episodes.taken_windows import TakenWindows

EACH_IN_EPISODE = RepeatOptions(Deduplicate.EPISODE)
EACH_MINUTE = RepeatOptions(Deduplicate.EPISODE, repeat_seconds=60, close_after_seconds=300)


def seconds(*starts: int) -> list[FiredWindow]:
    return [FiredWindow(start, start + 1) for start in starts]


def decisions(
    windows: list[FiredWindow], options: RepeatOptions, state: SeriesState | None = None
) -> list[Decision | None]:
    state, found = state or SeriesState(), []
    for window in windows:
        state, decision = take_window(state, window, options, 0, state.offset + 1)
        found.append(decision)
    return found


def told(windows: list[FiredWindow], options: RepeatOptions) -> list[str]:
    return [str(d.told) if d else "known" for d in decisions(windows, options)]


def test_ten_minutes_of_a_window_a_second() -> None:
    windows = seconds(*range(600))
    assert tally(windows, RepeatOptions()) == RepeatTally(600, 600)
    assert tally(windows, EACH_IN_EPISODE) == RepeatTally(600, 1, 599)
    assert tally(windows, EACH_MINUTE) == RepeatTally(600, 1, 9, 590)


def test_a_repeat_tells_what_was_folded_since_the_last_request() -> None:
    found = [d for d in decisions(seconds(*range(130)), EACH_MINUTE) if d and d.told != Told.FOLDED]
    assert [(d.told, d.folded, d.since) for d in found] == [
        (Told.FIRST, 0, 0),
        (Told.REPEAT, 59, 0),
        (Told.REPEAT, 59, 60),
    ]


def test_a_gap_begins_a_new_episode_only_if_it_is_longer_than_the_silence() -> None:
    assert told(seconds(0, 301), EACH_MINUTE) == ["first", "repeat"]
    assert told(seconds(0, 302), EACH_MINUTE) == ["first", "first"]


def test_without_closing_an_episode_ends_after_a_day() -> None:
    assert told(seconds(0, 86_401), EACH_IN_EPISODE) == ["first", "repeat"]
    assert told(seconds(0, 86_402), EACH_IN_EPISODE) == ["first", "first"]


def test_a_gap_of_one_period_ends_no_episode() -> None:
    windows = [FiredWindow(0, 600), FiredWindow(1200, 1800)]
    assert told(windows, EACH_MINUTE) == ["first", "repeat"]


def test_a_late_window_finds_its_own_episode() -> None:
    windows = seconds(0, 10, 1000, 1010, 5, 1005)
    assert told(windows, EACH_MINUTE) == ["first", "folded", "first", "folded", "folded", "folded"]
    found = decisions(windows, EACH_MINUTE)
    assert [d.episode.first_start for d in found if d] == [0, 0, 1000, 1000, 0, 1000]


def test_a_late_window_is_told_where_repeats_are_not_limited() -> None:
    assert told(seconds(10, 5), EACH_IN_EPISODE) == ["first", "repeat"]


def test_a_window_before_the_first_one_joins_it_and_keeps_its_alias() -> None:
    found = decisions(seconds(100, 50), EACH_IN_EPISODE)
    assert [d.episode.first_start for d in found if d] == [100, 100]


def test_a_window_that_comes_twice_is_taken_once() -> None:
    windows = seconds(0, 1, 2, 0, 1, 2, 3, 3)
    assert told(windows, EACH_MINUTE) == [
        "first",
        "folded",
        "folded",
        *["known"] * 3,
        "folded",
        "known",
    ]


def test_an_alert_that_a_person_sends_again_is_told() -> None:
    state, _ = take_window(SeriesState(), FiredWindow(0, 1), EACH_MINUTE, 0, 0)
    state, decision = take_window(state, FiredWindow(0, 1), EACH_MINUTE, 0, 1, is_redriven=True)
    assert decision is not None
    assert decision.told == Told.REPEAT


def test_an_alert_that_a_person_sends_again_is_told_even_if_it_is_new() -> None:
    state, _ = take_window(SeriesState(), FiredWindow(9, 10), EACH_MINUTE, 0, 0)
    state, decision = take_window(state, FiredWindow(3, 4), EACH_MINUTE, 0, 1, is_redriven=True)
    assert decision is not None
    assert decision.told == Told.REPEAT
    assert state.episodes[0].told_start == 9, "what comes after it is limited as before"


def test_an_alert_that_was_taken_is_not_taken_again_after_a_restart() -> None:
    state, _ = take_window(SeriesState(), FiredWindow(0, 1), EACH_MINUTE, 0, 7)
    assert take_window(state, FiredWindow(5, 6), EACH_MINUTE, 0, 7) == (state, None)


def test_a_new_target_knows_no_earlier_alert() -> None:
    state, _ = take_window(SeriesState(), FiredWindow(0, 1), EACH_MINUTE, 1, 0)
    _, decision = take_window(state, FiredWindow(1, 2), EACH_MINUTE, 2, 1)
    assert decision is not None
    assert decision.told == Told.FIRST


@pytest.mark.parametrize("number", [1, 2])
def test_a_new_target_is_told_by_no_window_that_was_taken_before(number: int) -> None:
    # A detector that is killed sends a window again, and a notifier reads its last alerts again.
    state, _ = take_window(SeriesState(), FiredWindow(0, 1), EACH_MINUTE, 1, 7)
    state, decision = take_window(state, FiredWindow(0, 1), EACH_MINUTE, 2, 8)
    assert decision is None
    state, decision = take_window(state, FiredWindow(number, number + 1), EACH_MINUTE, 2, 7)
    assert decision is None
    _, decision = take_window(state, FiredWindow(number, number + 1), EACH_MINUTE, 2, 9)
    assert decision is not None
    assert decision.told == Told.FIRST


@pytest.mark.parametrize("period", [1, 60, 3600, 86400])
def test_each_window_that_an_event_may_still_fire_is_known_once_it_was_taken(period: int) -> None:
    newest = 1_000 * 86_400
    known = TakenWindows().with_window(FiredWindow(newest, newest + period))
    oldest = newest - keep_seconds(period)
    oldest -= oldest % period
    window = FiredWindow(oldest, oldest + period)
    assert not known.holds(window)
    assert known.with_window(window).holds(window)


def test_an_older_target_changes_nothing_about_the_newer_one() -> None:
    state, _ = take_window(SeriesState(), FiredWindow(0, 1), EACH_MINUTE, 2, 0)
    state, decision = take_window(state, FiredWindow(1, 2), EACH_MINUTE, 1, 1)
    assert decision is not None
    assert (decision.told, state.epoch) == (Told.FOLDED, 2)


#: So many windows of a second are remembered.
REMEMBERED = 3602


def test_what_is_forgotten_is_folded_but_not_counted() -> None:
    """It may have come before, so the next repeat tells how many there are at least."""
    options = RepeatOptions(Deduplicate.EPISODE, repeat_seconds=600)
    late = REMEMBERED + 5
    found = decisions(seconds(0, late, 5, 5, 6, late + 1, late + 600), options)
    assert [d.told for d in found if d] == [
        Told.FIRST,
        Told.REPEAT,
        *[Told.FOLDED] * 4,
        Told.REPEAT,
    ]
    last = found[-1]
    assert last is not None
    assert (last.folded, last.is_exact) == (2, False), "those at 6 and after the newest"
    after = decisions(seconds(late, *range(late + 1, late + 601)), options)[-1]
    assert after is not None
    assert (after.folded, after.is_exact) == (599, True)


def test_episodes_that_no_window_can_reach_any_more_are_dropped() -> None:
    day, state = 86_400, SeriesState()
    for offset, start in enumerate(range(0, 3 * day, 600)):
        state, decision = take_window(state, FiredWindow(start, start + 1), EACH_MINUTE, 0, offset)
        assert decision is not None
        assert decision.told == Told.FIRST
    assert len(state.episodes) == day // 600 + 1
    newest = state.taken.end
    assert newest - day - 300 <= state.episodes[0].end < newest - day + 300


def test_each_window_counts_once_in_any_order_and_however_often_it_comes() -> None:
    rng = random.Random(4)
    for _ in range(50):
        starts = rng.sample(range(3000), 400)
        windows = seconds(*starts, *rng.choices(starts, k=100))
        rng.shuffle(windows)
        found = [d for d in decisions(windows, EACH_MINUTE) if d]
        assert len(found) == 400


def test_an_alias_is_of_one_integration_one_revision_and_one_episode() -> None:
    series = Series(1, 2, "r", 3)
    others = [
        Series(9, 2, "r", 3),
        Series(1, 9, "r", 3),
        Series(1, 2, "s", 3),
        Series(1, 2, "r", 9),
    ]
    aliases = {alias_of(series, 0), alias_of(series, 1), *(alias_of(one, 0) for one in others)}
    assert len(aliases) == 6
    assert alias_of(series, 0).startswith("stream-app:1:episode:")
