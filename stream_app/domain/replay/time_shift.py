"""Moving the times inside recorded events by whole seconds, all by as many.

So their order and the distances between them stay, and the events can happen again now. Only the
documented time fields are rewritten; every other value keeps its bytes. (Half surrogate pairs, for
which decoders refuse a whole text, become replacement characters, as readers here see them.)
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

#: Rewrites one JSON value. Raises ValueError: no such time is documented.
Move = Callable[[bytes, int], bytes]
#: Name of a field -> how it is moved, or the fields of the object that stands there.
Fields = Mapping[str, "Move | Fields"]

_SECONDS = re.compile(rb"-?\d{1,18}(\.\d{1,18})?([eE][+-]?\d{1,2})?")

_parse_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.encode


class Shifted(NamedTuple):
    """A value whose times are moved, and how many of its parts are copied as they are."""

    value: bytes | None
    untouched: int


class Shifter:
    """Moves the times in records of one topic.

    Args:
        kind: of the events; None: notices, whose own time is when they were appended.
    """

    def __init__(self, kind: EventKind | None) -> None:
        self._fields = _NOTICE if kind is None else _EVENT[kind]
        name = None if kind is None else TIME_FIELDS[kind]
        self._order = () if name is None else (name, "time", "create_time")

    def shift(self, value: bytes | None, seconds: int) -> Shifted:
        """Return a record's value with its times moved; what cannot be decoded stays as it is."""
        if not value:
            return Shifted(value, 1)
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
        return Shifted(b"".join([*pieces, value[end:]]), untouched)

    def seconds_of(self, value: bytes | None) -> Iterator[int]:
        """Yield the event times (Unix seconds) in a value; events without one yield none."""
        for part in split(value) if value and self._order else ():
            try:
                event = _parse_object(part.text)
                found = _own_seconds(event, self._order)
                if found is None and "details" in event:
                    details = _parse_object(event["details"])
                    found = _own_seconds(_parse_object(details.get("hit", b"{}")), self._order)
            except (*DECODE_ERRORS, ValueError, ArithmeticError):
                continue
            if found is not None:
                yield found


def _moved(text: bytes | msgspec.Raw, fields: Fields, seconds: int) -> bytes:
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


def _own_seconds(event: Mapping[str, msgspec.Raw], order: tuple[str, ...]) -> int | None:
    for name in order:
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
    """Move seconds that may stand in quotes, as exports have them."""
    if value[:1] == b'"':
        return b'"' + _move_seconds(value[1:-1], seconds) + b'"'
    return _move_seconds(value, seconds)


def _move_moment(value: bytes, seconds: int) -> bytes:
    """Move a time as the notice of a denylisted address has it; any other text stays."""
    try:
        moment = datetime.strptime(value[1:-1].decode(), "%Y-%m-%d %H:%M:%S %z")
        return _encode((moment + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S %z"))
    except (ValueError, OverflowError):
        return value


def _move_seconds_if_any(value: bytes, seconds: int) -> bytes:
    """Move seconds under a name that notices of other kinds may use for anything else."""
    return _move_seconds(value, seconds) if _SECONDS.fullmatch(value) else value


_HIT: Fields = {
    "request_time": _move_seconds,
    "create_time": _move_seconds,
    "time": _move_seconds_or_text,
}
_ATTACK: Fields = {
    "first_time": _move_seconds,
    "last_time": _move_seconds,
    "create_time": _move_seconds,
    "time": _move_seconds_or_text,
}
#: By kind: of the flat event, and of the documented envelope of hits.
_EVENT: Mapping[EventKind, Fields] = {
    EventKind.ATTACKS: _ATTACK,
    EventKind.HITS: {**_HIT, "details": {"hit": _HIT}},
    EventKind.INCIDENTS: _ATTACK,
}
#: The time until which an address is denylisted, and the hour of a count of requests.
_NOTICE: Fields = {
    "details": {
        "expire_at": _move_moment,
        "from": _move_seconds_if_any,
        "to": _move_seconds_if_any,
    }
}
