"""Events as producers have them: older field names, and the documented webhook envelope.

`{summary, details: {client_name, cloud, notification_type: "new_hits", hit: {...}}}` is an
envelope. Where an event says one thing under several names, the present name holds, or else the
first older name that is set, in the order of the fields below. No other older name is read.
`schemas/events.md` has the table. A flat event with present names only is one of these shapes, too:
this decoder gives the same result as the faster ones of `decoder.py`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from stream_app.domain.configuration.client_names import NO_NAMES, ClientNames
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.events.older_names import (
    NOTHING,
    OLDER_ATTACK_NAMES,
    OLDER_HIT_NAMES,
    SHOWN_CHARS,
    Pools,
    Seconds,
    application_ids,
    fill_from_older_names,
    parse_needed,
    parse_or_none,
    parse_text,
)
from stream_app.domain.foreign_text.printable import quoted

#: The notification type of a hit; all others are of things that are not counted.
NEW_HITS = "new_hits"


class _Names(msgspec.Struct, gc=False):
    """What all kinds of events share, under all names."""

    client_id: int | None = None
    client_name: msgspec.Raw = NOTHING
    type: str | None = None
    attack_type: msgspec.Raw = NOTHING
    host: str | None = None
    domain: msgspec.Raw = NOTHING
    poolid: Pools = None
    application_id: msgspec.Raw = NOTHING
    applications: msgspec.Raw = NOTHING
    target: str | None = None
    create_time: Seconds | None = None
    time: msgspec.Raw = NOTHING
    experimental: bool | None = False
    state: str | None = None


class HitNames(_Names, gc=False):
    """A hit under all names."""

    remote_addr4: str | None = None
    remote_addr6: str | None = None
    ip: msgspec.Raw = NOTHING
    response_status: int | None = None
    statuscode: msgspec.Raw = NOTHING
    status_code: msgspec.Raw = NOTHING
    request_time: Seconds | None = None
    sampled: bool | None = True

    def fill_from_older_names(self) -> None:
        """Set the empty fields that have a value under an older name."""
        # "" stands for an address that is not used.
        if not self.remote_addr4 and not self.remote_addr6:
            address = parse_needed(self.ip, parse_text, "ip")
            if address and ":" in address:
                self.remote_addr6 = address
            elif address:
                self.remote_addr4 = address
        fill_from_older_names(self, OLDER_HIT_NAMES)


class AttackNames(_Names, gc=False):
    """An attack or incident under all names; one address or status is a list of one."""

    sampled: ClassVar[bool] = True

    remote_addrs: tuple[str, ...] | None = None
    ip: msgspec.Raw = NOTHING
    response_statuses: tuple[int, ...] | None = None
    statuscode: msgspec.Raw = NOTHING
    status_code: msgspec.Raw = NOTHING
    first_time: Seconds | None = None

    def fill_from_older_names(self) -> None:
        """Set the empty fields that have a value under an older name."""
        fill_from_older_names(self, OLDER_ATTACK_NAMES)


#: Any other value in the place of `details` or `hit` is like an unknown field: it is ignored.
_Ignored = str | bool | int | float | list[msgspec.Raw] | None


class _Details(msgspec.Struct, gc=False):
    """What an envelope is about. Unless its type is a text, this is an unknown field."""

    client_name: msgspec.Raw = NOTHING
    notification_type: msgspec.Raw = NOTHING


class _HitDetails(_Details, gc=False):
    hit: HitNames | _Ignored = None


class HitShape(HitNames, gc=False):
    """A hit, or an envelope with one."""

    details: _HitDetails | _Ignored = None

    def body(self) -> HitNames:
        """Return the hit.

        Raises:
            RejectedEventError: the envelope has none.
        """
        details = self.details
        if not isinstance(details, _HitDetails):
            return self
        kind, hit = parse_or_none(details.notification_type, parse_text), details.hit
        if kind is None:
            if not isinstance(hit, HitNames):
                return self
            # It is still an envelope: without its hit the event would be empty.
            raise _wrong_type("details.notification_type is missing or no text")
        if kind != NEW_HITS:
            raise _wrong_topic(kind)
        if hit is None:
            raise _wrong_type("details.hit is missing")
        if not isinstance(hit, HitNames):
            raise _wrong_type("Expected `object` - at `$.details.hit`")
        return hit


class AttackShape(AttackNames, gc=False):
    """An attack or incident. No envelope of them is documented, so an envelope is refused."""

    details: _Details | _Ignored = None

    def body(self) -> AttackNames:
        """Return the attack or incident.

        Raises:
            RejectedEventError: it is an envelope.
        """
        details = self.details
        if isinstance(details, _Details):
            kind = parse_or_none(details.notification_type, parse_text)
            if kind is not None:
                raise _wrong_topic(kind)
        return self


Shape = HitShape | AttackShape


class ShapeDecoder:
    """Decodes events of one kind in all shapes.

    Args:
        shape: the struct with all names that each event must fit.
    """

    def __init__(self, shape: type[Shape]) -> None:
        #: Whose names events may have instead of ids.
        self.names = NO_NAMES
        #: Whether anything depends on applications; otherwise they are not looked up.
        self.reads_pools = True
        self._one = msgspec.json.Decoder(shape).decode
        self._lines = msgspec.json.Decoder(shape).decode_lines
        self._whole = msgspec.json.Decoder(shape | list[shape]).decode  # type: ignore[valid-type]

    def decode_one(self, text: bytes) -> Any:
        """Decode one event. Raises `DECODE_ERRORS` and `RejectedEventError`."""
        return self.event(self._one(text))

    def decode(self, value: bytes) -> list[Any]:
        """Decode one event, an array of them, or lines, into shapes for `event`.

        Raises as `decode_one` does.
        """
        try:
            found: Any = self._whole(value)
        except msgspec.DecodeError:
            found = self._lines(value)
            if not _are_lines(value, len(found)):
                raise
        return found if type(found) is list else [found]

    def event(self, shape: Shape) -> Any:
        """Return the event of a shape: its body, with the fields of an event set.

        Raises:
            RejectedEventError: it cannot be used.
        """
        body = shape.body()
        client_id = shape.client_id
        if client_id is None:
            client_id = body.client_id
            if client_id is None:
                client_id = _named_client(shape, body, self.names)
        pools = body.poolid
        if self.reads_pools and (pools is None or pools == ()):
            pools = application_ids(self.names, client_id, body.application_id, body.applications)
        try:
            body.fill_from_older_names()
        except RejectedEventError as error:
            if body is shape:
                raise
            message = str(error).replace("`$.", "`$.details.hit.")
            raise RejectedEventError(error.reason, message) from None
        body.client_id, body.poolid = client_id, pools
        return body


def _are_lines(value: bytes, number: int) -> bool:
    """Tell whether a number of objects stand in as many lines, which the decoder does not check.

    No object spans a line that ends with `}` and the next one that begins with `{`.
    """
    text = value.strip()
    return text.count(b"}\n{") == text.count(b"\n") == number - 1


def _named_client(shape: Shape, body: HitNames | AttackNames, names: ClientNames) -> int:
    places = [("client_name", shape.client_name)]
    if body is not shape and isinstance(shape.details, _Details):
        places.append(("details.hit.client_name", body.client_name))
        places.append(("details.client_name", shape.details.client_name))
    for _, name in places:
        if text := parse_or_none(name, parse_text):
            return names.client_id(text)
    for path, name in places:
        parse_needed(name, parse_text, path)
    raise RejectedEventError(
        DeadLetterReason.MISSING_CLIENT, "neither client_id nor client_name says whose it is"
    )


def _wrong_type(message: str) -> RejectedEventError:
    return RejectedEventError(DeadLetterReason.WRONG_TYPE, message)


def _wrong_topic(notification_type: str) -> RejectedEventError:
    right = "events.hits" if notification_type == NEW_HITS else "events.account"
    return RejectedEventError(
        DeadLetterReason.WRONG_TOPIC,
        f"it is a {quoted(notification_type[:SHOWN_CHARS])}, which is not counted here: "
        f"send it to {right}",
    )
