"""One episode of a trigger at an integration, and what a further fired window does to it.

An *episode* is a run of fired windows of one client, trigger, revision and integration with no gap
longer than the silence after which its alert is closed, or than a day where alerts stay open. The
first window that comes makes the episode's alias, so a late request can never touch the next
attack, and two integrations of one account are never folded together.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import NamedTuple

import msgspec
import orjson

from stream_app.domain.alerts.alert import PRODUCT
from stream_app.domain.configuration.repeat_options import MAX_SECONDS, RepeatOptions

_ALIAS_DIGITS = 32


class Series(NamedTuple):
    """What the windows of an episode have in common."""

    client_id: int
    trigger_id: int
    revision: str
    integration_id: int


class FiredWindow(NamedTuple):
    """A fired window: Unix seconds, the end exclusive."""

    start: int
    end: int


class Told(StrEnum):
    """What becomes of a fired window."""

    #: It begins an episode, so it pages.
    FIRST = "first"
    #: It is told again under the alias of its episode.
    REPEAT = "repeat"
    #: It makes no request; the next repeat tells how many there were.
    FOLDED = "folded"


class Episode(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One episode. Times are Unix seconds.

    `first_start` begins the window that came first, which makes the alias; windows that came late
    may lie before it, and `begin` is the earliest of them. `told_start` begins the newest window
    that made a request, and `folded` counts those that have made none since. There may be more of
    them unless it `is_exact`.
    """

    first_start: int
    begin: int
    end: int
    told_start: int
    folded: int = 0
    is_exact: bool = True

    def holds(self, window: FiredWindow, gap_seconds: int) -> bool:
        """Tell whether a window belongs to the episode."""
        return self.begin - gap_seconds <= window.end and window.start <= self.end + gap_seconds


class Decision(NamedTuple):
    """What becomes of a window: the episode with it, and what was folded before it.

    `folded` counts the windows that made no request since the window that begins at `since`; both
    are 0 unless the window is a repeat. There may be more of them unless the number `is_exact`.
    """

    told: Told
    episode: Episode
    folded: int = 0
    since: int = 0
    is_exact: bool = True


def gap_seconds(options: RepeatOptions, period_seconds: int) -> int:
    """Return the longest gap within an episode.

    It is never shorter than the trigger's period, or each window of a sparse trigger would be an
    episode of its own.
    """
    return max(options.close_after_seconds or MAX_SECONDS, period_seconds)


def first_of(window: FiredWindow) -> Decision:
    """Begin an episode."""
    episode = Episode(window.start, window.start, window.end, window.start)
    return Decision(Told.FIRST, episode)


def next_of(
    episode: Episode, window: FiredWindow, repeat_seconds: int, *, is_countable: bool = True
) -> Decision:
    """Add a window to its episode.

    A window that came late, so that a newer one has made a request, makes none where repeats are
    limited: what it tells is known.

    Args:
        episode: so far.
        window: that has fired.
        repeat_seconds: the least time between two requests; 0: each window makes one.
        is_countable: false if the window may have come before, so it must not be counted.
    """
    begin, end = min(episode.begin, window.start), max(episode.end, window.end)
    if repeat_seconds and window.start < episode.told_start + repeat_seconds:
        episode = Episode(
            episode.first_start,
            begin,
            end,
            episode.told_start,
            episode.folded + is_countable,
            episode.is_exact and is_countable,
        )
        return Decision(Told.FOLDED, episode)
    told = max(episode.told_start, window.start)
    return Decision(
        Told.REPEAT,
        Episode(episode.first_start, begin, end, told),
        episode.folded,
        episode.told_start,
        episode.is_exact,
    )


def repeated(episode: Episode) -> Decision:
    """Tell a window that the episode knows once more."""
    return Decision(Told.REPEAT, episode)


def alias_of(series: Series, first_start: int) -> str:
    """Return the alias of an episode's alert, in the form of an alert's id."""
    identity = ["episode", *series, first_start]
    digest = hashlib.sha256(orjson.dumps(identity)).hexdigest()[:_ALIAS_DIGITS]
    return f"{PRODUCT}:{series.client_id}:episode:{digest}"
