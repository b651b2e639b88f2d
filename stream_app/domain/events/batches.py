"""Decodes the records of one poll into events, fast for records of the usual shape."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from stream_app.domain.configuration.client_names import ClientNames
from stream_app.domain.errors import RejectedEventError
from stream_app.domain.events.decoder import EventDecoder
from stream_app.domain.events.model import Event, EventKind
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.domain.events.parts_decoder import MAX_RECORD_BYTES, Rejected, check_size

#: A partition may hold only records of another shape than the usual one. After `MAX_REFUSED` in a
#: row only each `TRY_AGAIN`th is first tried as a usual one, because a failed try takes time.
MAX_REFUSED, TRY_AGAIN = 4, 32

#: Most that one step decodes and yields: the event loop waits for a step.
STEP_RECORDS, STEP_BYTES, STEP_EVENTS = 500, 512 * 1024, 500
#: Counting this many addresses takes as long as counting one event.
ADDRESSES = 20
#: A larger record may hold more than one step takes.
LARGE_BYTES = 16 * 1024
#: A larger record is not decoded as a whole: as usual events, and as events of any shape.
USUAL_BYTES, SHAPES_BYTES = 512 * 1024, 256 * 1024

_REFUSED = (*DECODE_ERRORS, TypeError, RejectedEventError)


class Record(Protocol):
    """The part of a Kafka record that counting reads."""

    offset: int
    timestamp: int
    value: bytes | None


@dataclass
class SingleEvent:
    """One event as a record of its own."""

    offset: int
    timestamp: int
    value: bytes | None
    timestamp_type: int


Pairs = Iterable[tuple[Record, Any]]
#: Returns an event or the events of an array; raises `_REFUSED`.
Decode = Callable[[Any], Any]
Refused = list[tuple[Record, Rejected]]


class BatchDecoder:
    """Decodes the records of one partition of one kind of event.

    Earlier records decide which way is tried first, but not the result. It yields in short steps,
    whatever a record holds.
    """

    def __init__(self, kind: EventKind) -> None:
        self._decoder = EventDecoder(kind)
        self._decode: Decode = self._decoder.decode_named
        # How many records `_decode` has refused in a row, or has not been asked for.
        self._refused_in_a_row = 0

    def use_names(self, names: ClientNames, *, reads_pools: bool) -> None:
        """Set the names of the configured clients, and whether their applications matter."""
        self._decoder.use_names(names, reads_pools=reads_pools)
        self._decode = self._decoder.decode_named if reads_pools else self._decoder.decode

    def decode(self, records: Sequence[Record]) -> Iterator[tuple[Pairs, Refused]]:
        """Yield the events in the order of the records, and the refused parts."""
        for first in range(0, len(records), STEP_RECORDS):
            yield from self._step(records[first : first + STEP_RECORDS])

    def places_of(
        self, value: bytes, events: Iterable[Event]
    ) -> Iterator[tuple[int | None, bytes] | None]:
        """Yield the index and the untouched bytes of each of a record's `events`."""
        return self._decoder.places_of(value, events)

    def _step(self, records: Sequence[Record]) -> Iterator[tuple[Pairs, Refused]]:
        values: list[Any] = [record.value for record in records]
        try:
            sizes = list(map(len, values))
            if max(sizes) > LARGE_BYTES or sum(sizes) > STEP_BYTES:
                raise TypeError
            decoded = list(map(self._decode, values))
        except _REFUSED:
            for record in records:
                yield from self._one(record)
            return
        pairs: Pairs = zip(records, decoded, strict=True)
        if list in map(type, decoded):
            pairs = [
                (record, event)
                for record, value in pairs
                for event in (value if type(value) is list else (value,))
            ]
            decoded = [event for _, event in pairs]
        if self._decoder.reads_pools:
            self._decoder.fill_pools(decoded)
        yield pairs, []

    def _one(self, record: Record) -> Iterator[tuple[Pairs, Refused]]:
        if record.value is not None and LARGE_BYTES < len(record.value) <= MAX_RECORD_BYTES:
            return self._large(record, record.value)
        return iter((self._small(record),))

    def _small(self, record: Record) -> tuple[Pairs, Refused]:
        if self._expects_usual():
            try:
                return [(record, event) for event in self._usual(record.value)], []
            except _REFUSED:
                pass
        try:
            found: Sequence[Any] = self._decoder.decode_shapes(record.value)
        except _REFUSED:
            good, bad = self._decoder.decode_parts(record.value)
            return [(record, event) for _, event in good], [(record, part) for part in bad]
        return [(record, event) for event in found], []

    def _expects_usual(self) -> bool:
        """Tell whether to try the next record as a usual one: not after many of other shapes."""
        count = self._refused_in_a_row
        self._refused_in_a_row = count + 1
        return count < MAX_REFUSED or not count % TRY_AGAIN

    def _usual(self, value: bytes | None) -> Sequence[Any]:
        """Return the events of a record of the usual shape. Raises `_REFUSED` on another."""
        check_size(value or b"")
        events = self._flat(value)
        self._refused_in_a_row = 0
        if self._decoder.reads_pools:
            self._decoder.fill_pools(events)
        return events

    def _flat(self, value: bytes | None) -> list[Any]:
        found: Any = self._decode(value)
        return found if type(found) is list else [found]

    # -- large records

    def _large(self, record: Record, value: bytes) -> Iterator[tuple[Pairs, Refused]]:
        """Decode a record that may hold very many events, or large ones."""
        events: list[Any] = []
        refused: Refused = []
        work = 0
        for found in self._parts(value):
            if isinstance(found, Rejected):
                refused.append((record, found))
            elif found is not None:
                events.append((record, found))
                work += len(getattr(found, "remote_addrs", None) or ()) // ADDRESSES
            work += 1
            if found is None or work >= STEP_EVENTS:
                yield events, refused
                events, refused, work = [], [], 0
        yield events, refused

    def _parts(self, value: bytes) -> Iterator[Any]:
        """Yield events and refused parts; `None` is a pause."""
        events = None
        if len(value) <= USUAL_BYTES:
            events = yield from self._whole(value)
        if events is not None:
            yield from events
            return
        for part in self._decoder.steps(value, self._at_once):
            yield None if part is None else part[2]

    def _whole(self, value: bytes) -> Generator[None, None, list[Any] | None]:
        """Return all events of a record, or None if one of them cannot be used."""
        try:
            events = self._flat(value)
            yield
            if self._decoder.reads_pools:
                for first in range(0, len(events), STEP_EVENTS):
                    self._decoder.fill_pools(events[first : first + STEP_EVENTS])
                    yield
        except _REFUSED:
            yield
            if len(value) > SHAPES_BYTES:
                return None
            try:
                events = []
                for event in self._decoder.events_of_shapes(value):
                    events.append(event)
                    if not len(events) % STEP_EVENTS:
                        yield
            except _REFUSED:
                return None
        yield
        return None if self._decoder.has_long_list(events) else events

    def _at_once(self, text: bytes) -> Sequence[Any] | None:
        """Return the events of a piece of a record, or None if one of them cannot be used."""
        if len(text) > SHAPES_BYTES:
            return None
        events: Sequence[Any] | None = None
        if self._expects_usual():
            with suppress(*_REFUSED):
                events = self._usual(text)
        try:
            events = self._decoder.decode_shapes(text) if events is None else events
        except _REFUSED:
            return None
        return None if self._decoder.has_long_list(events) else events
