"""The records of one poll become events, each with its record: fast where they are as usual."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from stream_app.domain.client_names import ClientNames
from stream_app.domain.errors import RejectedEventError
from stream_app.domain.events import (
    DECODE_ERRORS,
    MAX_RECORD_BYTES,
    Event,
    EventDecoder,
    EventKind,
    Rejected,
    check_size,
)

#: A partition may hold records of another shape than the usual one only. After so many of them in
#: a row, only each `TRY_AGAIN`th is tried as the usual one first: a refusal takes time.
MAX_REFUSED, TRY_AGAIN = 4, 32

_REFUSED = (*DECODE_ERRORS, TypeError, RejectedEventError)


class Record(Protocol):
    """What counting reads of a Kafka record."""

    offset: int
    timestamp: int
    value: bytes | None


Pairs = Iterable[tuple[Record, Any]]
#: Returns an event or the events of an array; raises `_REFUSED`.
Decode = Callable[[Any], Any]
Refused = list[tuple[Record, Rejected]]


class BatchDecoder:
    """Decodes the records of one partition of one kind of event.

    How fast depends on what came before, what it gives does not.
    """

    def __init__(self, kind: EventKind) -> None:
        self._decoder = EventDecoder(kind)
        self._decode: Decode = self._decoder.decode_named
        # How many records `_decode` has refused in a row, or has not been asked for.
        self._refused_in_a_row = 0

    def use(self, names: ClientNames, *, reads_pools: bool) -> None:
        """Take the names of the configured clients, and whether their applications matter."""
        self._decoder.use(names, reads_pools=reads_pools)
        self._decode = self._decoder.decode_named if reads_pools else self._decoder.decode

    def decode(self, records: Sequence[Record]) -> tuple[Pairs, Refused]:
        """Return the events in the order of the records, and the parts that are refused."""
        values: list[Any] = [record.value for record in records]
        try:
            if max(map(len, values), default=0) > MAX_RECORD_BYTES:
                return self._one_by_one(records)
            decoded = list(map(self._decode, values))
        except _REFUSED:
            return self._one_by_one(records)
        pairs: Pairs = zip(records, decoded, strict=True)
        if list in map(type, decoded):
            pairs = [
                (record, event)
                for record, value in pairs
                for event in (value if type(value) is list else (value,))
            ]
            decoded = [event for _, event in pairs]
        if self._decoder.reads_pools:
            self._decoder.settle(decoded)
        return pairs, []

    def places_of(self, value: bytes, events: Iterable[Event]) -> list[tuple[int | None, bytes]]:
        """Return the index and the untouched bytes of each of a record's `events`."""
        return self._decoder.places_of(value, events)

    def _one_by_one(self, records: Sequence[Record]) -> tuple[Pairs, Refused]:
        events: list[tuple[Record, Any]] = []
        refused: Refused = []
        for record in records:
            if self._refused_in_a_row < MAX_REFUSED or not self._refused_in_a_row % TRY_AGAIN:
                try:
                    found = self._decode_flat(record.value)
                except _REFUSED:
                    pass
                else:
                    self._refused_in_a_row = 0
                    events += [(record, event) for event in found]
                    continue
            self._refused_in_a_row += 1
            self._any_shape(record, events, refused)
        return events, refused

    def _decode_flat(self, value: bytes | None) -> Sequence[Any]:
        check_size(value or b"")
        found: Any = self._decode(value)
        events = found if type(found) is list else [found]
        if self._decoder.reads_pools:
            self._decoder.settle(events)
        return events

    def _any_shape(
        self, record: Record, events: list[tuple[Record, Any]], refused: Refused
    ) -> None:
        try:
            found = self._decoder.decode_shapes(record.value)
        except _REFUSED:
            good, bad = self._decoder.decode_parts(record.value)
            found = [event for _, event in good]
            refused += [(record, part) for part in bad]
        events += [(record, event) for event in found]
