"""The episodes of a partition in the changelog: restored, merged, forgotten."""

from __future__ import annotations

import random

import orjson
import pytest

from stream_app.domain.configuration.repeat_options import Deduplicate, RepeatOptions
from stream_app.domain.episodes.episode import FiredWindow, Series
from stream_app.domain.episodes.episode_log import SeriesState, take_window
from stream_app.domain.episodes.partition_episodes import (
    KEEP_SECONDS,
    MAX_EXPIRED_PER_FLUSH,
    PartitionEpisodes,
)

SERIES = Series(1111, 61, 'r"1', 521)
OPTIONS = RepeatOptions(Deduplicate.EPISODE, repeat_seconds=60, close_after_seconds=300)
Log = list[tuple[bytes, bytes | None]]


def take(
    state: PartitionEpisodes, start: int, offset: int, series: Series = SERIES, seen: int = 0
) -> None:
    window = FiredWindow(start, start + 1)
    after, _ = take_window(state.get(series), window, OPTIONS, 0, offset, seen)
    state.change(series, after)
    state.note_time(seen * 1000)
    state.advance(offset)


def flushed(state: PartitionEpisodes) -> Log:
    cut = state.cut()
    log: Log = [*state.records(cut), state.progress_record(cut)]
    state.confirm(cut)
    return log


def restored(log: Log) -> PartitionEpisodes:
    state = PartitionEpisodes()
    for key, value in log:
        state.restore(key, value)
    return state


def test_a_restored_series_is_the_same() -> None:
    state, log = PartitionEpisodes(), Log()
    rng = random.Random(1)
    for offset in range(300):
        take(state, rng.randrange(5000), offset, seen=1_800_000_000 + offset)
        log += flushed(state) if offset % 7 == 0 else []
    log += flushed(state)
    back = restored(log)
    assert back.get(SERIES) == state.get(SERIES)
    assert len(back.get(SERIES).episodes) > 1
    assert (back.offset, back.progress_of("alerts")) == (299, 299)


def test_every_value_begins_with_minus_one_and_no_key_is_that_of_the_progress() -> None:
    """The version before takes the first element of any value for an offset."""
    state = PartitionEpisodes()
    take(state, 0, 5)
    (key, value), progress = flushed(state)
    assert orjson.loads(key) == [1111, 61, 'r"1', 521]
    assert orjson.loads(value or b"")[0] == -1
    assert progress == (b"progress", b"[5]")


def test_of_two_records_of_a_series_the_one_with_the_larger_offset_holds() -> None:
    """The other one is from a worker that did not know that it had lost the partition."""
    zombie, owner = PartitionEpisodes(), PartitionEpisodes()
    take(zombie, 0, 1)
    take(owner, 0, 1)
    take(owner, 61, 9)
    state = restored([*flushed(owner), *flushed(zombie)])
    assert state.get(SERIES) == owner.get(SERIES)
    assert state.offset == 9
    (key, value), _ = flushed(state)
    assert restored([(key, value)]).get(SERIES) == owner.get(SERIES), "it is written again"


def test_what_is_not_acknowledged_is_rolled_back() -> None:
    state = PartitionEpisodes()
    take(state, 0, 1)
    flushed(state)
    before = state.get(SERIES)
    take(state, 61, 2)
    state.cut()
    take(state, 122, 3)
    state.roll_back()
    assert (state.get(SERIES), state.offset) == (before, 1)
    state.rewrite()
    assert [key for key, _ in flushed(state)][:-1] == [orjson.dumps([*SERIES])]


def test_a_partition_without_episodes_writes_its_progress_alone() -> None:
    state = PartitionEpisodes()
    state.advance(7)
    assert flushed(state) == [(b"progress", b"[7]")]


def test_a_series_is_forgotten_when_its_alerts_are_long_over() -> None:
    state, other = PartitionEpisodes(), Series(1, 2, "r", 3)
    take(state, 0, 0, seen=1000)
    take(state, 0, 1, other, seen=2000)
    log = flushed(state)
    state.note_time((1000 + KEEP_SECONDS) * 1000)
    log += flushed(state)
    assert len(state) == 2
    state.note_time((1001 + KEEP_SECONDS) * 1000)
    log += flushed(state)
    assert len(state) == 1
    assert state.get(SERIES) == SeriesState()
    assert len(restored(log)) == 1
    assert log[-2] == (orjson.dumps([*SERIES]), None)


def test_a_series_that_goes_on_is_not_forgotten() -> None:
    state = PartitionEpisodes()
    take(state, 0, 0, seen=0)
    take(state, 0, 1, Series(1, 2, "r", 3), seen=KEEP_SECONDS // 2)
    take(state, 500, 2, seen=KEEP_SECONDS)
    flushed(state)
    state.note_time((KEEP_SECONDS + KEEP_SECONDS // 2 + 1) * 1000)
    flushed(state)
    assert len(state) == 1
    assert state.get(SERIES).offset == 2


def test_one_flush_forgets_a_bounded_number() -> None:
    state = PartitionEpisodes()
    for number in range(MAX_EXPIRED_PER_FLUSH + 10):
        take(state, 0, number, Series(1, number, "r", 3))
    flushed(state)
    state.note_time((KEEP_SECONDS + 1) * 1000)
    assert len(flushed(state)) == MAX_EXPIRED_PER_FLUSH + 1
    flushed(state)
    assert len(state) == 0


@pytest.mark.parametrize("windows", [range(10_000), [n % 2 * 80_000 + n for n in range(10_000)]])
def test_a_series_stays_small_whatever_its_windows_are(windows: list[int]) -> None:
    """A day of windows in a row, or two attacks whose windows alternate."""
    state = PartitionEpisodes()
    largest = 0
    for offset, start in enumerate(windows):
        take(state, start, offset)
        if offset % 100 == 0:
            (_, value), _ = flushed(state)
            largest = max(largest, len(value or b""))
    assert largest < 1_000


def test_the_largest_state_of_a_series_is_bounded() -> None:
    """An episode begins as often as it can, for many days, and all remembered windows are set."""
    state = PartitionEpisodes()
    for offset, start in enumerate(range(0, 5 * 86_400, 302)):
        take(state, start, offset)
    last = range(5 * 86_400, 5 * 86_400 + 4000)
    for offset, start in enumerate(last, start=10_000):
        take(state, start, offset)
    (_, value), _ = flushed(state)
    assert len(value or b"") < 20_000
