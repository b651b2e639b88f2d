"""The options of one attack, as a file has them and in words."""

from __future__ import annotations

import pytest

from stream_app.domain.configuration.repeat_options import (
    EACH_WINDOW,
    Deduplicate,
    RepeatOptions,
)
from stream_app.domain.episodes.descriptions import as_written, in_words

EPISODE = Deduplicate.EPISODE


@pytest.mark.parametrize(
    ("options", "written", "words"),
    [
        (EACH_WINDOW, "deduplicate: window", ["an alert of its own, which stays open"]),
        (
            RepeatOptions(EPISODE),
            "deduplicate: episode",
            ["it is repeated with every window, each time with a note,", "it is not closed; "],
        ),
        (
            RepeatOptions(EPISODE, 90, 0, repeat_notes=False),
            "deduplicate: episode, repeat_seconds: 90",
            ["it is repeated at most every 90 seconds, and pages again only if"],
        ),
        (
            RepeatOptions(EPISODE, 0, 300),
            "deduplicate: episode, close_after_seconds: 300",
            ["it is closed when no window has fired for 5 minutes"],
        ),
    ],
)
def test_the_options_are_shown_as_written_and_in_words(
    options: RepeatOptions, written: str, words: list[str]
) -> None:
    assert as_written(options) == written
    assert all(part in in_words(options) for part in words)
