"""The note that a restoring worker leaves beside its group's offsets, and when it counts."""

from __future__ import annotations

from typing import Any

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from stream_app.kafka.cluster.groups import RestoringNote, _member, note_of, read_note
from stream_app.kafka.state.recovery_progress import RestoreProgress


def row(member_id: str, *partitions: int) -> dict[str, Any]:
    assignment = ConsumerProtocolMemberAssignment(0, [("alerts", list(partitions))], b"")
    return {
        "member_id": member_id,
        "client_id": "c",
        "client_host": "/10.0.0.1",
        "member_assignment": assignment.encode(),
    }


def test_a_note_says_what_the_health_page_says() -> None:
    progress = RestoreProgress()
    assert read_note(note_of(str(progress), "m-1")) == RestoringNote("m-1", str(progress))
    progress.begin(120_000, 4)
    progress.done = 60_000
    found = read_note(note_of(str(progress), "m-1"))
    assert found is not None
    assert found.how_far.startswith("state is being read: 60000 of 120000 changelog records, ")


def test_metadata_of_others_beside_an_offset_is_no_note() -> None:
    for metadata in ("", "x", "{}", "[]", '{"restoring": 7}', '{"how_far": "x"}'):
        assert read_note(metadata) is None


def test_a_note_counts_only_for_the_member_that_wrote_it_and_still_has_the_partition() -> None:
    notes = {("alerts", 0): RestoringNote("m-1", "x"), ("alerts", 1): RestoringNote("gone", "y")}
    assert _member(row("m-1", 0, 1), ["alerts"], notes).restoring == "x"
    assert _member(row("m-2", 0, 1), ["alerts"], notes).restoring is None
    assert _member(row("m-1", 1), ["alerts"], notes).restoring is None
    assert _member(row("m-1", 0), ["counts"], notes).restoring is None
