"""Packed records of a changelog: whole, torn, damaged, foreign, and of a newer form."""

from __future__ import annotations

import pytest

from stream_app.domain.errors import NewerFormatError, UnreadableStateError
from stream_app.domain.state import packed_log
from stream_app.domain.state.packed_log import KEY_END, GroupKind, KeyValue, PackedLog, PackedPart


def changes(version: int, group: str | None = None, parts: int = 1) -> list[KeyValue]:
    rows = [b"%d.%d" % (version, n) for n in range(parts)]
    return packed_log.changes(group or f"c{version}", version, rows)


def snapshot(covers: int, versions: list[int], group: str) -> list[KeyValue]:
    rows = [
        packed_log.record(
            GroupKind.SNAPSHOT, group, n, PackedPart(0, -1, version, b"s%d" % version)
        )
        for n, version in enumerate(versions)
    ]
    last = PackedPart(len(rows) + 1, covers, versions[0], b"end")
    return [*rows, packed_log.record(GroupKind.SNAPSHOT, group, len(rows), last)]


def read(*records: KeyValue, begin: int = 0) -> PackedLog:
    log = PackedLog()
    for offset, (key, value) in enumerate(records, begin):
        log.take(offset, key, value)
    return log


def spoiled(found: KeyValue) -> KeyValue:
    key, value = found
    return key, value[:-1] + bytes([value[-1] ^ 1])


def rows(log: PackedLog, begin: int = 0, base: int | None = None) -> list[bytes]:
    return [part.rows for part in log.plan(begin, base)]


def test_changes_come_in_the_order_of_their_versions_wherever_they_stand() -> None:
    log = read(*changes(5), *changes(9), *changes(7))
    assert rows(log) == [b"5.0", b"7.0", b"9.0"]
    assert rows(log, base=5) == [b"7.0", b"9.0"], "the state in memory holds the first"


def test_a_flush_that_a_crash_cut_short_is_passed_over_as_a_whole() -> None:
    *torn, _ = changes(9, parts=3)
    assert rows(read(*changes(5), *torn)) == [b"5.0"]
    assert rows(read(*changes(5), *changes(9, parts=3))) == [b"5.0", b"9.0", b"9.1", b"9.2"]


def test_a_whole_snapshot_stands_for_what_is_before_the_offset_that_it_covers() -> None:
    log = read(*changes(5), *changes(6), *snapshot(0, [5, 6], "a"), *changes(8))
    assert rows(log) == [b"s5", b"end", b"s6", b"6.0", b"8.0"]
    assert log.covered == 0


def test_a_snapshot_is_used_even_if_a_state_exists_already() -> None:
    """As for a stopped worker that gets its partition back from another one."""
    log = read(*changes(5), *changes(6), *snapshot(1, [6, 8], "a"), *changes(8), begin=3)
    assert rows(log, begin=3, base=4) == [b"5.0", b"s6", b"end", b"6.0", b"s8", b"8.0"]
    log = read(*changes(5), *changes(6), *snapshot(4, [6, 8], "a"), *changes(8), begin=3)
    assert rows(log, begin=3, base=4) == [b"s6", b"end", b"s8", b"8.0"]
    assert rows(log, begin=3, base=6) == [b"s8", b"8.0"], "what the state holds is left out"


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_torn_snapshot_stands_for_nothing(missing: int) -> None:
    torn = snapshot(1, [6, 6], "b")
    del torn[missing]
    older = snapshot(0, [5], "a")
    log = read(*changes(5), *changes(6), *older, *torn)
    assert rows(log) == [b"s5", b"end", b"6.0"]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_damaged_snapshot_stands_for_nothing_and_hides_nothing(place: int) -> None:
    damaged = snapshot(1, [6, 6], "b")
    damaged[place] = spoiled(damaged[place])
    log = read(*changes(5), *changes(6), *snapshot(0, [5], "a"), *damaged)
    assert rows(log) == [b"s5", b"end", b"6.0"]
    assert log.passed_over == 1


def test_the_whole_snapshot_that_covers_more_holds_wherever_it_stands() -> None:
    newer, zombies = snapshot(1, [6], "a"), snapshot(0, [5], "z")
    for first, second in ((newer, zombies), (zombies, newer)):
        log = read(*changes(5), *changes(6), *first, *second)
        assert (rows(log), log.covered) == ([b"s6", b"end"], 1)


