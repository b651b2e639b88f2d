"""Older names of an event's fields: one table for each kind, and how their values are read.

A value under an older name is kept as raw JSON and read only when no better name has a value. So
an older name that is not needed cannot spoil an event.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from stream_app.domain.configuration.client_names import ClientNames
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.domain.events.time_units import unit_hint
from stream_app.domain.foreign_text.printable import quoted

Seconds = int | float
#: Ids of an event's application, or of its several ones.
Pools = int | tuple[int, ...] | None
#: A field that is missing; one that is `null` reads the same. (Schemas show it as the default.)
NOTHING: Any = None

#: Most addresses, statuses or applications that an event may have.
MAX_VALUES = 10_000
#: Most characters of a foreign text in an error.
SHOWN_CHARS = 100

_SECONDS = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")
#: Seconds in another unit have more digits.
_LONG_NUMBER = re.compile(r"[0-9]{1,20}")

Parse = Callable[[msgspec.Raw], Any]
parse_text: Parse = msgspec.json.Decoder(str | None).decode
_parse_texts: Parse = msgspec.json.Decoder(str | tuple[str, ...] | None).decode
_parse_status: Parse = msgspec.json.Decoder(int | None).decode
_parse_statuses: Parse = msgspec.json.Decoder(int | tuple[int, ...] | None).decode
_parse_number: Parse = msgspec.json.Decoder(Seconds | str | None).decode
_parse_pools: Parse = msgspec.json.Decoder(Pools).decode
_parse_names: Parse = msgspec.json.Decoder(tuple[str, ...] | None).decode


def _listed(parse: Parse) -> Parse:
    """Return a parser that makes a list of a single value."""

    def parse_list(raw: msgspec.Raw) -> Any:
        value = parse(raw)
        return value if value in _EMPTY or isinstance(value, tuple) else (value,)

    return parse_list


def _parse_seconds(raw: msgspec.Raw) -> Seconds | None:
    """Parse a time; exports write it as a text."""
    older: Seconds | str | None = _parse_number(raw)
    if not isinstance(older, str):
        return older
    if not _SECONDS.fullmatch(older):
        hint = unit_hint(int(older)) if _LONG_NUMBER.fullmatch(older) else ""
        raise RejectedEventError(
            DeadLetterReason.WRONG_TYPE,
            f"time {quoted(older[:SHOWN_CHARS])} is no number of seconds{hint}",
        )
    return float(older) if "." in older else int(older)


#: Values that say nothing.
_EMPTY = (None, "", ())


class OlderNames(NamedTuple):
    """A field, its older names with the preferred one first, and the parser of their values."""

    field: str
    names: tuple[str, ...]
    parse: Parse


_STATUS_NAMES = ("statuscode", "status_code")
_SHARED = (
    OlderNames("host", ("domain",), parse_text),
    OlderNames("type", ("attack_type",), parse_text),
)
#: The address of a hit is not here: its form decides between two fields.
OLDER_HIT_NAMES = (
    OlderNames("response_status", _STATUS_NAMES, _parse_status),
    OlderNames("request_time", ("time",), _parse_seconds),
    *_SHARED,
)
OLDER_ATTACK_NAMES = (
    OlderNames("remote_addrs", ("ip",), _listed(_parse_texts)),
    OlderNames("response_statuses", _STATUS_NAMES, _listed(_parse_statuses)),
    OlderNames("first_time", ("time",), _parse_seconds),
    *_SHARED,
)


def fill_from_older_names(body: Any, table: tuple[OlderNames, ...]) -> None:
    """Set the empty fields of an event that have a value under an older name.

    Raises:
        RejectedEventError: such a value is of a wrong type. Also other `DECODE_ERRORS`.
    """
    for field, names, parse in table:
        value = getattr(body, field)
        if value or value == 0:
            continue
        for name in names:
            raw = getattr(body, name)
            if raw is None:
                continue
            try:
                older = parse(raw)
            except msgspec.ValidationError as error:
                raise _wrong_type(error, name) from None
            if older or older == 0:
                setattr(body, field, older)
                break


def _wrong_type(error: msgspec.ValidationError, path: str) -> RejectedEventError:
    problem, _, inner = str(error).partition(" - at `$")
    return RejectedEventError(
        DeadLetterReason.WRONG_TYPE, f"{problem} - at `$.{path}{inner.rstrip('`')}`"
    )


def parse_needed(raw: msgspec.Raw, parse: Parse, path: str) -> Any:
    """Parse a field whose value is needed; None: it is missing.

    Raises:
        RejectedEventError: it is of a wrong type. Also other `DECODE_ERRORS`.
    """
    if raw is NOTHING:
        return None
    try:
        return parse(raw)
    except msgspec.ValidationError as error:
        raise _wrong_type(error, path) from None


def parse_or_none(raw: msgspec.Raw, parse: Parse) -> Any:
    """Parse a field; None: it is missing or cannot be read."""
    if raw is NOTHING:
        return None
    try:
        return parse(raw)
    except DECODE_ERRORS:
        return None


def application_ids(
    names: ClientNames, client_id: int, ids: msgspec.Raw, applications: msgspec.Raw
) -> Pools:
    """Return the applications of an event without `poolid`, by their older ids or their names.

    What cannot be read counts as missing: applications matter only while a trigger has a filter
    for them, and a trigger of another client must not decide whether an event is counted.
    """
    pools = parse_or_none(ids, _parse_pools)
    if pools is None or pools == ():
        found = parse_or_none(applications, _parse_names)
        if found and len(found) > MAX_VALUES:
            # There are too many. As many ids are refused later, like too many in `poolid`.
            return tuple(range(len(found)))
        pools = names.application_ids(client_id, found) if found else None
    if pools.__class__ is tuple and len(pools) < 2:  # noqa: PLR2004
        # The usual case, in the form that `poolid` has it.
        return pools[0] if pools else None
    return pools  # type: ignore[no-any-return]
