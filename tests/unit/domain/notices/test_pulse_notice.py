"""What the platform team is told of a pulse that stops."""

from __future__ import annotations

from stream_app.domain.notices.pulse_notice import pulse_stopped
from stream_app.domain.pulse.note import PulseReason, PulseStop

STOPS = [
    PulseStop(PulseReason.NO_WORKER, "no detector is running"),
    PulseStop(PulseReason.STANDS_STILL, "counts partition 0 stands still at offset 5"),
]


def test_it_says_since_when_why_and_what_to_do() -> None:
    notice = pulse_stopped("host:7", 5, 1_767_225_600_000, STOPS)
    assert notice.kind == "pulse_stopped"
    assert notice.lines[0] == "No heartbeat was pinged by host:7 since 2026-01-01T00:00:00Z."
    assert notice.lines[2] == ("no detector is running (no_worker): start one, or look at its log")
    assert notice.details == {"reasons": "no_worker, stands_still"}
    assert "yet" in pulse_stopped("host:7", 5, 0, STOPS).lines[0]


def test_one_stop_is_one_message_whatever_joins_it() -> None:
    first, more = pulse_stopped("a", 5, 0, STOPS[:1]), pulse_stopped("a", 5, 0, STOPS)
    assert first.identity == more.identity
    assert first.identity != pulse_stopped("a", 6, 0, STOPS).identity
    assert first.identity != pulse_stopped("b", 5, 0, STOPS).identity
