"""The episodes of one series, as they follow from the fired windows in the order of their alerts.

Ended episodes are kept for some time: windows do not fire in order while a backlog is counted, and
one that comes late must find its own episode, not begin another.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

import msgspec

from stream_app.domain.configuration.repeat_options import RepeatOptions
from stream_app.domain.episodes.episode import (
    Decision,
    Episode,
    FiredWindow,
    Told,
    first_of,
    gap_seconds,
    next_of,
    repeated,
)
from stream_app.domain.episodes.taken_windows import TakenWindows


class SeriesState(msgspec.Struct, frozen=True, gc=False):
    """The episodes of one series, by begin, at one target of the integration.

    `epoch` is the integration's: a new target, or an integration that was enabled again, knows no
    earlier alert. `offset` is that of the last alert that was taken. It and `taken` are of all
    epochs.
    """

    epoch: int = 0
    offset: int = -1
    episodes: tuple[Episode, ...] = ()
    taken: TakenWindows = TakenWindows()

    @property
    def end(self) -> int:
        """The end of the newest window, Unix seconds."""
        return self.taken.end


def take_window(
    known: SeriesState,
    window: FiredWindow,
    options: RepeatOptions,
    epoch: int,
    offset: int,
    *,
    is_redriven: bool = False,
) -> tuple[SeriesState, Decision | None]:
    """Return the state of a series with a further window, and what becomes of the window.

    Args:
        known: the series so far.
        window: that has fired.
        options: the integration's.
        epoch: the integration's.
        offset: of the window's alert.
        is_redriven: whether a person has sent the alert again; it is told in any case.

    Returns:
        No decision if the window has been taken before: it was told, or counted as folded, then.
    """
    if epoch > known.epoch:
        # What was taken stays taken, even if it comes again: the new target would be told of it by
        # a delivery that `deliver` knows already, so not at all.
        known = SeriesState(epoch, known.offset, taken=known.taken)
    is_taken = known.taken.holds(window)
    if offset <= known.offset or (is_taken and not is_redriven):
        return known, None
    gap = gap_seconds(options, window.end - window.start)
    # The newest first: nearly all windows belong to it.
    for place in range(len(known.episodes) - 1, -1, -1):
        episode = known.episodes[place]
        if episode.holds(window, gap):
            if is_taken:
                decision = repeated(episode)
            else:
                decision = next_of(episode, window, options.repeat_seconds)
            others = [*known.episodes[:place], *known.episodes[place + 1 :]]
            break
    else:
        decision, others = first_of(window), list(known.episodes)
    insort(others, decision.episode, key=lambda episode: episode.begin)
    state = SeriesState(epoch, offset, tuple(others), known.taken.with_window(window))
    return state, decision


def without_old(state: SeriesState, end_before: int) -> SeriesState | None:
    """Return a series without the episodes that ended before a time; None: nothing is left."""
    kept = tuple(episode for episode in state.episodes if episode.end >= end_before)
    return msgspec.structs.replace(state, episodes=kept) if kept else None


class RepeatTally(msgspec.Struct, frozen=True):
    """What would become of fired windows at one integration."""

    windows: int = 0
    #: Requests that open an alert, or would if a person had closed it.
    first: int = 0
    repeats: int = 0
    folded: int = 0


def tally(windows: Sequence[FiredWindow], options: RepeatOptions) -> RepeatTally:
    """Return what becomes of the fired windows of one trigger, in the order in which they fired."""
    if not options.has_episodes:
        return RepeatTally(len(windows), len(windows))
    state, told = SeriesState(), dict.fromkeys(Told, 0)
    for offset, window in enumerate(windows):
        state, decision = take_window(state, window, options, 0, offset)
        if decision is not None:
            told[decision.told] += 1
    return RepeatTally(len(windows), told[Told.FIRST], told[Told.REPEAT], told[Told.FOLDED])
