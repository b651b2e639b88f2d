"""What an overview says of the pulse."""

from __future__ import annotations

import msgspec
import pytest

from stream_app.domain.pulse.note import NEXT_STEPS, PulseNote, PulseReason, PulseStop
from stream_app.domain.reports.pulse import (
    SILENT_MS,
    STOPPED_MS,
    PulseNotes,
    pulse_problems,
)

NOW = 1_767_225_600_000
STOP = PulseStop(PulseReason.NO_WORKER, "no detector is running")


def texts(note: PulseNote | None, *, is_set: bool = False) -> list[str]:
    return [f"{one.what} > {one.steps[0].text}" for one in pulse_problems(note, NOW, is_set=is_set)]


def test_an_installation_without_a_heartbeat_has_no_problem() -> None:
    assert texts(None) == []


def test_a_heartbeat_that_no_notifier_knows_is_one() -> None:
    (text,) = texts(None, is_set=True)
    assert text.startswith("STREAM_APP_HEARTBEAT__… is set, and no notifier has pinged it in 12 h")


def test_a_pulse_that_was_just_pinged_is_none_whatever_stops_it_now() -> None:
    assert texts(PulseNote("a", NOW, True, NOW - STOPPED_MS, (STOP,)), is_set=True) == []


def test_a_pulse_that_has_stopped_says_why_and_what_to_do() -> None:
    row = PulseNote("a", NOW, True, NOW - STOPPED_MS - 1, (STOP,))
    (text,) = texts(row)
    assert text == (
        "the pulse has stopped: no heartbeat was pinged since 2025-12-31T23:56:59Z: no detector "
        "is running (no_worker) > start one, or look at its log"
    )
    (text,) = texts(PulseNote("a", NOW, True, 0, (STOP,)))
    assert "no heartbeat was pinged ever" in text


def test_a_pulse_of_which_nobody_says_anything_has_stopped() -> None:
    assert texts(PulseNote("a", NOW - SILENT_MS, True, NOW - SILENT_MS, ())) == []
    (text,) = texts(PulseNote("a", NOW - SILENT_MS - 1, True, NOW - SILENT_MS, ()))
    assert "no notifier says why" in text


def test_pings_that_reach_nobody_are_a_problem() -> None:
    stop = PulseStop(PulseReason.HEARTBEAT, "there is none")
    (text,) = texts(PulseNote("a", NOW, True, NOW, (stop,)))
    assert text.startswith("the pulse reaches nobody: there is none (heartbeat)")


def test_the_newest_note_of_the_notifier_that_pings_counts() -> None:
    notes = PulseNotes()
    assert notes.newest() is None
    notes.add_record(b'{"type":"attempt"}')
    for note in (
        PulseNote("a", NOW - 1000, is_owner=True, pinged_at_ms=NOW - 1000),
        PulseNote("b", NOW, is_owner=True, stops=(STOP,)),
        PulseNote("c", NOW + 1, is_owner=False, stops=(STOP,)),
        PulseNote("a", NOW - 5000, is_owner=True, pinged_at_ms=NOW - 5000),
    ):
        notes.add_record(msgspec.json.encode(note))
    assert notes.newest() == PulseNote("b", NOW, True, NOW - 1000, (STOP,))
    with pytest.raises(msgspec.MsgspecError):
        notes.add_record(b'{"type":"pulse"}')


def test_each_reason_has_a_next_step() -> None:
    assert set(NEXT_STEPS) == set(PulseReason)
