"""Decodes a record's value into the events of one kind, in all shapes.

A value is one JSON event, a JSON array of events, or NDJSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from types import NoneType
from typing import Any

import msgspec

from stream_app.domain.configuration.client_names import NO_NAMES, ClientNames
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.events import parts as record_parts
from stream_app.domain.events.model import EVENT_TYPES, LIST_FIELDS, Event, EventKind
from stream_app.domain.events.older_names import MAX_VALUES, NOTHING, application_ids
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.domain.events.parts_decoder import PartsDecoder, check_size
from stream_app.domain.events.shapes import AttackShape, HitShape, ShapeDecoder

SHAPES: dict[EventKind, type[HitShape | AttackShape]] = {
    EventKind.ATTACKS: AttackShape,
    EventKind.HITS: HitShape,
    EventKind.INCIDENTS: AttackShape,
}


_pool_of = attrgetter("poolid")
#: Values of `poolid` that leave it to the older names.
_NO_POOL = frozenset({None, ()})


class EventDecoder(PartsDecoder):
    """Decodes record values of one kind of event, in all shapes.

    There are three ways, from the fastest to the most patient. `decode` takes a flat event with the
    present names, or an array of them; so does `decode_named`, which `fill_pools` follows.
    `decode_shapes` takes every shape. `decode_parts` tells the good events of a record from the bad
    ones.
    """

    def __init__(self, kind: EventKind, names: ClientNames = NO_NAMES) -> None:
        event_type = EVENT_TYPES[kind]
        super().__init__(event_type)
        self.kind = kind
        #: Decodes one event or an array of events. Raises `DECODE_ERRORS`, and `TypeError` on None.
        self.decode = msgspec.json.Decoder(event_type | list[event_type]).decode  # type: ignore[valid-type]
        named = _with_application_names(event_type)
        #: The same, but it keeps the older names of `poolid`, unread, for `fill_pools`.
        self.decode_named = msgspec.json.Decoder(named | list[named]).decode  # type: ignore[valid-type]
        self._shapes = ShapeDecoder(SHAPES[kind])
        self.use_names(names, reads_pools=True)
        self._decode_one = self._decode_checked
        # Older names are fields of an event, too, but hold nothing.
        self._fields = attrgetter(
            *(info.name for info in msgspec.structs.fields(event_type) if info.type is not NoneType)
        )

    def use_names(self, names: ClientNames, *, reads_pools: bool) -> None:
        """Set the names that events may have instead of ids.

        Without `reads_pools` no time is spent on the applications of an event without `poolid`.
        """
        self._shapes.names = names
        self._shapes.reads_pools = self.reads_pools = reads_pools

    def decode_shapes(self, value: bytes | None) -> list[Any]:
        """Decode a record of any shapes at once.

        Raises:
            RejectedEventError: one of its events cannot be used. Also any of `DECODE_ERRORS`.
        """
        return list(self.events_of_shapes(value))

    def events_of_shapes(self, value: bytes | None) -> Iterator[Any]:
        """Yield the events of a record of any shapes. Raises as `decode_shapes` does."""
        check_size(value or b"")
        return map(self._shapes.event, self._shapes.decode(value or b""))

    def has_long_list(self, events: Sequence[Any]) -> bool:
        """Tell whether an event has more addresses, statuses or applications than it may have."""
        return any(
            values.__class__ is tuple and len(values) > MAX_VALUES
            for name in LIST_FIELDS[self.kind]
            for values in map(attrgetter(name), events)
        )

    def _decode_checked(self, text: bytes) -> Any:
        event = self._shapes.decode_one(text)
        if len(text) > MAX_VALUES and self.has_long_list([event]):
            names = ", ".join(LIST_FIELDS[self.kind])
            raise RejectedEventError(
                DeadLetterReason.TOO_LARGE, f"it has more than {MAX_VALUES} of one of: {names}"
            )
        return event

    def fill_pools(self, events: Sequence[Any]) -> None:
        """Set the `poolid` of events from `decode_named` that have it under an older name."""
        if _NO_POOL.isdisjoint(map(_pool_of, events)):
            return
        names = self._shapes.names
        for event in events:
            if event.poolid is None or event.poolid == ():
                event.poolid = application_ids(
                    names, event.client_id, event.application_id, event.applications
                )

    def places_of(
        self, value: bytes, events: Iterable[Event]
    ) -> Iterator[tuple[int | None, bytes] | None]:
        """Yield the index and the untouched bytes of each of a record's `events`.

        They come in the order of the value. Events that differ only in unknown fields decode to
        equal ones, so pass all of those or none. The index is `None` where the record is one event.
        `None` instead of a place is a pause in a long search.
        """
        # One walk for all: the time for a large array of refused events must not grow as a square.
        walk = _numbered(value)
        for event in events:
            for place in walk:
                if place is None:
                    yield None
                    continue
                index, part = place
                if self._is(part.text, event):
                    yield index, part.value
                    break
            else:
                yield None, value

    def _is(self, text: bytes, event: Event) -> bool:
        try:
            return bool(self._fields(self._decode_one(text)) == self._fields(event))
        except (*DECODE_ERRORS, RejectedEventError):
            return False


def _numbered(value: bytes) -> Iterator[tuple[int | None, record_parts.Part] | None]:
    number = 0
    for piece in record_parts.pieces(value):
        yield None
        for part in piece.parts() if piece is not None else ():
            yield (None if piece is not None and piece.is_whole else number), part
            number += 1


def _with_application_names(event_type: type[Event]) -> type[Any]:
    fields = [(name, msgspec.Raw, NOTHING) for name in ("application_id", "applications")]
    name = f"Named{event_type.__name__}"
    return msgspec.defstruct(name, fields, bases=(event_type,), gc=False, kw_only=True)
