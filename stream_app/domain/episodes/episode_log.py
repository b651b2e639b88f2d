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

#: An episode is kept until a window of it could come only as late as this.
MAX_LATE_SECONDS = 86_400


class SeriesState(msgspec.Struct, frozen=True, gc=False):
    """The episodes of one series, by begin, at one target of the integration.

    `epoch` is the integration's: a new target, or an integration that was enabled again, knows no
    earlier alert. `offset` is that of the last alert that was taken, and `seen` its record's time,
    Unix seconds. They and `taken` are of all epochs.
    """

    epoch: int = 0
    offset: int = -1
    seen: int = 0
    episodes: tuple[Episode, ...] = ()
    taken: TakenWindows = TakenWindows()


def take_window(
    known: SeriesState,
    window: FiredWindow,
    options: RepeatOptions,
    epoch: int,
    offset: int,
    seen: int = 0,
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
        seen: time of the alert's record, Unix seconds. It decides nothing.
        is_redriven: whether a person has sent the alert again; it is told in any case.

    Returns:
        No decision if the window has been taken before: it was told, or counted as folded, then.
    """
    if offset <= known.offset:
        return known, None
    if epoch > known.epoch:
        # What was taken stays taken, even if it comes again: the new target would be told of it by
        # a delivery that `deliver` knows already, so not at all.
        known = SeriesState(epoch, known.offset, known.seen, taken=known.taken)
    is_taken = known.taken.holds(window)
    if is_taken and not is_redriven:
        return known, None
    gap = gap_seconds(options, window.end - window.start)
    # The newest first: nearly all windows belong to it.
    for place in range(len(known.episodes) - 1, -1, -1):
        episode = known.episodes[place]
        if episode.holds(window, gap):
            if is_taken:
                decision = repeated(episode)
            else:
                decision = next_of(
                    episode,
                    window,
                    0 if is_redriven else options.repeat_seconds,
                    is_countable=known.taken.remembers(window),
                )
            others = [*known.episodes[:place], *known.episodes[place + 1 :]]
            break
    else:
        decision, others = first_of(window), list(known.episodes)
    insort(others, decision.episode, key=lambda episode: episode.begin)
    taken = known.taken.with_window(window)
    oldest = taken.end - MAX_LATE_SECONDS - gap
    episodes = tuple(episode for episode in others if episode.end >= oldest)
    return SeriesState(known.epoch, offset, max(seen, known.seen), episodes, taken), decision


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
