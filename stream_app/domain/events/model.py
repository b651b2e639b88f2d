"""Attack, hit and incident events: the fields that decide what is counted, and their decoders.

A record's value is one JSON event, a JSON array of events, or NDJSON. Unknown fields are
skipped by the decoder and never become Python objects; a missing optional field, or `null`,
means its default. Sources of the fields: the hit of the documented webhook payload, and the
stream schemas that follow it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from operator import attrgetter
from typing import Any, ClassVar

import msgspec

from stream_app.domain.configuration.client_names import NO_NAMES, ClientNames
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.events import parts as record_parts
from stream_app.domain.events.older_names import (
    MAX_VALUES,
    NOTHING,
    Pools,
    Seconds,
    application_ids,
)
from stream_app.domain.events.shapes import AttackShape, HitShape, ShapeDecoder

DECODE_ERRORS = record_parts.DECODE_ERRORS

#: Bounds on what a tiny compressed record can cost. A larger value is refused as a whole; behind
#: so many refused parts of a record, the rest of it is one dead letter.
MAX_RECORD_BYTES = 4 * 1024 * 1024
MAX_REFUSED_PARTS = 1_000
#: The same for one event, or one notice, of a record: nothing else is done while it is read.
MAX_EVENT_BYTES = 512 * 1024


class _OlderNames(msgspec.Struct, gc=False):
    """Names that events have elsewhere, here only so that a record with one is refused.

    A field of this type takes `null` and nothing else. That costs no Python per event, and the
    decoder of all shapes (`event_shapes`) takes what is refused. Older names of `poolid` are not
    here: the documented hit has `applications` beside it. See `EventDecoder.decode_named`.
    """

    domain: None = None
    ip: None = None
    time: None = None
    statuscode: None = None
    status_code: None = None
    attack_type: None = None
    details: None = None


# The decoder looks a name up from the place of the last one on. So the fields stand in the order
# of the documented hit and attack, and are not inherited: inherited ones would come first.


class Hit(_OlderNames, gc=False, kw_only=True):
    """One malicious request. `sampled=False`: it is not saved in the sample."""

    host: str | None = None
    remote_addr4: str | None = None
    remote_addr6: str | None = None
    request_time: Seconds | None = None
    create_time: Seconds | None = None
    response_status: int | None = None
    type: str | None = None
    client_id: int
    poolid: Pools = None
    target: str | None = None
    experimental: bool | None = False
    sampled: bool | None = True
    state: str | None = None


class Attack(_OlderNames, gc=False, kw_only=True):
    """Hits of one kind at one place; it comes once, when it opens. Sampling is for hits only."""

    sampled: ClassVar[bool] = True

    client_id: int
    type: str | None = None
    host: str | None = None
    target: str | None = None
    poolid: Pools = None
    remote_addrs: tuple[str, ...] | None = None
    response_statuses: tuple[int, ...] | None = None
    first_time: Seconds | None = None
    create_time: Seconds | None = None
    experimental: bool | None = False
    state: str | None = None


class Incident(Attack, gc=False):
    """An attack that exploited a vulnerability."""


Event = Hit | Attack


class EventKind(StrEnum):
    """The kinds that are counted; the name of a kind ends the name of its topic."""

    ATTACKS = "attacks"
    HITS = "hits"
    INCIDENTS = "incidents"


EVENT_TYPES: dict[EventKind, type[Hit | Attack]] = {
    EventKind.ATTACKS: Attack,
    EventKind.HITS: Hit,
    EventKind.INCIDENTS: Incident,
}

SHAPES: dict[EventKind, type[HitShape | AttackShape]] = {
    EventKind.ATTACKS: AttackShape,
    EventKind.HITS: HitShape,
    EventKind.INCIDENTS: AttackShape,
}

#: The fields of a kind that may be lists.
LISTS = {
    EventKind.ATTACKS: ("remote_addrs", "response_statuses", "poolid"),
    EventKind.HITS: ("poolid",),
    EventKind.INCIDENTS: ("remote_addrs", "response_statuses", "poolid"),
}

#: The condition (template id) that counts events of a kind.
CONDITIONS = {
    EventKind.ATTACKS: "attacks_exceeded",
    EventKind.HITS: "hits_exceeded",
    EventKind.INCIDENTS: "incidents_exceeded",
}

#: The field with the event time of a kind; then `create_time`, then the record's timestamp.
TIME_FIELDS = {
    EventKind.ATTACKS: "first_time",
    EventKind.HITS: "request_time",
    EventKind.INCIDENTS: "first_time",
}


#: Decodes a value with many parts; None: one of them, at least, must be looked at by itself.
AtOnce = Callable[[bytes], Sequence[Any] | None]


class Rejected(msgspec.Struct, frozen=True):
    """A part of a record that cannot be used.

    `index` is the event's place in the record's array or lines, `None` for the whole record;
    `value` the untouched bytes of that part. Of a record's many refused events the last ones are
    one part, with the place of its first one and the number of `events`.
    """

    index: int | None
    value: bytes
    reason: DeadLetterReason
    message: str
    events: int = 1


class PartsDecoder:
    """Decodes record values part by part: one object, an array of them, or NDJSON.

    Args:
        part_type: what each part must be.
        needs_client: a part without `client_id` is refused for that, whatever else is wrong.
        most_bytes: a larger part is refused unread.
    """

    def __init__(
        self,
        part_type: type[msgspec.Struct],
        *,
        needs_client: bool = True,
        most_bytes: int = MAX_EVENT_BYTES,
    ) -> None:
        self._decode_one: Callable[[bytes], Any] = msgspec.json.Decoder(part_type).decode
        self._needs_client = needs_client
        self._most_bytes = most_bytes

    def decode_parts(self, value: bytes | None) -> tuple[list[tuple[int, Any]], list[Rejected]]:
        """Decode a value that is refused as a whole: good parts beside bad ones.

        Returns:
            The good events as (index, event), and the parts that are refused.
        """
        good: list[tuple[int, Any]] = []
        refused: list[Rejected] = []
        for index, _, found in self.parts(value):
            if isinstance(found, Rejected):
                refused.append(found)
            else:
                good.append((index or 0, found))
        return good, refused

    def parts(self, value: bytes | None) -> Iterator[tuple[int | None, bytes, Any]]:
        """Yield each part as (index, its untouched bytes, what it decodes to or `Rejected`).

        The index is `None` where the record is one part. Behind `MAX_REFUSED_PARTS` refused ones
        comes the rest of the record, unread, as the last.
        """
        return (part for part in self.steps(value) if part is not None)

    def steps(
        self, value: bytes | None, at_once: AtOnce | None = None
    ) -> Iterator[tuple[int | None, bytes, Any] | None]:
        """Yield what `parts` does; nothing between two of them takes long.

        `None` is a pause in what would.

        Args:
            value: the record's.
            at_once: decodes many parts, which then come without their bytes; None: it cannot.
        """
        if not value or value.isspace():
            empty = Rejected(
                None, value or b"", DeadLetterReason.UNDECODABLE, "the record has no value"
            )
            yield None, empty.value, empty
            return
        try:
            check_size(value)
        except RejectedEventError as error:
            yield None, value, Rejected(None, value, error.reason, str(error))
            return
        number = refused = 0
        found: Any = None
        for piece in record_parts.pieces(value):
            yield None
            if piece is None:
                continue
            if at_once is not None and (events := at_once(piece.text)) is not None:
                for event in events:
                    yield (None if piece.is_whole else number), b"", event
                    number += 1
                continue
            for part in piece.parts():
                if refused == MAX_REFUSED_PARTS:
                    rest = _rest(value, number, part, found)
                    yield number, rest.value, rest
                    return
                index = None if piece.is_whole else number
                found = self._decode_part(part, index)
                refused += isinstance(found, Rejected)
                yield index, part.value, found
                number += 1

    def _decode_part(self, part: record_parts.Part, index: int | None) -> Any:
        try:
            self._check_part_size(part.text)
            return self._decode_one(part.text)
        except DECODE_ERRORS as error:
            reason, message = record_parts.refusal(
                part.text, error, needs_client=self._needs_client
            )
            return Rejected(index, part.value, reason, message)
        except RejectedEventError as error:
            return Rejected(index, part.value, error.reason, str(error))

    def _check_part_size(self, text: bytes) -> None:
        if len(text) > self._most_bytes and len(text.strip()) > self._most_bytes:
            record_parts.check_json(text)
            raise RejectedEventError(
                DeadLetterReason.TOO_LARGE,
                f"it has {len(text.strip())} bytes, more than {self._most_bytes}",
            )


def check_size(value: bytes) -> None:
    """Refuse a record that would take too long, or too much memory, to take apart.

    Raises:
        RejectedEventError: it is larger than any batch of events should be.
    """
    if len(value) > MAX_RECORD_BYTES:
        raise RejectedEventError(
            DeadLetterReason.TOO_LARGE,
            f"the record has {len(value)} bytes, more than {MAX_RECORD_BYTES}: send less in one",
        )


def _rest(value: bytes, index: int, first: record_parts.Part, last: Rejected) -> Rejected:
    """Return the rest of a record, from a part on, as a value that can be sent again."""
    message = (
        f"the rest of the record: {MAX_REFUSED_PARTS} parts before it are refused, "
        f"the last for: {last.message}"
    )
    return Rejected(index, first.opening + value[first.start :], DeadLetterReason.UNREAD, message)


def bounded(refused: Sequence[Rejected], more: Sequence[bytes] = ()) -> list[Rejected]:
    """Return the refused events of one record, in order, with a bound on their number.

    Those behind the bound become one, an array of them that can be sent again.

    Args:
        refused: one more than the bound at least, where there are more.
        more: the bytes of those behind them.
    """
    rest = refused[MAX_REFUSED_PARTS:]
    number = len(rest) + len(more)
    if number < 2:  # noqa: PLR2004 - one stands for itself
        return list(refused)
    first = rest[0]
    message = f"the first of {number} more events of the record: {first.message}"
    value = b"[" + b",".join([*(part.value for part in rest), *more]) + b"]"
    joined = Rejected(first.index, value, first.reason, message, number)
    return [*refused[:MAX_REFUSED_PARTS], joined]


_pool_of = attrgetter("poolid")
#: What `poolid` is where older names may say it.
_NO_POOL = frozenset({None, ()})


class EventDecoder(PartsDecoder):
    """Decodes record values of one kind of event, in all shapes.

    There are three ways, from the fastest to the most patient: `decode`, or `decode_named` and
    `settle`, take the flat event with the present names, or an array of them; `decode_shapes`
    takes every shape; `decode_parts` tells the good events of a record from the bad ones.
    """

    def __init__(self, kind: EventKind, names: ClientNames = NO_NAMES) -> None:
        event_type = EVENT_TYPES[kind]
        super().__init__(event_type)
        self.kind = kind
        #: One event, or the events of an array. Raises `DECODE_ERRORS`, of `None` `TypeError`.
        self.decode = msgspec.json.Decoder(event_type | list[event_type]).decode  # type: ignore[valid-type]
        named = _with_application_names(event_type)
        #: The same, keeping the older names of `poolid` for `settle`, unread.
        self.decode_named = msgspec.json.Decoder(named | list[named]).decode  # type: ignore[valid-type]
        self._shapes = ShapeDecoder(SHAPES[kind], event_type)
        self.use(names, reads_pools=True)
        self._decode_one = self._decode_checked
        self._fields = attrgetter(*event_type.__struct_fields__)

    def use(self, names: ClientNames, *, reads_pools: bool) -> None:
        """Take the names that events may have instead of ids, and whether applications matter.

        Looking for these where `poolid` is missing takes time.
        """
        self._shapes.names = names
        self._shapes.reads_pools = self.reads_pools = reads_pools

    def decode_shapes(self, value: bytes | None) -> list[Any]:
        """Decode a record of any shapes at once.

        Raises:
            RejectedEventError: one of its events cannot be used; also any of `DECODE_ERRORS`.
        """
        return list(self.events_of_shapes(value))

    def events_of_shapes(self, value: bytes | None) -> Iterator[Any]:
        """Decode a record of any shapes, its events one by one. Raises as `decode_shapes` does."""
        check_size(value or b"")
        return map(self._shapes.event, self._shapes.decode(value or b""))

    def has_long_list(self, events: Sequence[Any]) -> bool:
        """Tell whether an event has more addresses, statuses or applications than it may have."""
        return any(
            values.__class__ is tuple and len(values) > MAX_VALUES
            for name in LISTS[self.kind]
            for values in map(attrgetter(name), events)
        )

    def _decode_checked(self, text: bytes) -> Any:
        event = self._shapes.decode_one(text)
        if len(text) > MAX_VALUES and self.has_long_list([event]):
            names = ", ".join(LISTS[self.kind])
            raise RejectedEventError(
                DeadLetterReason.TOO_LARGE, f"it has more than {MAX_VALUES} of one of: {names}"
            )
        return event

    def settle(self, events: Sequence[Any]) -> None:
        """Give `poolid` to those events of `decode_named` that say it under an older name."""
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
        equal ones: of those, name all or none. The index is `None` where the record is one event.
        `None` instead of a place is a pause in a search that takes long.
        """
        # One walk for all of them: a large array of refused events must not take a square of it.
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
