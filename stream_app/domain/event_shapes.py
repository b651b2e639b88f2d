"""Events as producers have them: older field names, and the documented webhook envelope.

`{summary, details: {client_name, cloud, notification_type: "new_hits", hit: {...}}}` is an
envelope. Where an event says one thing under several names, the first that is set holds, in the
order of the fields below: the present name, then the older ones. `schemas/README.md` has the
table. Every flat event with present names only is one of these shapes, too, so this decoder reads
all that the faster one of `events` reads, and alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from stream_app.domain.client_names import NO_NAMES, ClientNames
from stream_app.domain.errors import DeadLetterReason, RejectedEventError

Seconds = int | float
#: Ids of an event's application, or of its several ones.
Pools = int | tuple[int, ...] | None
#: Makes an event of its present names and their values.
MakeEvent = Callable[..., Any]

_SECONDS = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")
_SHOWN_CHARS = 100

#: The notification type of a hit; all others are of things that are not counted.
NEW_HITS = "new_hits"


class _Names(msgspec.Struct, gc=False):
    """What all kinds of events share, under all names."""

    client_id: int | None = None
    client_name: str | None = None
    type: str | None = None
    attack_type: str | None = None
    host: str | None = None
    domain: str | None = None
    poolid: Pools = None
    application_id: Pools = None
    applications: tuple[str, ...] | None = None
    target: str | None = None
    create_time: Seconds | None = None
    time: Seconds | str | None = None
    experimental: bool | None = False
    state: str | None = None


class HitNames(_Names, gc=False):
    """A hit under all names."""

    remote_addr4: str | None = None
    remote_addr6: str | None = None
    ip: str | None = None
    response_status: int | None = None
    statuscode: int | None = None
    status_code: int | None = None
    request_time: Seconds | None = None
    sampled: bool | None = True

    def event(self, make: MakeEvent, client_id: int, pools: Pools) -> Any:
        """Return the event that `make` makes of the present names."""
        address4, address6 = self.remote_addr4, self.remote_addr6
        # "" stands for an address that is not used.
        if self.ip and not address4 and not address6:
            if ":" in self.ip:
                address6 = self.ip
            else:
                address4 = self.ip
        status, seconds = self.response_status, self.request_time
        if status is None:
            status = self.status_code if self.statuscode is None else self.statuscode
        if seconds is None:
            seconds = _seconds(self.time)
        return make(
            client_id=client_id,
            host=self.host or self.domain or self.host,
            type=self.type or self.attack_type or self.type,
            poolid=pools,
            remote_addr4=address4,
            remote_addr6=address6,
            response_status=status,
            request_time=seconds,
            create_time=self.create_time,
            target=self.target,
            experimental=self.experimental,
            sampled=self.sampled,
            state=self.state,
        )


class AttackNames(_Names, gc=False):
    """An attack or incident under all names; one address or status is a list of one."""

    remote_addrs: tuple[str, ...] | None = None
    ip: str | tuple[str, ...] | None = None
    response_statuses: tuple[int, ...] | None = None
    statuscode: int | tuple[int, ...] | None = None
    status_code: int | tuple[int, ...] | None = None
    first_time: Seconds | None = None

    def event(self, make: MakeEvent, client_id: int, pools: Pools) -> Any:
        """Return the event that `make` makes of the present names."""
        addresses, statuses, seconds = self.remote_addrs, self.response_statuses, self.first_time
        if addresses is None and self.ip:
            addresses = _listed(self.ip)
        if statuses is None:
            statuses = _listed(self.status_code if self.statuscode is None else self.statuscode)
        if seconds is None:
            seconds = _seconds(self.time)
        return make(
            client_id=client_id,
            host=self.host or self.domain or self.host,
            type=self.type or self.attack_type or self.type,
            poolid=pools,
            remote_addrs=addresses,
            response_statuses=statuses,
            first_time=seconds,
            create_time=self.create_time,
            target=self.target,
            experimental=self.experimental,
            state=self.state,
        )


class _Details(msgspec.Struct, gc=False):
    """What an envelope is about."""

    client_name: str | None = None
    notification_type: str | None = None


class _HitDetails(_Details, gc=False):
    hit: HitNames | None = None


#: `details` of something else than an envelope is an unknown field, and ignored.
_Ignored = str | bool | int | float | list[msgspec.Raw] | None


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
        if details.notification_type is None:
            if details.hit is None:
                return self
            raise _wrong_type("details.notification_type is missing")
        if details.notification_type != NEW_HITS:
            raise _wrong_topic(details.notification_type)
        if details.hit is None:
            raise _wrong_type("details.hit is missing")
        return details.hit


class AttackShape(AttackNames, gc=False):
    """An attack or incident. No envelope of these is documented, so what is in one is refused."""

    details: _Details | _Ignored = None

    def body(self) -> AttackNames:
        """Return the attack or incident.

        Raises:
            RejectedEventError: it is an envelope.
        """
        details = self.details
        if isinstance(details, _Details) and details.notification_type is not None:
            raise _wrong_topic(details.notification_type)
        return self


Shape = HitShape | AttackShape


class ShapeDecoder:
    """Decodes events of one kind in all shapes; `shape` is what each of them must be.

    Args:
        shape: the struct with all names.
        event_type: the struct of the event, with the present names only.
    """

    def __init__(self, shape: type[Shape], event_type: MakeEvent) -> None:
        #: Whose names events may have instead of ids.
        self.names = NO_NAMES
        #: Whether anything depends on applications; otherwise they are not looked up.
        self.reads_pools = True
        self._make = event_type
        self._one = msgspec.json.Decoder(shape).decode
        self._lines = msgspec.json.Decoder(shape).decode_lines
        self._whole = msgspec.json.Decoder(shape | list[shape]).decode  # type: ignore[valid-type]

    def decode_one(self, text: bytes) -> Any:
        """Decode one event. Raises `DECODE_ERRORS` and `RejectedEventError`."""
        return self._event(self._one(text))

    def decode(self, value: bytes) -> list[Any]:
        """Decode one event, an array of them, or lines. Raises as `decode_one` does."""
        try:
            found: Any = self._whole(value)
        except msgspec.DecodeError:
            found = self._lines(value)
            if not _are_lines(value, len(found)):
                raise
        if type(found) is list:
            return [self._event(shape) for shape in found]
        return [self._event(found)]

    def _event(self, shape: Shape) -> Any:
        body = shape.body()
        client_id = shape.client_id
        if client_id is None:
            client_id = body.client_id
            if client_id is None:
                client_id = _named_client(shape, body, self.names)
        pools = body.poolid
        if pools is None and self.reads_pools:
            pools = body.application_id
            if pools is None and body.applications:
                pools = self.names.application_ids(client_id, body.applications)
            if pools.__class__ is tuple and len(pools) < 2:  # noqa: PLR2004
                # The usual case, in the form that it has in a flat event.
                pools = pools[0] if pools else None
        return body.event(self._make, client_id, pools)


def _are_lines(value: bytes, number: int) -> bool:
    """Tell whether so many objects stand in as many lines; the decoder does not look at lines.

    Between a line that ends with `}` and one that begins with `{` no object goes on.
    """
    text = value.strip()
    return text.count(b"}\n{") == text.count(b"\n") == number - 1


def _named_client(shape: Shape, body: HitNames | AttackNames, names: ClientNames) -> int:
    name = body.client_name
    if body is not shape and isinstance(shape.details, _Details):
        name = shape.details.client_name
    if not name:
        raise RejectedEventError(
            DeadLetterReason.MISSING_CLIENT, "neither client_id nor client_name says whose it is"
        )
    return names.client_id(name)


def _listed(value: Any) -> Any:
    return value if value is None or isinstance(value, tuple) else (value,)


def _seconds(older: Seconds | str | None) -> Seconds | None:
    """Return the older form of a time, which may be a text, as exports have it.

    Raises:
        RejectedEventError: that text is no number.
    """
    if not isinstance(older, str):
        return older
    if not _SECONDS.fullmatch(older):
        raise _wrong_type(f"time {older[:_SHOWN_CHARS]!r} is no number of seconds")
    return float(older) if "." in older else int(older)


def _wrong_type(message: str) -> RejectedEventError:
    return RejectedEventError(DeadLetterReason.WRONG_TYPE, message)


def _wrong_topic(notification_type: str) -> RejectedEventError:
    right = "events.hits" if notification_type == NEW_HITS else "events.account"
    return RejectedEventError(
        DeadLetterReason.WRONG_TOPIC,
        f"it is a {notification_type[:_SHOWN_CHARS]!r}, which is not counted here: "
        f"send it to {right}",
    )
