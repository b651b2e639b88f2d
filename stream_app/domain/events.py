"""Attack, hit and incident events: the fields that decide what is counted, and their decoders.

A record's value is one JSON event, a JSON array of events, or NDJSON. Unknown fields are
skipped by the decoder and never become Python objects; a missing optional field, or `null`,
means its default. Sources of the fields: the hit of the documented webhook payload, and the
stream schemas that follow it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, ClassVar

import msgspec

from stream_app.domain.errors import DeadLetterReason, RejectedEventError

Seconds = int | float

#: What decoders raise on bytes that are no event; the last, on JSON that is nested too deeply.
DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Event(msgspec.Struct, gc=False):
    """What all three kinds of events share."""

    client_id: int
    type: str | None = None
    host: str | None = None
    poolid: int | None = None
    target: str | None = None
    create_time: Seconds | None = None
    experimental: bool | None = False
    state: str | None = None


class Hit(Event, gc=False):
    """One malicious request. `sampled=False`: it is not saved in the sample."""

    remote_addr4: str | None = None
    remote_addr6: str | None = None
    response_status: int | None = None
    request_time: Seconds | None = None
    sampled: bool | None = True


class Attack(Event, gc=False):
    """Hits of one kind at one place; it comes once, when it opens. Sampling is for hits only."""

    sampled: ClassVar[bool] = True

    remote_addrs: tuple[str, ...] | None = None
    response_statuses: tuple[int, ...] | None = None
    first_time: Seconds | None = None


class Incident(Attack, gc=False):
    """An attack that exploited a vulnerability."""


class EventKind(StrEnum):
    """The kinds that are counted; the name of a kind ends the name of its topic."""

    ATTACKS = "attacks"
    HITS = "hits"
    INCIDENTS = "incidents"


EVENT_TYPES: dict[EventKind, type[Event]] = {
    EventKind.ATTACKS: Attack,
    EventKind.HITS: Hit,
    EventKind.INCIDENTS: Incident,
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


class Rejected(msgspec.Struct, frozen=True):
    """A part of a record that cannot be used.

    `index` is the event's place in the record's array or lines, `None` for the whole record;
    `value` the untouched bytes of that part.
    """

    index: int | None
    value: bytes
    reason: DeadLetterReason
    message: str


class PartsDecoder:
    """Decodes record values part by part: one object, an array of them, or NDJSON.

    Args:
        part_type: what each part must be.
        needs_client: a part without `client_id` is refused for that, whatever else is wrong.
    """

    def __init__(self, part_type: type[msgspec.Struct], *, needs_client: bool = True) -> None:
        self._decode_one = msgspec.json.Decoder(part_type).decode
        self._needs_client = needs_client

    def decode_parts(self, value: bytes | None) -> tuple[list[tuple[int, Any]], list[Rejected]]:
        """Decode a value that `decode` refuses: NDJSON, or good events beside bad ones.

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

        The index is `None` where the record is one part.
        """
        if not value or value.isspace():
            empty = Rejected(None, value or b"", _UNDECODABLE, "the record has no value")
            yield None, empty.value, empty
            return
        for number, (text, part) in enumerate(_split(value)):
            index = None if part is value else number
            try:
                found = self._decode_one(text)
            except DECODE_ERRORS as error:
                reason, message = _why(text, error, needs_client=self._needs_client)
                found = Rejected(index, part, reason, message)
            yield index, part, found

    def places_of(self, value: bytes, events: Iterable[Event]) -> list[tuple[int | None, bytes]]:
        """Return the index and the untouched bytes of each of a record's `events`.

        They come in the order of the value. Events that differ only in unknown fields decode to
        equal ones: of those, name all or none. The index is `None` where the record is one event.
        """
        # One walk for all of them: a large array of refused events must not take a square of it.
        walk = enumerate(_split(value))
        places: list[tuple[int | None, bytes]] = []
        for event in events:
            index, part = next(
                ((index, part) for index, (text, part) in walk if self._is(text, event)),
                (0, value),
            )
            places.append((None if part is value else index, part))
        return places

    def _is(self, text: bytes, event: Event) -> bool:
        try:
            return bool(self._decode_one(text) == event)
        except DECODE_ERRORS:
            return False


class EventDecoder(PartsDecoder):
    """Decodes record values of one kind of event."""

    def __init__(self, kind: EventKind) -> None:
        event_type = EVENT_TYPES[kind]
        super().__init__(event_type)
        self.kind = kind
        #: One event, or the events of an array. Raises `DECODE_ERRORS`, of `None` `TypeError`.
        self.decode = msgspec.json.Decoder(event_type | list[event_type]).decode  # type: ignore[valid-type]


_UNDECODABLE = DeadLetterReason.UNDECODABLE
_skip_any = msgspec.json.Decoder(msgspec.Raw).decode
_parse_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_LINE = re.compile(rb"[^\r\n]+")
#: What may stand behind a backslash (group 1), or else the escape of half a surrogate pair.
_ESCAPE = re.compile(
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u(?![dD][89a-fA-F])|\\[^u])"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


def _split(value: bytes) -> list[tuple[bytes, bytes]]:
    """Return each event of an array's elements or NDJSON's lines, as (text to decode, its bytes).

    Half surrogate pairs are JSON, and attackers send them, but the decoder refuses all of a text
    for one, even in a field that it skips. In the text to decode they are replacement characters,
    of the same length.
    """
    text = _ESCAPE.sub(lambda found: found[1] or rb"\ufffd", value) if b"\\u" in value else value
    if text.lstrip()[:1] == b"[":
        try:
            elements = [bytes(raw) for raw in _parse_array(text)]
        except DECODE_ERRORS:
            # Lines that are arrays, or no JSON at all: the lines decide.
            pass
        else:
            return list(_located(elements, text, value))
    lines = [line for line in _LINE.finditer(text) if not line[0].isspace()]
    if len(lines) < 2 or _is_json(text):  # noqa: PLR2004 - one line is one event
        return [(text, value)]
    return [(line[0], value[line.start() : line.end()]) for line in lines]


def _located(elements: Iterable[bytes], text: bytes, value: bytes) -> Iterator[tuple[bytes, bytes]]:
    end = 0
    for element in elements:
        start = text.index(element, end)
        end = start + len(element)
        yield element, value[start:end]


def _is_json(text: bytes) -> bool:
    """Tell whether the whole text is one JSON value (an event written over several lines).

    Only its form is looked at, as in fields that the decoder skips.
    """
    try:
        _skip_any(text)
    except DECODE_ERRORS:
        return False
    return True


class _Client(msgspec.Struct):
    """The client of something that is no event."""

    client_id: Any = None


_parse_client = msgspec.json.Decoder(_Client).decode


def _why(text: bytes, error: Exception, *, needs_client: bool) -> tuple[DeadLetterReason, str]:
    """Return why a text is refused: it may have a wrong type in front and no end."""
    try:
        _skip_any(text)
    except DECODE_ERRORS as malformed:
        return _UNDECODABLE, str(malformed)
    if not isinstance(error, msgspec.ValidationError):
        return _UNDECODABLE, str(error)
    if not needs_client:
        return DeadLetterReason.WRONG_TYPE, str(error)
    try:
        has_client = _parse_client(text).client_id is not None
    except DECODE_ERRORS:
        has_client = True
    return (
        DeadLetterReason.WRONG_TYPE if has_client else DeadLetterReason.MISSING_CLIENT,
        str(error),
    )


def event_seconds(event: Event, kind: EventKind, timestamp_ms: int) -> int:
    """Return the event time in whole Unix seconds.

    Raises:
        RejectedEventError: the event and its record have no time.
    """
    seconds = getattr(event, TIME_FIELDS[kind])
    if seconds is None:
        seconds = event.create_time
    if seconds is not None:
        return int(seconds)
    if timestamp_ms < 0:
        raise RejectedEventError(
            DeadLetterReason.MISSING_TIME,
            f"no {TIME_FIELDS[kind]}, no create_time, and the record has no timestamp",
        )
    return timestamp_ms // 1000
