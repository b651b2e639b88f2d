"""Shifts all times inside recorded events by the same whole seconds.

The order of the events and the distances between them stay, and the events can happen again now.
Only the documented time fields are rewritten; every other value keeps its bytes. (One exception:
half surrogate pairs become replacement characters, as all readers here see them, because decoders
refuse a text that holds one.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import msgspec

from stream_app.domain.events.model import TIME_FIELDS, EventKind
from stream_app.domain.events.parts import DECODE_ERRORS, split
from stream_app.domain.foreign_text.printable import quoted

#: Rewrites one JSON value. Raises ValueError if it is not a time in a documented form.
Move = Callable[[bytes, int], bytes]
#: Name of a field -> how it is moved, or the fields of the object in it.
MovedFields = Mapping[str, "Move | MovedFields"]

_SECONDS = re.compile(rb"-?\d{1,18}(\.\d{1,18})?([eE][+-]?\d{1,2})?")

_parse_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.encode


class ShiftedValue(NamedTuple):
    """A record's value with shifted times, and how many of its parts could not be shifted."""

    value: bytes | None
    untouched: int


class TimeShifter:
    """Shifts the times in the records of one topic.

    Args:
        kind: of the events. None: they are notices, whose own time is when they were appended.
    """

    def __init__(self, kind: EventKind | None) -> None:
        self._fields = _NOTICE if kind is None else _EVENT[kind]
        name = None if kind is None else TIME_FIELDS[kind]
        #: The fields that may hold an event's own time; the first one that is there holds it.
        self._own_fields = () if name is None else (name, "time", "create_time")

    def shift(self, value: bytes | None, seconds: int) -> ShiftedValue:
        """Return a record's value with shifted times; parts that cannot be decoded stay as is."""
        if not value:
            return ShiftedValue(value, 1)
        pieces: list[bytes] = []
        end = untouched = 0
        for part in split(value):
            pieces.append(value[end : part.start])
            end = part.start + len(part.value)
            try:
                pieces.append(_moved(part.text, self._fields, seconds))
            except (*DECODE_ERRORS, ValueError, ArithmeticError):
                pieces.append(part.value)
                untouched += 1
        return ShiftedValue(b"".join([*pieces, value[end:]]), untouched)

    def seconds_of(self, value: bytes | None) -> Iterator[int]:
        """Yield the event times (Unix seconds) in a value. An event without one yields nothing."""
        for part in split(value) if value and self._own_fields else ():
            try:
                event = _parse_object(part.text)
                found = _own_seconds(event, self._own_fields)
                if found is None and "details" in event:
                    details = _parse_object(event["details"])
                    hit = _parse_object(details.get("hit", b"{}"))
                    found = _own_seconds(hit, self._own_fields)
            except (*DECODE_ERRORS, ValueError, ArithmeticError):
                continue
            if found is not None:
                yield found


def _moved(text: bytes | msgspec.Raw, fields: MovedFields, seconds: int) -> bytes:
    obj = _parse_object(text)
    for name, rule in fields.items():
        raw = obj.get(name)
        if raw is None:
            continue
        value = bytes(raw)
        if value == b"null":
            continue
        if callable(rule):
            obj[name] = msgspec.Raw(rule(value, seconds))
        elif value[:1] == b"{":
            obj[name] = msgspec.Raw(_moved(value, rule, seconds))
    return _encode(obj)


def _own_seconds(event: Mapping[str, msgspec.Raw], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = bytes(event.get(name, b"null")).strip(b'"')
        if value != b"null":
            return int(_number(value))
    return None


def _number(value: bytes) -> Decimal:
    if not _SECONDS.fullmatch(value):
        raise ValueError(f"{quoted(value[:100])} is no number of seconds")
    return Decimal(value.decode())


def _move_seconds(value: bytes, seconds: int) -> bytes:
    if value.isdigit():
        return str(int(value) + seconds).encode()
    return format(_number(value) + seconds, "f").encode()


def _move_seconds_or_text(value: bytes, seconds: int) -> bytes:
    """Move a number of seconds that may be quoted, as in exports."""
    if value[:1] == b'"':
        return b'"' + _move_seconds(value[1:-1], seconds) + b'"'
    return _move_seconds(value, seconds)


def _move_moment(value: bytes, seconds: int) -> bytes:
    """Move a time in the form of the notice of a denylisted address; any other text stays."""
    try:
        moment = datetime.strptime(value[1:-1].decode(), "%Y-%m-%d %H:%M:%S %z")
        return _encode((moment + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S %z"))
    except (ValueError, OverflowError):
        return value


def _move_seconds_if_any(value: bytes, seconds: int) -> bytes:
    """Move a number of seconds; any other value stays.

    Notices of other kinds may use the field for something else.
    """
    return _move_seconds(value, seconds) if _SECONDS.fullmatch(value) else value


_HIT: MovedFields = {
    "request_time": _move_seconds,
    "create_time": _move_seconds,
    "time": _move_seconds_or_text,
}
_ATTACK: MovedFields = {
    "first_time": _move_seconds,
    "last_time": _move_seconds,
    "create_time": _move_seconds,
    "time": _move_seconds_or_text,
}
#: By kind; a hit may be flat or in its documented envelope.
_EVENT: Mapping[EventKind, MovedFields] = {
    EventKind.ATTACKS: _ATTACK,
    EventKind.HITS: {**_HIT, "details": {"hit": _HIT}},
    EventKind.INCIDENTS: _ATTACK,
}
#: `expire_at` is when an address leaves the denylist; `from` and `to` bound a count of requests.
_NOTICE: MovedFields = {
    "details": {
        "expire_at": _move_moment,
        "from": _move_seconds_if_any,
        "to": _move_seconds_if_any,
    }
}
