"""Compiled triggers: which triggers of a client count an event.

Filters combine with AND, the values of one filter with OR. `eq` holds when any of the event's
values is among the filter's; `ne` when none is. A field that the event lacks fails `eq` and
passes `ne`. An empty list of values is no filter.

On the path of every event the answer comes from a cache: its key is the raw values of the fields
that the client's filters look at, so that a client with many triggers costs one look-up.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any

from stream_app.domain.client_names import NO_NAMES, ClientNames
from stream_app.domain.clients import Client
from stream_app.domain.events import CONDITIONS, Event, EventKind
from stream_app.domain.triggers import Filter, Trigger
from stream_app.domain.windows import retention_seconds

#: Attack types by target when an event does not say it (the documentation's sections of types).
DATABASE_TYPES = frozenset({"sqli", "nosqli"})
CLIENT_TYPES = frozenset({"xss", "redir", "crlf", "csrf"})

Values = frozenset[str | int]


class CompiledTrigger:
    """A trigger as counting needs it.

    `key` names client, trigger, revision and period: counts of one key belong together.
    """

    __slots__ = ("client_id", "conditions", "keep", "key", "period", "trigger")

    def __init__(self, trigger: Trigger) -> None:
        if trigger.threshold is None:
            raise ValueError(f"trigger {trigger.id} has no threshold")
        self.trigger = trigger
        self.client_id = trigger.client_id
        self.period = trigger.threshold.period
        #: Seconds from a window's start until it takes no more events.
        self.keep = self.period + retention_seconds(self.period)
        self.key = f"{trigger.client_id}:{trigger.id}:{trigger.revision}:{self.period}"
        self.conditions = tuple(_compile(item) for item in trigger.filters if item.values)

    def matches(self, values: Mapping[str, Values]) -> bool:
        """Tell whether an event with these values by filter id is counted."""
        return all(
            values[name].isdisjoint(wanted) == negated for name, wanted, negated in self.conditions
        )


def _compile(item: Filter) -> tuple[str, Values, bool]:
    wanted: set[str | int] = set()
    for value in item.values:
        if item.id == "response_status" and isinstance(value, str) and value.endswith("xx"):
            first = int(value[0]) * 100
            wanted.update(range(first, first + 100))
        else:
            wanted.add(_normal(item.id, value))
    return item.id, frozenset(wanted), item.operator == "ne"


def _normal(filter_id: str, value: str | int) -> str | int:
    """Return the form in which values of a filter are compared."""
    if filter_id == "response_status":
        return int(value)
    if not isinstance(value, str):
        return value
    if filter_id == "ip_address":
        try:
            return ipaddress.ip_address(value).compressed
        except ValueError:
            return value
    return value.lower()


def inferred_target(attack_type: str | None) -> str:
    """Return the target of an attack type when the event does not name one."""
    code = (attack_type or "").lower()
    if code in DATABASE_TYPES:
        return "database"
    return "client" if code in CLIENT_TYPES else "server"


#: Filter id -> the event's fields that decide it, by kind.
_SHARED_FIELDS = {
    "attack_type": ("type",),
    "pool": ("poolid",),
    "domain": ("host",),
    "target": ("target", "type"),
}
_GROUPED_FIELDS = {
    **_SHARED_FIELDS,
    "ip_address": ("remote_addrs",),
    "response_status": ("response_statuses",),
}
FIELDS: dict[EventKind, dict[str, tuple[str, ...]]] = {
    EventKind.ATTACKS: _GROUPED_FIELDS,
    EventKind.INCIDENTS: _GROUPED_FIELDS,
    EventKind.HITS: {
        **_SHARED_FIELDS,
        "ip_address": ("remote_addr4", "remote_addr6"),
        "response_status": ("response_status",),
    },
}


def filter_values(event: Event, kind: EventKind, filter_id: str) -> Values:
    """Return the event's values that a filter looks at; empty when the event has none."""
    if filter_id == "target":
        return frozenset({(event.target or inferred_target(event.type)).lower()})
    found: list[str | int] = []
    for name in FIELDS[kind][filter_id]:
        value = getattr(event, name)
        if isinstance(value, tuple):
            found += value
        elif value is not None:
            found.append(value)
    return frozenset(_normal(filter_id, value) for value in found if value != "")


def _no_fields(_event: Event) -> None:
    """Return the key of every event of a client whose triggers have no filters."""


class ClientTriggers:
    """The triggers of one client for one kind of event.

    `key_of(event)` is hashable; events of equal keys match the same triggers.
    """

    __slots__ = ("_filter_ids", "_kind", "key_of", "triggers")

    def __init__(self, kind: EventKind, triggers: Iterable[CompiledTrigger]) -> None:
        self._kind = kind
        self.triggers = tuple(triggers)
        self._filter_ids = sorted({name for t in self.triggers for name, _, _ in t.conditions})
        fields = sorted({field for name in self._filter_ids for field in FIELDS[kind][name]})
        self.key_of: Callable[[Any], Any] = attrgetter(*fields) if fields else _no_fields

    def matching(self, event: Event) -> list[CompiledTrigger]:
        """Return the triggers that count the event."""
        values = {name: filter_values(event, self._kind, name) for name in self._filter_ids}
        return [trigger for trigger in self.triggers if trigger.matches(values)]


class TriggerIndex:
    """The enabled triggers of one kind of event, by client; every known client is in it.

    Args:
        kind: of the events.
        clients: by id; ids alone do where no event names its client or applications.
        triggers: of all kinds and clients.
    """

    def __init__(
        self,
        kind: EventKind,
        clients: Mapping[int, Client] | Iterable[int],
        triggers: Iterable[Trigger],
    ) -> None:
        self.names = ClientNames(clients) if isinstance(clients, Mapping) else NO_NAMES
        by_client: dict[int, list[CompiledTrigger]] = {client_id: [] for client_id in clients}
        for trigger in triggers:
            if (
                trigger.enabled
                and trigger.template_id == CONDITIONS[kind]
                and trigger.client_id in by_client
            ):
                by_client[trigger.client_id].append(CompiledTrigger(trigger))
        nothing = ClientTriggers(kind, ())
        self.clients: dict[int, ClientTriggers] = {
            client_id: ClientTriggers(kind, sorted(found, key=lambda t: t.trigger.id))
            if found
            else nothing
            for client_id, found in by_client.items()
        }
        #: Whether any trigger looks at the application of an event.
        self.reads_pools = any(
            name == "pool"
            for found in by_client.values()
            for trigger in found
            for name, _, _ in trigger.conditions
        )
