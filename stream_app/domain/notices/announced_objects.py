"""What `announce` keeps: the last object of each id, where it begins, and how far it has come.

An object's record has the offset that it came from, so a record that is read again after a crash
changes nothing and says nothing. A *baseline* is the offset in each topic before which nothing
is announced: a first start on existing configuration must not page anybody with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.notices.config_changes import Difference, differences, remembered
from stream_app.domain.state.keys import NEVER, PROGRESS_KEY

BASELINE_KEY = b"baseline"


@dataclass(frozen=True)
class Known:
    """The last object of an id, and the offset of its record; no object: it was deleted."""

    offset: int
    obj: dict[str, object] | None


@dataclass(frozen=True)
class AnnouncedCut:
    """What one flush writes."""

    changed: dict[tuple[Kind, int], Known]
    offsets: tuple[int, ...]


class AnnouncedObjects:
    """The objects of the `config.*` topics, which have one partition each.

    Args:
        topics: names of the topics, by kind.
    """

    def __init__(self, topics: Mapping[Kind, str]) -> None:
        self.baseline: dict[str, int] | None = None
        self._kinds = {topic: kind for kind, topic in topics.items()}
        self._known: dict[tuple[Kind, int], Known] = {}
        self._offsets = dict.fromkeys(self._kinds, NEVER)
        self._progress = dict.fromkeys(self._kinds, NEVER)
        # What stood there before the changes since the last cut, and before those of that cut.
        self._before: dict[tuple[Kind, int], Known | None] = {}
        self._in_flight: dict[tuple[Kind, int], Known | None] = {}

    def client(self, client_id: int) -> Mapping[str, object] | None:
        """Return the last record of a client."""
        known = self._known.get((Kind.CLIENT, client_id))
        return known.obj if known is not None else None

    def is_new(self, topic: str, offset: int) -> bool:
        """Tell whether a record has not been taken yet."""
        return offset > self._offsets[topic]

    def skip(self, topic: str, offset: int) -> None:
        """Note a record that holds no object."""
        self._offsets[topic] = max(self._offsets[topic], offset)

    def take(
        self, topic: str, offset: int, number: int, obj: Mapping[str, object] | None
    ) -> list[Difference]:
        """Take the record of an object; return what is to be announced of it."""
        kind = self._kinds[topic]
        self.skip(topic, offset)
        before = self._known.get((kind, number))
        if before is not None and before.offset >= offset:
            return []
        after = Known(offset, None if obj is None else remembered(kind, obj))
        self._before.setdefault((kind, number), before)
        self._known[kind, number] = after
        if self.baseline is None or offset < self.baseline[topic]:
            return []
        return differences(kind, before.obj if before is not None else None, after.obj)

    # -- flushing

    def cut(self) -> AnnouncedCut:
        """Take what has changed since the last cut; `confirm` it or `roll_back`."""
        self._in_flight, self._before = self._before, {}
        changed = {name: self._known[name] for name in self._in_flight}
        return AnnouncedCut(changed, tuple(self._offsets.values()))

    def confirm(self, cut: AnnouncedCut) -> None:
        """Note that the broker has acknowledged all of the cut, its progress included."""
        self._in_flight = {}
        self._progress = dict(zip(self._progress, cut.offsets, strict=True))

    def restored(self) -> None:
        """Nothing more to do: what is behind the progress is read again."""

    def roll_back(self) -> None:
        """Forget everything that is not known to be acknowledged."""
        for undone in (self._before, self._in_flight):
            for name, known in undone.items():
                if known is None:
                    self._known.pop(name, None)
                else:
                    self._known[name] = known
        self._before, self._in_flight = {}, {}
        self._offsets = dict(self._progress)

    def rewrite(self) -> None:
        """Write all objects once more with the next flush."""
        for name, known in self._known.items():
            self._before.setdefault(name, known)

    # -- the changelog

    def progress_of(self, topic: str) -> int:
        """Return the last offset of a source topic whose effects are acknowledged."""
        return self._progress[topic]

    def records(self, cut: AnnouncedCut) -> list[tuple[bytes, bytes]]:
        """Return the changelog records of a cut's objects."""
        return [
            (f"{kind}/{number}".encode(), orjson.dumps((known.offset, known.obj)))
            for (kind, number), known in cut.changed.items()
        ]

    def progress_record(self, cut: AnnouncedCut) -> tuple[bytes, bytes]:
        """Return the changelog record of a cut's progress in all topics."""
        return PROGRESS_KEY, orjson.dumps(cut.offsets)

    def baseline_record(self, ends: Sequence[int]) -> tuple[bytes, bytes]:
        """Return the changelog record of a baseline; `ends` in the order of the topics."""
        return BASELINE_KEY, orjson.dumps(ends)

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take a record of the changelog; of two of an object the later offset holds."""
        if value is None:
            return
        found = orjson.loads(value)
        if key == PROGRESS_KEY:
            offsets = zip(self._progress.items(), found, strict=True)
            self._progress = {topic: max(known, offset) for (topic, known), offset in offsets}
            self._offsets = dict(self._progress)
        elif key == BASELINE_KEY:
            # The earlier one holds: what came after it must be announced.
            ends = dict(zip(self._kinds, found, strict=True))
            known_ends = self.baseline or ends
            self.baseline = {topic: min(end, known_ends[topic]) for topic, end in ends.items()}
        else:
            kind, _, number = key.decode().partition("/")
            name = (Kind(kind), int(number))
            known = Known(*found)
            if name not in self._known or known.offset >= self._known[name].offset:
                self._known[name] = known
