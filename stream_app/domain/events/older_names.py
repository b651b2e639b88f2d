"""Values of an event under older names: kept as they stand, and read only where they are chosen.

So an older name that is never used, because the present one says the same, spoils nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from stream_app.domain.configuration.client_names import ClientNames
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.events.parts import DECODE_ERRORS

Seconds = int | float
#: Ids of an event's application, or of its several ones.
Pools = int | tuple[int, ...] | None
#: A field that is missing; one that is `null` reads the same. (Schemas show it as the default.)
NOTHING: Any = None

#: Most addresses, statuses or applications that an event may have.
MAX_VALUES = 10_000

Parse = Callable[[msgspec.Raw], Any]
parse_text: Parse = msgspec.json.Decoder(str | None).decode
parse_texts: Parse = msgspec.json.Decoder(str | tuple[str, ...] | None).decode
parse_status: Parse = msgspec.json.Decoder(int | None).decode
parse_statuses: Parse = msgspec.json.Decoder(int | tuple[int, ...] | None).decode
parse_seconds: Parse = msgspec.json.Decoder(Seconds | str | None).decode
_parse_pools: Parse = msgspec.json.Decoder(Pools).decode
_parse_names: Parse = msgspec.json.Decoder(tuple[str, ...] | None).decode


def chosen(raw: msgspec.Raw, parse: Parse, name: str) -> Any:
    """Return what stands under an older name that says what no other does.

    Raises:
        RejectedEventError: it is of a wrong type; also what else `DECODE_ERRORS` has.
    """
    if raw is NOTHING:
        return None
    try:
        return parse(raw)
    except msgspec.ValidationError as error:
        problem, _, inner = str(error).partition(" - at `$")
        raise RejectedEventError(
            DeadLetterReason.WRONG_TYPE, f"{problem} - at `$.{name}{inner.rstrip('`')}`"
        ) from None


def readable(raw: msgspec.Raw, parse: Parse) -> Any:
    """Return what stands there; what cannot be read counts as missing."""
    if raw is NOTHING:
        return None
    try:
        return parse(raw)
    except DECODE_ERRORS:
        return None


def application_ids(
    names: ClientNames, client_id: int, ids: msgspec.Raw, applications: msgspec.Raw
) -> Pools:
    """Return the applications of an event without `poolid`: their older ids, or else their names.

    What cannot be read counts as missing. Applications are looked at only while a trigger has a
    filter for them: another client's trigger must not decide whether an event is counted.
    """
    pools = readable(ids, _parse_pools)
    if pools is None or pools == ():
        found = readable(applications, _parse_names)
        if found and len(found) > MAX_VALUES:
            # More than an event's applications may be: as many ids are refused.
            return tuple(range(len(found)))
        pools = names.application_ids(client_id, found) if found else None
    if pools.__class__ is tuple and len(pools) < 2:  # noqa: PLR2004
        # The usual case, in the form that `poolid` has it.
        return pools[0] if pools else None
    return pools  # type: ignore[no-any-return]
