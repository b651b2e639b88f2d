"""Which dead letters are meant, where they came from, and which of them are done."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from stream_app.domain.dead_letters.dead_letter import DeadLetter, Log, Place


@dataclass(frozen=True)
class Selection:
    """Which letters are meant: all that fit every rule that is set. Times are Unix ms."""

    integration_id: int | None = None
    client_id: int | None = None
    reasons: frozenset[str] = frozenset()
    since_ms: int | None = None
    until_ms: int | None = None
    places: frozenset[Place] = frozenset()

    @property
    def is_everything(self) -> bool:
        """Tell whether no rule is set."""
        return self == Selection()

    def holds(self, letter: DeadLetter) -> bool:
        """Tell whether a letter is meant. The value is decoded only for a rule that needs it."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (self.since_ms is None or letter.timestamp_ms >= self.since_ms)
            and (self.until_ms is None or letter.timestamp_ms < self.until_ms)
            and (not self.places or letter.place in self.places)
            and (self.integration_id is None or self.integration_id in letter.integration_ids)
            and (self.client_id is None or letter.client_id == self.client_id)
        )


class OriginalPlace(NamedTuple):
    """Which record, and which event of it, a letter of a topic was made of.

    The time is in it because offsets begin anew with a topic that is made anew.
    """

    partition: int
    offset: int
    timestamp_ms: int
    event_index: int | None


class Entry(NamedTuple):
    """What is kept of a letter that is meant: not its bytes. Times are Unix ms."""

    timestamp_ms: int
    reason: str
    delivery_ids: tuple[str, ...]
    original_ms: int
    origin: OriginalPlace | None


@dataclass
class Ledger:
    """The letters that are meant, and where those went that have been redriven.

    It is filled by reading each partition in its order: a mark stands behind its letter. A worker
    that a crash cuts short writes its letters once more, perhaps to another partition: letters of
    one origin are one, and are done together.
    """

    selection: Selection
    entries: dict[Log, dict[int, Entry]] = field(default_factory=dict)
    targets: dict[Log, dict[int, str]] = field(default_factory=dict)

    def add(self, letter: DeadLetter) -> None:
        """Take a letter, if it is meant."""
        if self.selection.holds(letter):
            at = letter.original
            origin = at and OriginalPlace(at.partition, at.offset, letter.original_ms, letter.index)
            entry = Entry(
                letter.timestamp_ms, letter.reason, letter.delivery_ids, letter.original_ms, origin
            )
            self.entries.setdefault(letter.place.log, {})[letter.place.offset] = entry

    def mark(self, place: Place, offset: int, target: str) -> None:
        """Take a mark that lies at `place`, of a letter at `offset` of the same partition."""
        if offset < place.offset and offset in self.entries.get(place.log, ()):
            self.targets.setdefault(place.log, {})[offset] = target

    def settle(self) -> None:
        """Take note that all has been read: what is done holds for all letters of its origin."""
        done = {
            (log.topic, self.entries[log][offset].origin): target
            for log, targets in self.targets.items()
            for offset, target in targets.items()
        }
        for log, offset, entry in self._rows():
            target = done.get((log.topic, entry.origin)) if entry.origin else None
            if target is not None:
                self.targets.setdefault(log, {}).setdefault(offset, target)

    def drop_repeats(self) -> None:
        """Leave out all letters of one origin but the first."""
        seen: set[tuple[str, OriginalPlace]] = set()
        for log, offset, entry in sorted(self._rows(), key=lambda row: row[2].timestamp_ms):
            if entry.origin is None:
                continue
            if (log.topic, entry.origin) in seen:
                del self.entries[log][offset]
            seen.add((log.topic, entry.origin))

    def target(self, place: Place) -> str | None:
        """Return where a letter has gone; None: it has not been redriven."""
        return self.targets.get(place.log, {}).get(place.offset)

    def drop_done(self, *, but: Collection[str] = ()) -> None:
        """Leave out what has been redriven, but for letters of some topics."""
        for log, offsets in self.targets.items():
            for offset in offsets if log.topic not in but else ():
                del self.entries[log][offset]

    def keep(self, number: int, *, newest: bool) -> None:
        """Leave out all but so many letters: the newest, or the oldest."""
        rows = ((e.timestamp_ms, log, offset) for log, offset, e in self._rows())
        kept = set((heapq.nlargest if newest else heapq.nsmallest)(number, rows))
        for log, offset, entry in list(self._rows()):
            if (entry.timestamp_ms, log, offset) not in kept:
                del self.entries[log][offset]

    def offsets(self) -> dict[Log, list[int]]:
        """Return where the letters lie, in the order of each partition."""
        return {log: list(entries) for log, entries in self.entries.items() if entries}

    def summary(self) -> Mapping[tuple[str, str], int]:
        """Return the number of letters by topic and reason."""
        return Counter((log.topic, entry.reason) for log, _, entry in self._rows())

    def __len__(self) -> int:
        """Return how many letters are meant."""
        return sum(map(len, self.entries.values()))

    def __iter__(self) -> Iterator[Entry]:
        """Yield what is kept of each letter."""
        return (entry for _, _, entry in self._rows())

    def _rows(self) -> Iterator[tuple[Log, int, Entry]]:
        for log, entries in self.entries.items():
            for offset, entry in entries.items():
                yield log, offset, entry
