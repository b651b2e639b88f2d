"""Dead letters as people look for them: where they lie, which are meant, which are done."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from stream_app.domain.deliveries import delivery_id
from stream_app.domain.errors import UsageError
from stream_app.domain.printable import quoted


class LetterKind(StrEnum):
    """What a dead letter was meant to be."""

    EVENT = "event"
    ALERT = "alert"
    DELIVERY = "delivery"


class Log(NamedTuple):
    """One partition of a topic, by its full name."""

    topic: str
    partition: int


class Place(NamedTuple):
    """Where a record lies; as text `topic/partition/offset`."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def log(self) -> Log:
        """The partition it lies in."""
        return Log(self.topic, self.partition)


def parse_place(text: str) -> Place:
    """Return the place that `topic/partition/offset` names.

    Raises:
        UsageError: it names none.
    """
    topic, *numbers = text.split("/")
    if not topic or len(numbers) != 2 or not all(_is_number(number) for number in numbers):  # noqa: PLR2004 - partition and offset
        raise UsageError(
            f"{quoted(text)} is no place of a record: give it as `stream-app dlq list` prints it, "
            "topic/partition/offset"
        )
    return Place(topic, *map(int, numbers))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < len(str(2**63))


class _Named(msgspec.Struct):
    """What a value says of who it belongs to; whatever else it is."""

    id: Any = None
    client_id: Any = None
    integration_id: Any = None
    integration_ids: Any = None


_NOTHING = _Named()
_decode_named = msgspec.json.Decoder(_Named).decode


class Letter(msgspec.Struct, frozen=True):
    """A dead letter. `original` is where it was read from; None: its headers don't say.

    `index` is the place of an event in its record. All times are Unix ms; `is_cut` says that
    its value is not all of the record's. `still_for` are those integrations of an alert that it
    has not gone to; none: it has gone to nobody.
    """

    kind: LetterKind
    place: Place
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    reason: str
    message: str
    attempt: int
    original: Place | None
    original_ms: int
    index: int | None = None
    is_cut: bool = False
    timestamp_type: int = 0
    still_for: tuple[int, ...] = ()

    @property
    def delivery_ids(self) -> tuple[str, ...]:
        """Ids of the delivery, or of those that an alert becomes; none where it can't be read."""
        found = self._named().id if self.kind is not LetterKind.EVENT else None
        if not isinstance(found, str) or not found:
            return ()
        if self.kind is LetterKind.DELIVERY:
            return (found,)
        return tuple(delivery_id(found, number) for number in self.integration_ids)

    @property
    def integration_ids(self) -> tuple[int, ...]:
        """Integrations it was meant for: the one of a delivery, those of an alert."""
        if self.kind is LetterKind.DELIVERY:
            number = _integer(self._named().integration_id) or self._key_number()
            return () if number is None else (number,)
        if self.kind is LetterKind.ALERT:
            numbers = self._named().integration_ids
            ids = [n for n in numbers if _integer(n)] if isinstance(numbers, list) else []
            return tuple(n for n in ids if not self.still_for or n in self.still_for)
        return ()

    @property
    def client_id(self) -> int | None:
        """The client it belongs to, where that can be read."""
        found = _integer(self._named().client_id)
        return self._key_number() if found is None and self.kind is LetterKind.ALERT else found

    def _named(self) -> _Named:
        try:
            return _decode_named(self.value or b"")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return _NOTHING

    def _key_number(self) -> int | None:
        text = (self.key or b"").decode("latin-1")
        return int(text) if _is_number(text) else None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


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

    def holds(self, letter: Letter) -> bool:
        """Tell whether a letter is meant. The value is decoded only for a rule that needs it."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (self.since_ms is None or letter.timestamp_ms >= self.since_ms)
            and (self.until_ms is None or letter.timestamp_ms < self.until_ms)
            and (not self.places or letter.place in self.places)
            and (self.integration_id is None or self.integration_id in letter.integration_ids)
            and (self.client_id is None or letter.client_id == self.client_id)
        )


class Origin(NamedTuple):
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
    origin: Origin | None


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

    def add(self, letter: Letter) -> None:
        """Take a letter, if it is meant."""
        if self.selection.holds(letter):
            at = letter.original
            origin = at and Origin(at.partition, at.offset, letter.original_ms, letter.index)
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
        seen: set[tuple[str, Origin]] = set()
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
