"""The state of `announce`: the last version of each object, a baseline, and the progress.

Each object is kept with the offset of its record, so a record that is read again after a crash
changes nothing and announces nothing. The *baseline* is the offset in each topic before which
nothing is announced: a first start on existing configuration must not page anybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.notices.config_changes import Difference, differences, remembered
from stream_app.domain.state.keys import NEVER, PROGRESS_KEY
from stream_app.domain.state.tracked_values import TrackedValues

BASELINE_KEY = b"baseline"


ObjectName = tuple[Kind, int]


@dataclass(frozen=True)
class LastObject:
    """The last version of an object, None if it was deleted, and the offset of its record."""

    offset: int
    obj: dict[str, object] | None


@dataclass(frozen=True)
class AnnouncedCut:
    """What one flush writes: the changed objects, and the last offset taken from each topic."""

    changed: Sequence[tuple[ObjectName, LastObject | None]]
    offsets: tuple[int, ...]


class AnnouncedObjects:
    """The objects of the `config.*` topics, which have one partition each.

    Args:
        topics: names of the topics, by kind.
    """

    def __init__(self, topics: Mapping[Kind, str]) -> None:
        self.baseline: dict[str, int] | None = None
        self._kinds = {topic: kind for kind, topic in topics.items()}
        self._last = TrackedValues[ObjectName, LastObject](lambda last: (last.offset,))
        self._offsets = dict.fromkeys(self._kinds, NEVER)
        self._progress = dict.fromkeys(self._kinds, NEVER)

    def client(self, client_id: int) -> Mapping[str, object] | None:
        """Return the last record of a client."""
        last = self._last.values.get((Kind.CLIENT, client_id))
        return last.obj if last is not None else None

    def is_new(self, topic: str, offset: int) -> bool:
        """Tell whether a record has not been taken yet."""
        return offset > self._offsets[topic]

    def skip(self, topic: str, offset: int) -> None:
        """Note that a record has been read; it changes no object."""
        self._offsets[topic] = max(self._offsets[topic], offset)

    def take(
        self, topic: str, offset: int, object_id: int, obj: Mapping[str, object] | None
    ) -> list[Difference]:
        """Take the record of an object, and return the differences to announce."""
        kind = self._kinds[topic]
        self.skip(topic, offset)
        before = self._last.values.get((kind, object_id))
        if before is not None and before.offset >= offset:
            return []
        after = LastObject(offset, None if obj is None else remembered(kind, obj))
        self._last.change((kind, object_id), after)
        if self.baseline is None or offset < self.baseline[topic]:
            return []
        return differences(kind, before.obj if before is not None else None, after.obj)

    # -- flushing

    def cut(self) -> AnnouncedCut:
        """Return what has changed since the last cut, to be confirmed or rolled back."""
        return AnnouncedCut(self._last.cut(), tuple(self._offsets.values()))

    def confirm(self, cut: AnnouncedCut) -> None:
        """Note that the broker has acknowledged the whole cut, progress included."""
        self._last.confirm(cut.changed)
        self._progress = dict(zip(self._progress, cut.offsets, strict=True))

    def restored(self) -> None:
        """Do nothing more: records after the progress are read again."""

    def roll_back(self) -> None:
        """Forget everything that the broker has not acknowledged for sure."""
        self._last.roll_back()
        self._offsets = dict(self._progress)

    def rewrite(self) -> None:
        """Write all objects again with the next flushes."""
        self._last.rewrite()

    # -- the changelog

    def progress_of(self, topic: str) -> int:
        """Return the last offset of a source topic whose effects are acknowledged."""
        return self._progress[topic]

    def records(self, cut: AnnouncedCut) -> list[tuple[bytes, bytes]]:
        """Return the changelog records of a cut's objects."""
        return [
            (f"{kind}/{object_id}".encode(), orjson.dumps((last.offset, last.obj)))
            for (kind, object_id), last in cut.changed
            if last is not None
        ]

    def progress_record(self, cut: AnnouncedCut) -> tuple[bytes, bytes]:
        """Return the changelog record of the progress in all topics."""
        return PROGRESS_KEY, orjson.dumps(cut.offsets)

    def baseline_record(self, ends: Sequence[int]) -> tuple[bytes, bytes]:
        """Return the changelog record of a baseline; `ends` are in the order of the topics."""
        return BASELINE_KEY, orjson.dumps(ends)

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take a record of the changelog. Of two records of an object, the later offset wins."""
        if value is None:
            return
        found = orjson.loads(value)
        if key == PROGRESS_KEY:
            offsets = zip(self._progress.items(), found, strict=True)
            self._progress = {topic: max(known, offset) for (topic, known), offset in offsets}
            self._offsets = dict(self._progress)
        elif key == BASELINE_KEY:
            # The earlier baseline wins: what came after it must be announced.
            ends = dict(zip(self._kinds, found, strict=True))
            known_ends = self.baseline or ends
            self.baseline = {topic: min(end, known_ends[topic]) for topic, end in ends.items()}
        else:
            kind, _, object_id = key.decode().partition("/")
            self._last.restore((Kind(kind), int(object_id)), LastObject(*found))
