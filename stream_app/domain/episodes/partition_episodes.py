"""The episodes of one partition's alerts, and the progress of the agent that decides about them.

An integration that has not chosen episodes leaves nothing here. A series takes one record of the
changelog, which is written with each flush that changes it. The previous version keeps only its
progress, and takes the first element of every value for an offset: it passes over these records,
because theirs is -1.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import orjson

from stream_app.domain.configuration.repeat_options import MAX_SECONDS
from stream_app.domain.episodes.episode import Episode, Series
from stream_app.domain.episodes.episode_log import MAX_LATE_SECONDS, SeriesState
from stream_app.domain.episodes.taken_windows import TakenWindows
from stream_app.domain.state.keys import NEVER, PROGRESS_KEY
from stream_app.domain.state.progress import PartitionProgress
from stream_app.domain.state.tracked_values import TrackedValues

#: A series is forgotten when no alert of it has come for so long, by the times of their records. No
#: window of its episodes can come any more: the longest gap, and the most that one can be late, are
#: over. The third day covers the period and clocks that differ.
KEEP_SECONDS = MAX_SECONDS + MAX_LATE_SECONDS + 86_400
#: Most series that one flush forgets.
MAX_EXPIRED_PER_FLUSH = 5000


class SeriesRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The changelog value of a series. `bits` is base64."""

    mark: int
    seen: int
    epoch: int
    offset: int
    end: int
    bits: str
    episodes: tuple[Episode, ...]


class EpisodesCut(NamedTuple):
    """What one flush of a partition writes; `None` for a series that is forgotten."""

    offset: int
    changed: list[tuple[Series, SeriesState | None]]


class PartitionEpisodes:
    """The series of one partition of `alerts`, and how far the partition is processed."""

    def __init__(self) -> None:
        self._progress = PartitionProgress()
        self._tracked: TrackedValues[Series, SeriesState] = TrackedValues(
            lambda state: (state.offset,), self._note_change
        )
        #: The series, and when each was last seen: those that were seen longest ago come first.
        self._seen: dict[Series, int] = {}
        #: The largest record time seen, Unix seconds.
        self._now = 0

    def __len__(self) -> int:
        """Return how many series are kept."""
        return len(self._tracked.values)

    @property
    def offset(self) -> int:
        """The last offset that was taken."""
        return self._progress.offset

    def advance(self, offset: int) -> None:
        """Note that the records up to an offset are taken."""
        self._progress.advance(offset)

    def note_time(self, timestamp_ms: int) -> None:
        """Note the time of a record, by which series are forgotten."""
        self._now = max(self._now, timestamp_ms // 1000)

    def get(self, series: Series) -> SeriesState:
        """Return the state of a series, empty when it is not known."""
        return self._tracked.values.get(series) or SeriesState()

    def change(self, series: Series, state: SeriesState) -> None:
        """Set the state of a series."""
        self._tracked.change(series, state)

    def forget(self, series: Series) -> None:
        """Forget a series: its next window begins an episode."""
        if series in self._tracked.values:
            self._tracked.change(series, None)

    def _note_change(
        self, series: Series, _before: SeriesState | None, after: SeriesState | None
    ) -> None:
        self._seen.pop(series, None)
        if after is not None:
            self._seen[series] = after.seen
            self._now = max(self._now, after.seen)

    def _expired(self) -> list[Series]:
        found: list[Series] = []
        for series, seen in self._seen.items():
            if seen >= self._now - KEEP_SECONDS or len(found) == MAX_EXPIRED_PER_FLUSH:
                break
            found.append(series)
        return found

    # -- flushing

    def cut(self) -> EpisodesCut:
        """Take what has changed since the last cut; `confirm` it or `roll_back`."""
        for series in self._expired():
            self._tracked.change(series, None)
        return EpisodesCut(self._progress.offset, self._tracked.cut())

    def confirm(self, cut: EpisodesCut) -> None:
        """Note that the broker has acknowledged all of the cut, its progress included."""
        self._tracked.confirm(cut.changed)
        self._progress.confirm(cut.offset)

    def restored(self) -> None:
        """Do nothing: records after the progress are read again."""

    def roll_back(self) -> None:
        """Forget everything that is not known to be acknowledged."""
        self._tracked.roll_back()
        self._progress.roll_back()

    def rewrite(self) -> None:
        """Write the whole state again with the next flushes."""
        self._tracked.rewrite()

    # -- the changelog

    def progress_of(self, topic: str) -> int:
        """Return the last source offset whose effects the broker has acknowledged."""
        return self._progress.progress_of(topic)

    def records(self, cut: EpisodesCut) -> Sequence[tuple[bytes, bytes | None]]:
        """Return the changelog records of a cut."""
        return [(orjson.dumps([*series]), _value_of(state)) for series, state in cut.changed]

    def progress_record(self, cut: EpisodesCut) -> tuple[bytes, bytes]:
        """Return the changelog record of a cut's progress."""
        return self._progress.progress_record(cut.offset)

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Restore a record of the changelog. Of two records of a key the newer one holds."""
        if key == PROGRESS_KEY:
            self._progress.restore(key, value)
        else:
            series = Series(*orjson.loads(key))
            self._tracked.restore(series, None if value is None else _state_of(value))


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(SeriesRow).decode


def _value_of(state: SeriesState | None) -> bytes | None:
    if state is None:
        return None
    end, bits = state.taken.end, base64.b64encode(state.taken.bits).decode()
    row = SeriesRow(NEVER, state.seen, state.epoch, state.offset, end, bits, state.episodes)
    return _encode(row)


def _state_of(value: bytes) -> SeriesState:
    row = _decode(value)
    taken = TakenWindows(row.end, base64.b64decode(row.bits))
    return SeriesState(row.epoch, row.offset, row.seen, row.episodes, taken)
