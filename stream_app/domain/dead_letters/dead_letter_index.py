"""An index of selected dead letters: their places and origins, and which of them are done."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from stream_app.domain.dead_letters.dead_letter import DeadLetter, Log, Place

#: Target of a dead letter that somebody has dismissed: it is done, and was sent nowhere.
DISMISSED = "dismissed"


@dataclass(frozen=True)
class Selection:
    """Selects the dead letters that match every criterion that is set. Times are Unix ms."""

    integration_id: int | None = None
    client_id: int | None = None
    reasons: frozenset[str] = frozenset()
    since_ms: int | None = None
    until_ms: int | None = None
    places: frozenset[Place] = frozenset()

    @property
    def is_everything(self) -> bool:
        """Whether no criterion is set."""
        return self == Selection()

    def holds(self, dead_letter: DeadLetter) -> bool:
        """Tell whether a dead letter is selected; its value is decoded only if that is needed."""
        return (
            (not self.reasons or dead_letter.reason in self.reasons)
            and (self.since_ms is None or dead_letter.timestamp_ms >= self.since_ms)
            and (self.until_ms is None or dead_letter.timestamp_ms < self.until_ms)
            and (not self.places or dead_letter.place in self.places)
            and (self.integration_id is None or self.integration_id in dead_letter.integration_ids)
            and (self.client_id is None or dead_letter.client_id == self.client_id)
        )


class OriginalPlace(NamedTuple):
    """The record that a dead letter was made from, and the event in it.

    It has the record's time because offsets start again when a topic is recreated.
    """

    partition: int
    offset: int
    timestamp_ms: int
    event_index: int | None


class IndexEntry(NamedTuple):
    """The facts about a selected dead letter, without its bytes. Times are Unix ms."""

    timestamp_ms: int
    reason: str
    delivery_ids: tuple[str, ...]
    integration_ids: tuple[int, ...]
    original_ms: int
    origin: OriginalPlace | None


@dataclass
class DeadLetterIndex:
    """The selected dead letters, and where those went that are done.

    Each partition must be read in its order, because a mark comes after its dead letter.
    After a crash a worker writes its dead letters again, perhaps to another partition. Those of one
    origin count as one, and are redriven together.
    """

    selection: Selection
    entries: dict[Log, dict[int, IndexEntry]] = field(default_factory=dict)
    targets: dict[Log, dict[int, str]] = field(default_factory=dict)

    def add_if_selected(self, dead_letter: DeadLetter) -> None:
        """Add a dead letter if it is selected."""
        if self.selection.holds(dead_letter):
            at = dead_letter.original
            entry = IndexEntry(
                timestamp_ms=dead_letter.timestamp_ms,
                reason=dead_letter.reason,
                delivery_ids=dead_letter.delivery_ids,
                integration_ids=dead_letter.integration_ids,
                original_ms=dead_letter.original_ms,
                origin=at
                and OriginalPlace(
                    at.partition, at.offset, dead_letter.original_ms, dead_letter.event_index
                ),
            )
            self.entries.setdefault(dead_letter.place.log, {})[dead_letter.place.offset] = entry

    def note_mark(self, place: Place, offset: int, target: str) -> None:
        """Note the mark at `place`, which is for the dead letter at `offset` before it."""
        if offset < place.offset and offset in self.entries.get(place.log, ()):
            self.targets.setdefault(place.log, {})[offset] = target

    def share_targets(self) -> None:
        """Count every dead letter as done if another one of its origin is.

        Call it when everything has been read.
        """
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
        """Drop all dead letters of one origin but the first."""
        seen: set[tuple[str, OriginalPlace]] = set()
        for log, offset, entry in sorted(self._rows(), key=lambda row: row[2].timestamp_ms):
            if entry.origin is None:
                continue
            if (log.topic, entry.origin) in seen:
                del self.entries[log][offset]
            seen.add((log.topic, entry.origin))

    def redriven_to(self, place: Place) -> str | None:
        """Return where a dead letter was redriven to; None: it has not been redriven."""
        target = self.targets.get(place.log, {}).get(place.offset)
        return None if target == DISMISSED else target

    def is_dismissed(self, place: Place) -> bool:
        """Tell whether somebody has dismissed a dead letter."""
        return self.targets.get(place.log, {}).get(place.offset) == DISMISSED

    def drop_done(self, *, but: Collection[str] = (), with_dismissed: bool = True) -> None:
        """Drop what has been redriven, except in the topics `but`, and what was dismissed."""
        for log, targets in self.targets.items():
            for offset, target in targets.items():
                if with_dismissed if target == DISMISSED else log.topic not in but:
                    del self.entries[log][offset]

    def keep_only(self, number: int, *, newest: bool) -> None:
        """Drop all but a number of dead letters: the newest, or the oldest."""
        rows = ((e.timestamp_ms, log, offset) for log, offset, e in self._rows())
        kept = set((heapq.nlargest if newest else heapq.nsmallest)(number, rows))
        for log, offset, entry in list(self._rows()):
            if (entry.timestamp_ms, log, offset) not in kept:
                del self.entries[log][offset]

    def offsets(self) -> dict[Log, list[int]]:
        """Return the offsets of the dead letters, in the order of each partition."""
        return {log: list(entries) for log, entries in self.entries.items() if entries}

    def summary(self) -> Mapping[tuple[str, str], int]:
        """Return the number of dead letters by topic and reason."""
        return Counter((log.topic, entry.reason) for log, _, entry in self._rows())

    def __len__(self) -> int:
        """Return how many dead letters are selected."""
        return sum(map(len, self.entries.values()))

    def __iter__(self) -> Iterator[IndexEntry]:
        """Yield the entry of each dead letter."""
        return (entry for _, _, entry in self._rows())

    def _rows(self) -> Iterator[tuple[Log, int, IndexEntry]]:
        for log, entries in self.entries.items():
            for offset, entry in entries.items():
                yield log, offset, entry
