"""What a repeat says about the windows that were folded."""

from __future__ import annotations

import pytest

from stream_app.domain.alerts.threshold_text import Message
from stream_app.domain.episodes.episode import Decision, Episode, FiredWindow, Told
from stream_app.domain.episodes.repeat_text import folded_text, note_text, repeat_message

#: 2026-11-29 20:31:05 UTC.
START = 1_795_984_265
MESSAGE = Message("title", "text", {"trigger_id": "61", "link": "https://my.wallarm.com/attacks"})
SINCE = "since the one that began at 2026-11-29 20:31:05 UTC."


def repeat(folded: int, *, is_exact: bool = True) -> Decision:
    episode = Episode(START, START - 60, START + 61, START + 60)
    return Decision(Told.REPEAT, episode, folded, START, is_exact)


@pytest.mark.parametrize(
    ("decision", "text"),
    [
        (repeat(37), f"37 more windows have fired {SINCE}"),
        (repeat(1), f"1 more window has fired {SINCE}"),
        (repeat(0), ""),
        (repeat(37, is_exact=False), f"At least 37 more windows have fired {SINCE}"),
        (repeat(1, is_exact=False), f"At least 1 more window has fired {SINCE}"),
        (repeat(0, is_exact=False), f"Further windows may have fired {SINCE}"),
    ],
)
def test_how_many_were_folded_and_since_when(decision: Decision, text: str) -> None:
    assert folded_text(decision) == text


def test_the_message_of_a_repeat_begins_with_what_was_folded() -> None:
    found = repeat_message(MESSAGE, repeat(37))
    assert found.description == f"37 more windows have fired {SINCE}\n\ntext"
    assert found.details == {
        **MESSAGE.details,
        "folded_windows": "37",
        "folded_since": "1795984265",
    }
    least = repeat_message(MESSAGE, repeat(37, is_exact=False))
    assert least.details["folded_windows"] == "at least 37"


def test_a_repeat_after_which_nothing_was_folded_has_the_message_of_its_window() -> None:
    assert repeat_message(MESSAGE, repeat(0)) is MESSAGE


def test_a_note_tells_the_window_what_was_folded_and_since_when() -> None:
    window = FiredWindow(START + 60, START + 61)
    assert note_text(window, MESSAGE, repeat(0)) == (
        "The trigger has fired in the window from 2026-11-29 20:32:05 UTC to "
        "2026-11-29 20:32:06 UTC.\n"
        "The first window of this run began at 2026-11-29 20:30:05 UTC.\n"
        "View events:\n"
        "https://my.wallarm.com/attacks"
    )
    assert folded_text(repeat(37)) in note_text(window, MESSAGE, repeat(37)).splitlines()
