"""The records of one poll become events, each with its record: fast where they are as usual."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from stream_app.domain.client_names import ClientNames
from stream_app.domain.errors import RejectedEventError
from stream_app.domain.events import (
    DECODE_ERRORS,
    Event,
    EventDecoder,
    EventKind,
    Rejected,
    pool_of,
)

#: A partition may hold records of another shape than the usual one only. After so many of them in
#: a row, only each `TRY_AGAIN`th is tried as the usual one first: a refusal takes time.
MAX_REFUSED, TRY_AGAIN = 4, 32

_REFUSED = (*DECODE_ERRORS, TypeError)


class Record(Protocol):
    """What counting reads of a Kafka record."""

    offset: int
    timestamp: int
    value: bytes | None


Pairs = Iterable[tuple[Record, Any]]
Refused = list[tuple[Record, Rejected]]


class BatchDecoder:
    """Decodes the records of one partition of one kind of event.

    How fast depends on what came before, what it gives does not.
    """

    def __init__(self, kind: EventKind) -> None:
        self._decoder = EventDecoder(kind)
        # How many records `decode` has refused in a row, or has not been asked for.
        self._refused_in_a_row = 0

    def use(self, names: ClientNames, *, reads_pools: bool) -> None:
        """Take the names of the configured clients, and whether their applications matter."""
        self._decoder.use(names, reads_pools=reads_pools)

    def decode(self, records: Sequence[Record]) -> tuple[Pairs, Refused]:
        """Return the events in the order of the records, and the parts that are refused."""
        decode = self._decoder.decode
        try:
            decoded: list[Any] = [decode(record.value) for record in records]  # type: ignore[arg-type]
        except _REFUSED:
            return self._one_by_one(records)
        pairs = zip(records, decoded, strict=True)
        if self._decoder.reads_pools:
            return (pairs, []) if _have_pools(decoded) else self._settled(pairs)
        if list in map(type, decoded):
            return [
                (record, event)
                for record, value in pairs
                for event in (value if type(value) is list else (value,))
            ], []
        return pairs, []

    def places_of(self, value: bytes, events: Iterable[Event]) -> list[tuple[int | None, bytes]]:
        """Return the index and the untouched bytes of each of a record's `events`."""
        return self._decoder.places_of(value, events)

    def _one_by_one(self, records: Sequence[Record]) -> tuple[Pairs, Refused]:
        decode, is_settled = self._decoder.decode, self._decoder.is_settled
        events: list[tuple[Record, Any]] = []
        refused: Refused = []
        for record in records:
            if self._refused_in_a_row < MAX_REFUSED or not self._refused_in_a_row % TRY_AGAIN:
                try:
                    value: Any = decode(record.value)  # type: ignore[arg-type]
                except _REFUSED:
                    pass
                else:
                    self._refused_in_a_row = 0
                    if is_settled(record.value or b"", value):
                        _append(events, record, value)
                    else:
                        self._any_shape(record, events, refused)
                    continue
            self._refused_in_a_row += 1
            self._any_shape(record, events, refused)
        return events, refused

    def _settled(self, decoded: Pairs) -> tuple[Pairs, Refused]:
        """Look again at records whose application stands under an older name."""
        is_settled = self._decoder.is_settled
        events: list[tuple[Record, Any]] = []
        refused: Refused = []
        for record, value in decoded:
            if is_settled(record.value or b"", value):
                _append(events, record, value)
            else:
                self._any_shape(record, events, refused)
        return events, refused

    def _any_shape(
        self, record: Record, events: list[tuple[Record, Any]], refused: Refused
    ) -> None:
        try:
            found = self._decoder.decode_shapes(record.value)
        except (*DECODE_ERRORS, RejectedEventError):
            good, bad = self._decoder.decode_parts(record.value)
            found = [event for _, event in good]
            refused += [(record, part) for part in bad]
        _append(events, record, found)


def _have_pools(decoded: Iterable[Any]) -> bool:
    """Tell whether these are events that all have an application, and no arrays of events."""
    try:
        return None not in map(pool_of, decoded)
    except AttributeError:
        return False


def _append(events: list[tuple[Record, Any]], record: Record, value: Any) -> None:
    if type(value) is list:
        events += [(record, event) for event in value]
    else:
        events.append((record, value))
