"""Attack, hit and incident events: the fields that decide what is counted.

The decoder skips unknown fields and makes no Python object of them. A missing optional field, or
`null`, means its default. The fields come from the hit of the documented webhook payload, and from
the stream schemas that follow it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

import msgspec

from stream_app.domain.events.older_names import Pools, Seconds


class _OlderNames(msgspec.Struct, gc=False):
    """Older names of the fields. The fast decoder refuses an event that has one of them.

    A field of this type takes only `null`, so the check costs no Python per event. What is refused
    goes to the decoder of all shapes (`shapes.py`). The older names of `poolid` are not here,
    because the documented hit has `applications` beside it: see `EventDecoder.decode_named`.
    """

    domain: None = None
    ip: None = None
    time: None = None
    statuscode: None = None
    status_code: None = None
    attack_type: None = None
    details: None = None


# The decoder looks for a name from the last one that it found onwards, so the fields are in the
# order of the documented hit and attack. They are not inherited: inherited fields come first.


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
    """The kinds that are counted. The name of a topic ends with the name of its kind."""

    ATTACKS = "attacks"
    HITS = "hits"
    INCIDENTS = "incidents"


EVENT_TYPES: dict[EventKind, type[Hit | Attack]] = {
    EventKind.ATTACKS: Attack,
    EventKind.HITS: Hit,
    EventKind.INCIDENTS: Incident,
}

#: The fields of each kind of event that may hold lists.
LIST_FIELDS = {
    EventKind.ATTACKS: ("remote_addrs", "response_statuses", "poolid"),
    EventKind.HITS: ("poolid",),
    EventKind.INCIDENTS: ("remote_addrs", "response_statuses", "poolid"),
}

#: The condition (template id) that counts events of a kind.
COUNTING_CONDITIONS = {
    EventKind.ATTACKS: "attacks_exceeded",
    EventKind.HITS: "hits_exceeded",
    EventKind.INCIDENTS: "incidents_exceeded",
}
#: The kind of event that a condition counts.
KIND_OF_CONDITION = {condition: kind for kind, condition in COUNTING_CONDITIONS.items()}

#: The field with the event time. Where it is missing, `create_time` holds, then the record's
#: timestamp.
TIME_FIELDS = {
    EventKind.ATTACKS: "first_time",
    EventKind.HITS: "request_time",
    EventKind.INCIDENTS: "first_time",
}
