"""How a table notices that somebody else has written to its changelog."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from stream_app.kafka.state.state_table import StateTable, stateless


class State:
    def __init__(self) -> None:
        self.rewrites = 0

    def rewrite(self) -> None:
        self.rewrites += 1


class Written:
    """The part of a table that notes its writes; its changelog has been read up to offset 9."""

    def __init__(self) -> None:
        self.state = State()
        self.table: Any = SimpleNamespace(
            states={3: self.state},
            changelog_topic_name="changelog",
            _restored_to={3: 9},
            _last_own={3: 9},
        )

    def note(self, *offsets: int) -> None:
        StateTable.note_written(self.table, 3, offsets)

    @property
    def restored_to(self) -> int:
        offset: int = self.table._restored_to[3]
        return offset


@pytest.mark.parametrize("flushes", [[(10, 11, 12), (13,)], [(12, 10, 11), (13,)]])
def test_writes_without_a_gap_count_as_restored(flushes: list[tuple[int, ...]]) -> None:
    written = Written()
    for offsets in flushes:
        written.note(*offsets)
    assert written.restored_to == 13
    assert written.state.rewrites == 0


@pytest.mark.parametrize("flushes", [[(10, 12)], [(10,), (12,)]])
def test_after_a_gap_the_state_is_written_again_and_the_changelog_read_from_there(
    flushes: list[tuple[int, ...]],
) -> None:
    written = Written()
    for offsets in flushes:
        written.note(*offsets)
    assert written.restored_to == 10
    assert written.state.rewrites == 1
    written.note(13, 14)
    assert written.restored_to == 10, "the next recovery mends what the gap holds"
    assert written.state.rewrites == 1, "once for each gap"
    written.note(16)
    assert written.state.rewrites == 2


def test_writes_of_a_partition_that_moved_away_are_ignored() -> None:
    written = Written()
    StateTable.note_written(written.table, 4, [99])
    assert written.state.rewrites == 0


def test_a_source_partition_is_found_that_is_assigned_without_its_state() -> None:
    logs = {TP("log", 0), TP("log", 2)}
    sources = {TP("a", 0), TP("b", 0), TP("a", 2), TP("other", 5)}
    assert stateless(logs | sources, ["a", "b"], "log") == []
    assert stateless(logs | sources | {TP("b", 4)}, ["a", "b"], "log") == [TP("b", 4)]
