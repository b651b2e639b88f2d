"""Compiled triggers: which triggers of a client count an event.

Filters combine with AND, the values of one filter with OR. `eq` holds when any of the event's
values is among the filter's; `ne` when none is. A field that the event lacks fails `eq` and
passes `ne`. An empty list of values is no filter.

A filter costs at most one lookup per event, however many triggers have it. The lookups give the
*signature* of the event: a bit for each clause whose values are among the event's. There are few
signatures, however many addresses and hosts there are, so the triggers of each are cached. The
signature's part for fields with few values is cached, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any

from stream_app.domain.configuration.client_names import NO_NAMES, ClientNames
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.reserved import PULSE_CLIENT_ID
from stream_app.domain.configuration.triggers import Filter, Trigger
from stream_app.domain.counting.windows import counts_key, keep_seconds
from stream_app.domain.events.model import COUNTING_CONDITIONS, Event, EventKind
from stream_app.domain.events.older_names import Pools
from stream_app.domain.foreign_text.network_names import normal_address, normal_host

#: Attack types by target when an event does not say it (the documentation's sections of types).
DATABASE_TYPES = frozenset({"sqli", "nosqli"})
CLIENT_TYPES = frozenset({"xss", "redir", "crlf", "csrf"})

Values = frozenset[str | int]
#: Returns the bits of the clauses of one filter whose values an event has.
Lookup = Callable[[Any], int]


class CountingTrigger:
    """A trigger in the form that counting needs. `key` is that of its counts."""

    __slots__ = ("conditions", "keep", "key", "period", "threshold", "trigger")

    def __init__(self, trigger: Trigger) -> None:
        if trigger.threshold is None:
            raise ValueError(f"trigger {trigger.id} has no threshold")
        self.trigger = trigger
        self.period = trigger.threshold.period
        self.threshold = trigger.threshold.count
        #: Seconds from a window's start until it takes no more events. 0: the windows are those of
        #: the pulse, which are never late, and forgotten when they are flushed.
        self.keep = 0 if trigger.client_id == PULSE_CLIENT_ID else keep_seconds(self.period)
        self.key = counts_key(trigger.client_id, trigger.id, trigger.revision, self.period)
        self.conditions = tuple(_compile(item) for item in trigger.filters if item.values)


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
        return normal_address(value)
    return normal_host(value) if filter_id == "domain" else value.lower()


def inferred_target(attack_type: str | None) -> str:
    """Return the target of an attack type when the event does not name one."""
    code = (attack_type or "").lower()
    if code in DATABASE_TYPES:
        return "database"
    return "client" if code in CLIENT_TYPES else "server"


#: Filters of fields with few values. The result for a combination of values can be cached.
CACHEABLE_FILTERS = frozenset({"attack_type", "pool", "response_status", "target"})

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
FILTER_FIELDS: dict[EventKind, dict[str, tuple[str, ...]]] = {
    EventKind.ATTACKS: _GROUPED_FIELDS,
    EventKind.INCIDENTS: _GROUPED_FIELDS,
    EventKind.HITS: {
        **_SHARED_FIELDS,
        "ip_address": ("remote_addr4", "remote_addr6"),
        "response_status": ("response_status",),
    },
}


def _lookup(kind: EventKind, filter_id: str, bits: dict[str | int, int]) -> Lookup:
    """Return the lookup of a filter. `bits` are the bits of each value of its clauses."""
    get, names = bits.get, FILTER_FIELDS[kind][filter_id]
    if filter_id == "target":
        return lambda event: get((event.target or inferred_target(event.type)).lower(), 0)
    if filter_id == "ip_address":
        return _lookup_of_hit(get) if kind is EventKind.HITS else _lookup_of_addresses(get, names)
    field: Callable[[Any], Any] = attrgetter(*names)
    if filter_id == "response_status":
        if kind is EventKind.HITS:
            return lambda event: get(field(event), 0)
        return lambda event: _union(get, field(event) or ())
    if filter_id == "pool":
        return lambda event: _pool_bits(get, field(event))
    normal = normal_host if filter_id == "domain" else str.lower
    return lambda event: get(normal(field(event) or ""), 0)


def _pool_bits(get: Callable[[Any, int], int], pools: Pools) -> int:
    """Return the bits of one application, or of several."""
    return _union(get, pools) if isinstance(pools, tuple) else get(pools, 0)


def _lookup_of_addresses(get: Callable[[Any, int], int], names: tuple[str, ...]) -> Lookup:
    field: Callable[[Any], Any] = attrgetter(*names)
    return lambda event: _union(get, map(normal_address, field(event) or ()))


def _lookup_of_hit(get: Callable[[Any, int], int]) -> Lookup:
    def lookup(event: Any) -> int:
        address = event.remote_addr4
        if not event.remote_addr6:
            # The usual hit has one IPv4 address, or none.
            return 0 if not address else get(normal_address(address), 0)
        return _union(get, map(normal_address, filter(None, (address, event.remote_addr6))))

    return lookup


def _union(get: Callable[[Any, int], int], values: Iterable[str | int]) -> int:
    found = 0
    for value in values:
        found |= get(value, 0)
    return found


def refusing_filters(kind: EventKind, trigger: CountingTrigger, event: Event) -> list[Filter]:
    """Return the filters of a trigger that an event does not pass; there is none if it counts.

    It is for explanations. Each filter has the lookup that it has in a `ClientMatcher`.
    """
    written = (item for item in trigger.trigger.filters if item.values)
    return [
        item
        for item, (name, values, negated) in zip(written, trigger.conditions, strict=True)
        if bool(_lookup(kind, name, dict.fromkeys(values, 1))(event)) is negated
    ]


class ClientMatcher:
    """The triggers of one client for one kind of event.

    An event's signature is its `cacheable_part`, which its `cache_key` decides, and the results of
    the `lookups`. Events of equal signatures match the same triggers.
    """

    __slots__ = ("_cacheable", "_needs", "cache_key", "lookups", "triggers")

    def __init__(self, kind: EventKind, triggers: Iterable[CountingTrigger]) -> None:
        self.triggers = tuple(triggers)
        clauses: dict[tuple[str, Values], int] = {}
        self._needs: list[tuple[CountingTrigger, int, int]] = []
        for trigger in self.triggers:
            wanted = refused = 0
            for name, values, negated in trigger.conditions:
                bit = clauses.setdefault((name, values), 1 << len(clauses))
                wanted, refused = (wanted, refused | bit) if negated else (wanted | bit, refused)
            self._needs.append((trigger, wanted, refused))
        by_filter: dict[str, dict[str | int, int]] = {}
        for (name, values), bit in clauses.items():
            bits = by_filter.setdefault(name, {})
            for value in values:
                bits[value] = bits.get(value, 0) | bit
        lookups = {name: _lookup(kind, name, bits) for name, bits in sorted(by_filter.items())}
        cacheable = [name for name in lookups if name in CACHEABLE_FILTERS]
        self._cacheable = tuple(lookups[name] for name in cacheable)
        self.lookups = tuple(
            lookup for name, lookup in lookups.items() if name not in CACHEABLE_FILTERS
        )
        fields = dict.fromkeys(field for name in cacheable for field in FILTER_FIELDS[kind][name])
        #: Reads the values that `cacheable_part` depends on. If there are none, all keys are equal.
        self.cache_key: Callable[[Any], Any] = attrgetter(*fields) if fields else type

    def cacheable_part(self, event: Event) -> int:
        """Return the part of the signature that depends on the cache key alone."""
        found = 0
        for lookup in self._cacheable:
            found |= lookup(event)
        return found

    def of_signature(self, signature: int) -> list[CountingTrigger]:
        """Return the triggers that count events of a signature."""
        return [
            trigger
            for trigger, wanted, refused in self._needs
            if signature & wanted == wanted and not signature & refused
        ]


class TriggerIndex:
    """The enabled triggers of one kind of event, by client. Every known client has an entry.

    So has the client of the pulse, whose triggers count only where they are given.

    Args:
        kind: of the events.
        clients: by id. Ids alone do if no event names its client or applications.
        triggers: of all kinds and clients.
    """

    def __init__(
        self,
        kind: EventKind,
        clients: Mapping[int, Client] | Iterable[int],
        triggers: Iterable[Trigger],
    ) -> None:
        self.names = ClientNames(clients) if isinstance(clients, Mapping) else NO_NAMES
        by_client: dict[int, list[CountingTrigger]] = {client_id: [] for client_id in clients}
        # Events of the pulse are no mistake of a producer, wherever they are read again.
        by_client[PULSE_CLIENT_ID] = []
        for trigger in triggers:
            if (
                trigger.enabled
                and trigger.template_id == COUNTING_CONDITIONS[kind]
                and trigger.client_id in by_client
            ):
                by_client[trigger.client_id].append(CountingTrigger(trigger))
        nothing = ClientMatcher(kind, ())
        self.clients: dict[int, ClientMatcher] = {
            client_id: ClientMatcher(kind, sorted(found, key=lambda t: t.trigger.id))
            if found
            else nothing
            for client_id, found in by_client.items()
        }
        #: Whether any trigger has a filter for applications.
        self.reads_pools = any(
            name == "pool"
            for found in by_client.values()
            for trigger in found
            for name, _, _ in trigger.conditions
        )
