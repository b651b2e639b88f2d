"""A fault: a failure on demand, with what goes wrong, for which requests and how long. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from stream_app.domain.errors import InvalidObjectError
from stream_app.domain.foreign_text.printable import kind_of_value

KEY_END_LENGTH = 4
#: The end of a shorter key is not shown: it would be too much of it.
MIN_SHOWN_KEY_LENGTH = 16
DAY_SECONDS = 86_400.0
MAX_HEADER_LENGTH = 100


class FaultKind(StrEnum):
    """What happens to a request; a closed list."""

    STATUS = "status"
    KEY_FORMAT = "key-format"
    REDIRECT = "redirect"
    RATE_LIMIT = "rate-limit"
    HANG = "hang"
    RESET = "reset"
    DRIP = "drip"
    GARBAGE = "garbage"
    LOST_ANSWER = "lost-answer"
    DISCARD = "discard"


KIND_TEXTS = {
    FaultKind.STATUS: "an answer with this status, and the body that is documented for it",
    FaultKind.KEY_FORMAT: "422, the key is malformed",
    FaultKind.REDIRECT: "a redirect, which a client must not follow with the key",
    FaultKind.RATE_LIMIT: "429, for all requests or for those beyond so many a second of a key",
    FaultKind.HANG: "no answer until the client gives up",
    FaultKind.RESET: "the connection breaks, and nothing was accepted",
    FaultKind.DRIP: "the request is carried out, and its answer comes byte by byte",
    FaultKind.GARBAGE: "bytes that are not HTTP",
    FaultKind.LOST_ANSWER: "the request is carried out, then the connection breaks",
    FaultKind.DISCARD: "202, but nothing is done, as the request's status says a moment later",
}


class Operation(StrEnum):
    """The kinds of requests to the service."""

    CREATE = "create"
    NOTE = "note"
    CLOSE = "close"
    REQUEST_STATUS = "request-status"
    HEARTBEAT_PING = "heartbeat-ping"
    HEARTBEAT_READ = "heartbeat-read"


#: They change nothing, so there is nothing that could be discarded.
LOOK_UPS = frozenset({Operation.REQUEST_STATUS, Operation.HEARTBEAT_READ})


@dataclass(frozen=True, slots=True)
class Rule:
    """The values that a field of a fault may have, and the kinds with that field (empty: all)."""

    allowed: str
    accepts: Callable[[Any], bool]
    kinds: tuple[FaultKind, ...] = ()


def _whole(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _number(least: float, most: float) -> Callable[[Any], bool]:
    return lambda value: type(value) in (int, float) and least <= value <= most


def _text(most: int, least: int = 1) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, str)
        and least <= len(value) <= most
        and value.isascii()
        and value.isprintable()
    )


#: Field -> its rule, for all fields that a caller may set besides `kind` and `on`.
RULES = {
    "status": Rule(
        "a status from 300 to 599", _whole(300, 599), (FaultKind.STATUS, FaultKind.REDIRECT)
    ),
    "retry_after": Rule(
        f"a text of 1 to {MAX_HEADER_LENGTH} printable ASCII characters, sensible or not",
        _text(MAX_HEADER_LENGTH),
        (FaultKind.RATE_LIMIT,),
    ),
    "period": Rule(
        f"a text of 1 to {MAX_HEADER_LENGTH} printable ASCII characters, sensible or not",
        _text(MAX_HEADER_LENGTH),
        (FaultKind.RATE_LIMIT,),
    ),
    "per_second": Rule(
        "a number from 0.01 to 10000", _number(0.01, 10_000), (FaultKind.RATE_LIMIT,)
    ),
    "interval_seconds": Rule(
        "a number of seconds from 0.001 to 60", _number(0.001, 60), (FaultKind.DRIP,)
    ),
    "key": Rule("an API key, in printable ASCII", _text(512)),
    "key_end": Rule(
        f"the last {KEY_END_LENGTH} characters of an API key, as /sandbox/requests shows them",
        _text(KEY_END_LENGTH, KEY_END_LENGTH),
    ),
    "requests": Rule("a whole number from 1 to 1000000", _whole(1, 1_000_000)),
    "seconds": Rule("a number of seconds from 0.001 to 86400", _number(0.001, DAY_SECONDS)),
}
#: No error shows their values: somebody may have put a whole key into either.
SECRET_FIELDS = ("key", "key_end")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One failure on demand.

    `status` is the status of the answer (default: 302 for a redirect, else 500). `retry_after` and
    `period` are the values of a 429's headers. `per_second` requests of each key pass (None: none).
    `interval_seconds` is the time between two bytes. `key` or `key_end` choose whose requests fail
    (neither: everybody's), and `on` which of their requests. The fault ends after so many failed
    `requests` or so many `seconds`, whichever comes first; with neither it stays until cleared.

    Raises:
        InvalidObjectError: a value is not allowed, or not together with the others.
    """

    kind: FaultKind
    status: int | None = None
    retry_after: str | None = None
    period: str | None = None
    per_second: float | None = None
    interval_seconds: float | None = None
    key: str | None = field(default=None, repr=False)
    key_end: str | None = None
    on: tuple[Operation, ...] = (Operation.CREATE,)
    requests: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Check all values."""
        for name, rule in RULES.items():
            value = getattr(self, name)
            if value is None:
                continue
            shown = "(not shown)" if name in SECRET_FIELDS else value
            if not rule.accepts(value):
                raise InvalidObjectError(name, shown, f"must be {rule.allowed}")
            if rule.kinds and self.kind not in rule.kinds:
                raise InvalidObjectError(
                    name, shown, f"is of {' and '.join(rule.kinds)} only, not of {self.kind}"
                )
        if self.key is not None and self.key_end is not None:
            raise InvalidObjectError("key_end", "(not shown)", "give it or the key, not both")
        if self.kind is FaultKind.REDIRECT and self.status and self.status >= 400:  # noqa: PLR2004 - ends the 3xx
            raise InvalidObjectError("status", self.status, "must be 300 to 399 for a redirect")
        if self.kind is FaultKind.DISCARD and LOOK_UPS & set(self.on):
            raise InvalidObjectError(
                "on", list(map(str, self.on)), "a look-up has nothing that could be discarded"
            )

    def fits(self, operation: Operation, key: str) -> bool:
        """Tell whether the fault is for a request."""
        if self.key is not None and key != self.key:
            return False
        if self.key_end is not None and key_end(key) != self.key_end:
            return False
        return operation in self.on


def parse_fault(fields: object) -> Fault:
    """Return the fault that a JSON object describes.

    Raises:
        InvalidObjectError: it names the field, its value and what is allowed, and never a key.
    """
    if not isinstance(fields, Mapping):
        raise InvalidObjectError(
            "fault", None, f"is {kind_of_value(fields)}: must be a JSON object", shows_value=False
        )
    values = dict(fields)
    known = ("kind", "on", *RULES)
    for name in values:
        if name not in known:
            raise InvalidObjectError("field", name, f"is unknown: use {', '.join(known)}")
    kind, on = values.pop("kind", None), values.pop("on", None)
    if not (isinstance(kind, str) and kind in list(FaultKind)):
        raise InvalidObjectError("kind", kind, f"must be one of {', '.join(FaultKind)}")
    operations = [Operation.CREATE] if on is None else on
    is_list = isinstance(operations, list) and bool(operations)
    if not (is_list and all(name in list(Operation) for name in operations)):
        raise InvalidObjectError("on", on, f"must be a list of {', '.join(Operation)}")
    return Fault(kind=FaultKind(kind), on=tuple(map(Operation, operations)), **values)


def parse_fault_text(text: str) -> Fault:
    """Return the fault that a text describes, such as `status,status=503,requests=3`.

    Raises:
        InvalidObjectError: as `parse_fault`.
    """
    kind, *pairs = text.split(",")
    fields: dict[str, object] = {"kind": kind.strip()}
    for pair in pairs:
        name, _, value = (part.strip() for part in pair.partition("="))
        if name == "on":
            fields[name] = value.split("+")
        elif name in ("status", "requests", "seconds", "per_second", "interval_seconds"):
            fields[name] = _read_number(value)
        else:
            fields[name] = value
    return parse_fault(fields)


def key_end(key: str) -> str:
    """Return as much of a key as may be shown: its last characters, or nothing if it is short."""
    return key[-KEY_END_LENGTH:] if len(key) >= MIN_SHOWN_KEY_LENGTH else ""


def _read_number(text: str) -> object:
    """Return a number, or else the text itself, which the field's rule then refuses."""
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text