def test_damaged_changes_are_refused_unless_a_snapshot_stands_for_them() -> None:
    (bad,) = changes(6)
    log = read(*changes(5), spoiled(bad))
    with pytest.raises(UnreadableStateError, match=r"offset 1 cannot be read \(its checksum is"):
        log.plan(0, None)
    assert rows(read(*changes(5), spoiled(bad), *snapshot(1, [6], "a"))) == [b"s6", b"end"]


def unreadable(*records: KeyValue | None) -> PackedLog:
    """Return what is read of a log in which each None stands for an unreadable record."""
    log = PackedLog()
    for offset, found in enumerate(records):
        if found is None:
            log.note_unreadable(offset, offset, "CorruptRecordException: its checksum is wrong")
        else:
            log.take(offset, *found)
    return log


def test_what_cannot_be_read_is_refused_unless_a_snapshot_stands_for_it() -> None:
    why = r"offset 1 cannot be read \(CorruptRecordException: its checksum is wrong\), and no whole"
    with pytest.raises(UnreadableStateError, match=why):
        unreadable(*changes(5), None, *changes(7)).plan(0, None)
    with pytest.raises(UnreadableStateError, match="offset 1 cannot"):
        unreadable(*changes(5), None, *snapshot(0, [6], "a")).plan(0, None)
    assert rows(unreadable(*changes(5), None, *snapshot(1, [6], "a"))) == [b"s6", b"end"]
    log = unreadable(*changes(5), *changes(6), *snapshot(1, [6], "a"))
    log.note_unreadable(1, 2, "x")
    with pytest.raises(UnreadableStateError, match="offsets 1 to 2 cannot"):
        log.plan(0, None)


@pytest.mark.parametrize("lost", [{0}, {1}, {0, 1}])
def test_parts_of_a_snapshot_that_cannot_be_read_cost_only_that_snapshot(lost: set[int]) -> None:
    """The parts around them show that nothing else can have been there."""
    torn = [
        None if place in lost else part for place, part in enumerate(snapshot(3, [6, 6, 6], "b"))
    ]
    older = snapshot(0, [5], "a")
    assert rows(unreadable(*changes(5), *older, *changes(6), *torn, *changes(8))) == [
        b"s5", b"end", b"6.0", b"8.0",
    ]  # fmt: skip


def test_more_than_the_missing_parts_of_a_snapshot_may_be_changes() -> None:
    first, second, third, last = snapshot(2, [6, 6, 6], "b")
    older = snapshot(0, [5], "a")
    for found in (
        [first, None, None, third, last],
        [None, None, second, third, last],
        [first, second, third, None],
        [None],
    ):
        with pytest.raises(UnreadableStateError, match="cannot be read"):
            unreadable(*changes(5), *older, *found).plan(0, None)


def test_deleted_records_that_no_snapshot_stands_for_are_refused() -> None:
    whole = snapshot(6, [5], "a")
    assert rows(read(*whole, begin=7), begin=7) == [b"s5", b"end"]
    with pytest.raises(UnreadableStateError, match="before offset 8 are deleted"):
        read(*whole, begin=8).plan(8, None)
    with pytest.raises(UnreadableStateError, match="before offset 7 are deleted"):
        read(*whole[:-1], begin=7).plan(7, None)


def test_a_newer_form_is_named() -> None:
    ((key, value),) = changes(5)
    with pytest.raises(NewerFormatError, match="offset 0 has format 3"):
        read((key, b"\x03" + value[1:]))


def test_foreign_records_are_passed_over() -> None:
    log = PackedLog()
    for key in (None, b"", b"key", b"c.y.0", KEY_END, b"x.y.0" + KEY_END, b"c.y.z" + KEY_END):
        log.take(0, key, b"x")
    assert (rows(log), log.passed_over) == ([], 7)


def test_the_mark_at_the_beginning_of_an_older_versions_changelog_is_no_foreign_record() -> None:
    mark = packed_log.record(GroupKind.MARK, "0", 0, PackedPart(1, -1, -1, b""))
    log = read(mark, *changes(5))
    assert (rows(log), log.passed_over) == ([b"5.0"], 0)
