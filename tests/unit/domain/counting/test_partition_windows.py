"""Stage 2: partial counts in any order, from any replay, become the same sums."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.domain.counting import partial_counts
from stream_app.domain.counting.partial_counts import (
    PartialCounts,
    PartialCountsWriter,
    TriggerCounts,
    decode_partial_counts,
)
from stream_app.domain.counting.partition_windows import ChangedWindows, PartitionWindows
from stream_app.domain.counting.windows import CellKey

START = 1_767_225_600
NOW_MS = START * 1000
HOUR_MS = 3_600_000
KEY: CellKey = ("1:61:abc:1", START)


class Partial(NamedTuple):
    """A partial count, and the key of its window."""

    window: CellKey
    partition: int
    number: int


#: A window in the changelog: its key, the count of each partition, and the rest of its row.
Kept = tuple[CellKey, dict[int, int], bool, int]


def partial(
    count: int = 1,
    partition: int = 0,
    start: int = START,
    period: int = 1,
    client_id: int = 1,
    trigger_id: int = 61,
    revision: str = "abc",
) -> Partial:
    name = f"{client_id}:{trigger_id}:{revision}:{period}"
    return Partial((name, start), partition, count)


def add(windows: PartitionWindows, one: Partial, timestamp_ms: int) -> None:
    name, start = one.window
    windows.take_count(name, start, one.partition, one.number, timestamp_ms)


def cut(windows: PartitionWindows) -> tuple[list[CellKey], list[CellKey]]:
    """Return the windows that a cut has touched, and those that have expired."""
    before = set(windows.windows)
    found = windows.cut()
    gone = sorted(before - windows.windows.keys())
    assert len(gone) == found.expired
    return list(found.touched), gone


def kept(
    counts: dict[int, int], *, fired: bool = False, seen_ms: int = NOW_MS, key: CellKey = KEY
) -> Kept:
    return key, counts, fired, seen_ms


def apply(windows: PartitionWindows, *found: Kept) -> None:
    """Apply rows of the changelog, each as a part of its own."""
    for (name, start), counts, fired, seen_ms in found:
        flat = [number for row in counts.items() for number in row]
        rows = [(name, [(start, fired, seen_ms, flat)])]
        windows.apply(1, msgspec.msgpack.encode((seen_ms, rows)))


def contents(windows: PartitionWindows) -> dict[CellKey, tuple[dict[int, int], bool, int]]:
    return {key: (w.counts, w.fired, w.seen_ms) for key, w in windows.windows.items()}


def restored(*found: Kept) -> PartitionWindows:
    windows = PartitionWindows()
    apply(windows, *found)
    windows.restored()
    return windows


def test_a_window_is_the_sum_over_its_source_partitions() -> None:
    windows = PartitionWindows()
    for count, partition in ((2, 0), (3, 1), (4, 0)):
        add(windows, partial(count, partition), NOW_MS)
    assert windows.windows[KEY].counts == {0: 4, 1: 3}
    assert windows.windows[KEY].total == 7


@pytest.mark.parametrize("revision", ["0a1b2c", 'a%b"%d\\'])
def test_the_record_of_partial_counts_is_their_json_whatever_the_trigger(revision: str) -> None:
    one, other = f"1111:61:{revision}:60", f"7:8:{revision}:1"
    writer = PartialCountsWriter(12)
    writer.add_changes(3, [(one, [START, 7, START + 60, 2**40]), (other, [START, 1])], 5)
    writer.add_changes(0, [(one, [START, 9])], 4)
    (value,) = writer.records(writer.names)
    windows = [[START, 3, 7], [START + 60, 3, 2**40], [START, 0, 9]]
    expected = PartialCounts(
        [
            TriggerCounts(1111, 61, revision, 60, windows),
            TriggerCounts(7, 8, revision, 1, [[START, 3, 1]]),
        ],
        12,
        {"0": 4, "3": 5},
    )
    assert value == msgspec.json.encode(expected)
    assert decode_partial_counts(value) == expected
    assert [part.name for part in expected.triggers] == [one, other]


def test_many_partial_counts_are_several_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial_counts, "MAX_WINDOWS", 3)
    writer = PartialCountsWriter(0)
    changed = [(f"1:{n}:r:60", [x for k in range(n) for x in (k, n)]) for n in range(1, 6)]
    writer.add_changes(0, changed, 0)
    found = [decode_partial_counts(value) for value in writer.records(writer.names)]
    sizes = [sum(len(part.windows) for part in one.triggers) for one in found]
    assert sum(sizes) == 15
    assert max(sizes) < 6
    rows = [(part.name, *row) for one in found for part in one.triggers for row in part.windows]
    assert len(set(rows)) == 15


def test_the_larger_of_two_partial_counts_of_a_partition_stays() -> None:
    windows = PartitionWindows()
    for count in (5, 3, 5, 1):
        add(windows, partial(count), NOW_MS)
    assert windows.windows[KEY].total == 5


@pytest.mark.parametrize(
    "other",
    [
        {"client_id": 2},
        {"trigger_id": 62},
        {"revision": "abd"},
        {"start": START + 1},
        {"period": 60},
    ],
)
def test_another_client_trigger_revision_period_or_start_is_another_window(
    other: dict[str, Any],
) -> None:
    windows = PartitionWindows()
    add(windows, partial(2), NOW_MS)
    add(windows, partial(3, **other), NOW_MS)
    assert [window.total for window in windows.windows.values()] == [2, 3]


partials = st.lists(
    st.builds(
        partial,
        count=st.integers(1, 9),
        partition=st.integers(0, 3),
        start=st.integers(START, START + 2),
    ),
    max_size=20,
)


@given(partials, st.data())
def test_any_order_and_any_replay_of_partial_counts_give_the_same_sums(
    found: list[Partial], data: st.DataObject
) -> None:
    largest: dict[CellKey, dict[int, int]] = defaultdict(dict)
    for one in found:
        known = largest[one.window]
        known[one.partition] = max(one.number, known.get(one.partition, 0))
    repeated = found + data.draw(
        st.lists(st.sampled_from(found), max_size=10) if found else st.just([])
    )
    windows = PartitionWindows()
    for one in data.draw(st.permutations(repeated)):
        add(windows, one, NOW_MS)
        if data.draw(st.booleans()):
            cut(windows)
        if data.draw(st.booleans()):
            windows.roll_back()
    assert {key: window.counts for key, window in windows.windows.items()} == largest


def test_a_cut_names_the_windows_touched_since_the_last_one() -> None:
    windows = PartitionWindows()
    add(windows, partial(1), NOW_MS)
    add(windows, partial(2), NOW_MS)
    add(windows, partial(1, start=START + 1), NOW_MS)
    assert cut(windows) == ([KEY, (KEY[0], START + 1)], [])
    assert cut(windows) == ([], [])
    add(windows, partial(1), NOW_MS)  # a replay: the sum may still have to fire
    assert cut(windows) == ([KEY], [])


def test_the_windows_of_the_next_cut_can_be_seen_before_it() -> None:
    windows = PartitionWindows()
    add(windows, partial(), NOW_MS)
    assert list(windows.touched) == [KEY]
    assert cut(windows)[0] == [KEY]
    assert list(windows.touched) == []


# -- expiry


def advance(windows: PartitionWindows, to_ms: int) -> list[CellKey]:
    """Add a partial count of another window at a time; return the windows that expire."""
    add(windows, partial(1, start=START + 500_000, period=86_400), to_ms)
    return cut(windows)[1]


@pytest.mark.parametrize(
    ("period", "kept_ms"), [(1, HOUR_MS), (60, 60_000_000), (3600, 24 * HOUR_MS)]
)
def test_a_window_expires_when_its_last_partial_count_is_older_than_the_retention(
    period: int, kept_ms: int
) -> None:
    windows = PartitionWindows()
    add(windows, partial(period=period), NOW_MS)
    cut(windows)
    assert advance(windows, NOW_MS + kept_ms - 1) == []
    assert advance(windows, NOW_MS + kept_ms + 1) == [partial(period=period).window]
    assert [key[0] for key in windows.windows] == ["1:61:abc:86400"]


def test_every_partial_count_keeps_its_window_a_retention_longer() -> None:
    windows = PartitionWindows()
    for hours in (0, 0.9, 1.8):
        add(windows, partial(), NOW_MS + int(hours * HOUR_MS))
        assert cut(windows)[1] == []
    assert advance(windows, NOW_MS + int(2.7 * HOUR_MS)) == []
    assert advance(windows, NOW_MS + int(2.9 * HOUR_MS)) == [KEY]


def test_an_older_record_time_neither_ages_a_window_nor_turns_time_back() -> None:
    windows = PartitionWindows()
    add(windows, partial(), NOW_MS)
    add(windows, partial(2), NOW_MS - 5 * HOUR_MS)
    assert (windows.windows[KEY].seen_ms, windows.now_ms) == (NOW_MS, NOW_MS)
    cut(windows)
    assert advance(windows, NOW_MS + HOUR_MS - 1) == []


def test_a_touched_window_does_not_expire_in_its_cut_however_much_time_that_spans() -> None:
    windows = PartitionWindows()
    add(windows, partial(9), NOW_MS)
    add(windows, partial(1, start=START + 9000), NOW_MS + 3 * HOUR_MS)
    touched, expired = cut(windows)
    assert (KEY in touched, expired) == (True, [])
    assert windows.windows[KEY].total == 9
    assert cut(windows) == ([], [KEY])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3 * HOUR_MS)), max_size=20), st.data())
def test_each_window_expires_once_and_only_when_it_is_old(
    found: list[tuple[int, int]], data: st.DataObject
) -> None:
    windows, seen, now_ms = PartitionWindows(), dict[CellKey, int](), 0
    for second, waited_ms in found:
        now_ms += waited_ms
        one = partial(start=START + second)
        add(windows, one, now_ms)
        seen[one.window] = now_ms
        if data.draw(st.booleans()):
            touched, expired = cut(windows)
            assert not set(touched) & set(expired)
            for key in expired:
                assert now_ms - seen.pop(key) >= HOUR_MS
        assert windows.windows.keys() == seen.keys()
    expired = cut(windows)[1]
    windows.now_ms += 2 * HOUR_MS
    expired += cut(windows)[1]
    assert sorted(expired) == sorted(seen)
    assert windows.windows == {}


# -- progress


def test_a_roll_back_returns_to_the_acknowledged_progress_and_keeps_the_counts() -> None:
    windows = PartitionWindows()
    windows.confirm(ChangedWindows({}, 7))
    add(windows, partial(4), NOW_MS)
    windows.offset = 12
    windows.roll_back()
    assert (windows.offset, windows.progress_of("counts")) == (7, 7)
    assert windows.windows[KEY].total == 4
    assert cut(windows) == ([], [])


def test_progress_never_goes_back() -> None:
    windows = PartitionWindows()
    for offset in (5, 9, 7):
        windows.apply(offset, windows.progress_rows())
    windows.restored()
    windows.confirm(ChangedWindows({}, 8))
    assert (windows.progress_offset, windows.offset) == (9, 9)


# -- the changelog


def test_a_window_comes_back_from_the_rows_of_a_cut_and_of_a_snapshot() -> None:
    windows = PartitionWindows()
    add(windows, partial(4, 2), NOW_MS)
    add(windows, partial(3, 11), NOW_MS + 5)
    windows.confirm(ChangedWindows({}, 9))
    for fired in (False, True):
        rows = windows.rows(ChangedWindows({KEY: 0}, 9, fired=[KEY] * fired))
        windows.by_trigger[KEY[0]][KEY[1]].fired = fired
        for parts in ([(9, one) for one in rows], list(windows.snapshot(1))):
            again = PartitionWindows()
            for version, one in parts:
                again.apply(version, one)
            again.restored()
            assert contents(again) == {KEY: ({2: 4, 11: 3}, fired, NOW_MS + 5)}
            assert (again.now_ms, again.offset, again.progress_offset) == (NOW_MS + 5, 9, 9)
            assert cut(again) == ([], [])


def test_what_has_fired_stays_fired() -> None:
    windows = restored(kept({0: 2}, fired=True))
    apply(windows, kept({0: 9}, fired=False, seen_ms=NOW_MS + 9))
    add(windows, partial(20), NOW_MS + 10)
    windows.roll_back()
    assert windows.windows[KEY].fired
    again = PartitionWindows()
    for rows in windows.rows(ChangedWindows({KEY: 0}, 9)):
        again.apply(1, rows)
    assert again.windows[KEY].fired


keys = st.sampled_from([KEY, ("1:61:abc:1", START + 1), ("1:61:abd:60", START)])
rows_strategy = st.lists(
    st.builds(
        kept,
        st.dictionaries(st.integers(0, 3), st.integers(1, 9), max_size=4),
        fired=st.booleans(),
        seen_ms=st.integers(NOW_MS, NOW_MS + 10),
        key=keys,
    ),
    max_size=12,
)


@given(rows_strategy, st.data())
def test_rows_in_any_order_and_any_repetition_restore_the_same_windows(
    rows: list[Kept], data: st.DataObject
) -> None:
    expected: dict[CellKey, tuple[dict[int, int], bool, int]] = {}
    for key, counts, fired, seen_ms in rows:
        known, has_fired, last_ms = expected.get(key, ({}, False, 0))
        merged = {p: max(c, known.get(p, 0)) for p, c in counts.items()}
        expected[key] = (known | merged, has_fired or fired, max(last_ms, seen_ms))
    again = data.draw(st.lists(st.sampled_from(rows), max_size=6) if rows else st.just([]))
    windows = restored(*data.draw(st.permutations(rows + again)))
    assert contents(windows) == expected
    assert windows.now_ms == max((seen_ms for *_, seen_ms in expected.values()), default=0)


def test_a_restored_window_expires_by_its_own_last_partial_count() -> None:
    windows = restored(kept({0: 1}), kept({0: 1}, seen_ms=NOW_MS + HOUR_MS // 2))
    assert advance(windows, NOW_MS + HOUR_MS + 1) == []
    assert advance(windows, NOW_MS + 2 * HOUR_MS) == [KEY]


@pytest.mark.parametrize("name", ["client_id", "trigger_id", "period"])
def test_a_partial_count_with_a_number_that_fits_no_record_is_unreadable(name: str) -> None:
    part = {"client_id": 1, "trigger_id": 2, "revision": "r", "period": 60, "windows": []}
    value = {"triggers": [part | {name: 2**63}], "config_position": 0}
    with pytest.raises(msgspec.ValidationError):
        decode_partial_counts(json.dumps(value).encode())


BAD_WINDOWS = [[2**63, 0, 1], [0, 2**63, 1], [0, 0, 2**63], [0, 0], [0, 0, "1"]]


@pytest.mark.parametrize("window", BAD_WINDOWS)
def test_partial_counts_with_a_window_that_fits_no_record_are_unreadable(window: list[Any]) -> None:
    part = {"client_id": 1, "trigger_id": 2, "revision": "r", "period": 60, "windows": [window]}
    with pytest.raises(msgspec.ValidationError):
        decode_partial_counts(json.dumps({"triggers": [part], "config_position": 0}).encode())
