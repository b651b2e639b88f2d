"""Which triggers count an event: each rule by itself, and all of them against the oracle."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.domain.catalog.conditions import CONDITIONS
from stream_app.domain.configuration.reserved import PULSE_CLIENT_ID
from stream_app.domain.configuration.triggers import Filter, Trigger
from stream_app.domain.counting.matching import (
    ClientMatcher,
    CountingTrigger,
    TriggerIndex,
    inferred_target,
)
from stream_app.domain.events.decoder import EventDecoder
from stream_app.domain.events.model import COUNTING_CONDITIONS, Event, EventKind
from tests import oracle
from tests.unit.domain.objects import parse_trigger

KINDS = tuple(EventKind)
DECODERS = {kind: EventDecoder(kind) for kind in KINDS}


def clause(filter_id: str, *values: object, operator: str = "eq") -> dict[str, Any]:
    return {"id": filter_id, "operator": operator, "values": list(values)}


def trigger(kind: EventKind, *filters: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "client_id": 1,
        "name": "counts",
        "enabled": True,
        "template_id": COUNTING_CONDITIONS[kind],
        "filters": list(filters),
        "threshold": {"count": 1, "period": 60},
        "actions": [{"id": "send_notification", "params": {"integration_ids": [5]}}],
    } | changes


def parse(obj: dict[str, Any]) -> Trigger:
    return parse_trigger(obj, allowed_periods=(1, 60, 3600, 86400))


def decode(kind: EventKind, event: dict[str, Any]) -> Event:
    found: Event = DECODERS[kind].decode(json.dumps({"client_id": 1} | event).encode())
    return found


def signature(client: ClientMatcher, event: Event) -> int:
    """Return an event's signature, as counting puts it together."""
    found = client.cacheable_part(event)
    for lookup in client.lookups:
        found |= lookup(event)
    return found


def matching(client: ClientMatcher, event: Event) -> list[CountingTrigger]:
    return client.of_signature(signature(client, event))


def matches(kind: EventKind, event: dict[str, Any], *filters: dict[str, Any]) -> bool:
    index = TriggerIndex(kind, {1}, [parse(trigger(kind, *filters))])
    return bool(matching(index.clients[1], decode(kind, event)))


def addresses(kind: EventKind, *values: str) -> dict[str, Any]:
    """Return an event's source addresses: a hit has one of each version, an attack a list."""
    if kind is not EventKind.HITS:
        return {"remote_addrs": list(values)}
    return {("remote_addr6" if ":" in value else "remote_addr4"): value for value in values}


def statuses(kind: EventKind, *values: int) -> dict[str, Any]:
    if kind is not EventKind.HITS:
        return {"response_statuses": list(values)}
    (value,) = values
    return {"response_status": value}


def check(kind: EventKind, event: dict[str, Any], item: dict[str, Any], *, is_equal: bool) -> None:
    """Claim that `eq` gives `is_equal`, and `ne` the opposite."""
    assert matches(kind, event, item | {"operator": "eq"}) is is_equal
    assert matches(kind, event, item | {"operator": "ne"}) is not is_equal


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("event", "item", "is_equal"),
    [
        ({"type": "sqli"}, clause("attack_type", "sqli"), True),
        ({"type": "sqli"}, clause("attack_type", "xss", "sqli"), True),
        ({"type": "nosqli"}, clause("attack_type", "sqli"), False),
        ({"type": "SQLi"}, clause("attack_type", "sqli"), True),
        ({"type": "enum"}, clause("attack_type", "Enum"), True),
        ({"poolid": 7}, clause("pool", 7), True),
        ({"poolid": -1}, clause("pool", 7, -1), True),
        ({"poolid": 77}, clause("pool", 7), False),
        ({"host": "shop.acme.example"}, clause("domain", "shop.acme.example"), True),
        ({"host": "Shop.ACME.example"}, clause("domain", "shop.acme.EXAMPLE"), True),
        ({"host": "acme.example"}, clause("domain", "shop.acme.example"), False),
        ({"host": "shop.acme.example"}, clause("domain", "acme.example"), False),
    ],
)
def test_type_pool_and_domain_are_compared_whole_and_without_case(
    kind: EventKind, event: dict[str, Any], item: dict[str, Any], *, is_equal: bool
) -> None:
    check(kind, event, item, is_equal=is_equal)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("address", "wanted", "is_equal"),
    [
        ("203.0.113.10", "203.0.113.10", True),
        ("203.0.113.10", "203.0.113.1", False),
        ("2001:db8::1", "2001:0DB8:0:0:0:0:0:1", True),
        ("2001:0db8:0000::0001", "2001:db8::1", True),
        ("2001:DB8::A", "2001:db8::a", True),
        ("2001:db8::1", "2001:db8::2", False),
        ("no address", "2001:db8::2", False),
    ],
)
def test_an_address_matches_in_every_spelling(
    kind: EventKind, address: str, wanted: str, *, is_equal: bool
) -> None:
    event = {"remote_addr6": address} if kind is EventKind.HITS else {"remote_addrs": [address]}
    if ":" not in address:
        event = addresses(kind, address)
    check(kind, event, clause("ip_address", wanted), is_equal=is_equal)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "wanted", "is_equal"),
    [
        (504, [504], True),
        (504, [503], False),
        (500, ["5xx"], True),
        (599, ["5XX"], True),
        (600, ["5xx"], False),
        (499, ["5xx"], False),
        (100, ["1xx"], True),
        (404, ["5xx", 404], True),
        (503, [404, "5xx"], True),
        (403, [404, "5xx"], False),
    ],
)
def test_a_status_matches_a_number_a_class_and_a_mix_of_both(
    kind: EventKind, status: int, wanted: list[object], *, is_equal: bool
) -> None:
    check(kind, statuses(kind, status), clause("response_status", *wanted), is_equal=is_equal)


@pytest.mark.parametrize("kind", [EventKind.ATTACKS, EventKind.INCIDENTS])
@pytest.mark.parametrize(
    ("event", "item", "is_equal"),
    [
        (
            {"remote_addrs": ["203.0.113.10", "198.51.100.7"]},
            clause("ip_address", "198.51.100.7"),
            True,
        ),
        (
            {"remote_addrs": ["203.0.113.10", "198.51.100.7"]},
            clause("ip_address", "192.0.2.1"),
            False,
        ),
        ({"response_statuses": [200, 502]}, clause("response_status", "5xx"), True),
        ({"response_statuses": [200, 404]}, clause("response_status", 500, "3xx"), False),
        ({"remote_addrs": []}, clause("ip_address", "192.0.2.1"), False),
        ({"response_statuses": []}, clause("response_status", "2xx"), False),
    ],
)
def test_any_of_several_values_passes_eq_and_none_may_match_for_ne(
    kind: EventKind, event: dict[str, Any], item: dict[str, Any], *, is_equal: bool
) -> None:
    check(kind, event, item, is_equal=is_equal)


def test_a_hit_is_matched_by_its_ipv4_and_by_its_ipv6_address() -> None:
    event = {"remote_addr4": "203.0.113.10", "remote_addr6": "2001:db8::1"}
    for wanted in event.values():
        check(EventKind.HITS, event, clause("ip_address", wanted), is_equal=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "item",
    [
        clause("attack_type", "sqli"),
        clause("pool", -1),
        clause("domain", "shop.acme.example"),
        clause("ip_address", "203.0.113.10"),
        clause("response_status", 200, "1xx", "2xx", "3xx", "4xx", "5xx"),
    ],
    ids=lambda item: item["id"],
)
@pytest.mark.parametrize("how", ["absent", "null", "empty"])
def test_a_field_that_the_event_lacks_fails_eq_and_passes_ne(
    kind: EventKind, item: dict[str, Any], how: str
) -> None:
    texts = ("type", "host", "remote_addr4", "remote_addr6")
    lists = ("remote_addrs", "response_statuses")
    values: dict[str, Any] = dict.fromkeys((*texts, *lists, "poolid", "response_status"))
    if how == "empty":
        values |= dict.fromkeys(texts, "") | {name: [] for name in lists}
    check(kind, {} if how == "absent" else values, item, is_equal=False)


@pytest.mark.parametrize(
    ("attack_type", "target"),
    [
        ("sqli", "database"),
        ("NoSQLi", "database"),
        ("xss", "client"),
        ("redir", "client"),
        ("crlf", "client"),
        ("CSRF", "client"),
        ("rce", "server"),
        ("ptrav", "server"),
        ("not documented", "server"),
        (None, "server"),
    ],
)
@pytest.mark.parametrize("kind", [EventKind.ATTACKS, EventKind.INCIDENTS])
def test_a_target_that_the_event_lacks_follows_from_its_type(
    kind: EventKind, attack_type: str | None, target: str
) -> None:
    assert inferred_target(attack_type) == target
    for wanted in ("server", "client", "database"):
        for event in ({"type": attack_type}, {"type": attack_type, "target": None}):
            check(kind, event, clause("target", wanted), is_equal=wanted == target)


@pytest.mark.parametrize("kind", [EventKind.ATTACKS, EventKind.INCIDENTS])
def test_an_explicit_target_wins_over_the_type(kind: EventKind) -> None:
    event = {"type": "sqli", "target": "Client"}
    check(kind, event, clause("target", "client"), is_equal=True)
    check(kind, event, clause("target", "database", "server"), is_equal=False)


@pytest.mark.parametrize("kind", [EventKind.ATTACKS, EventKind.INCIDENTS])
def test_events_without_a_target_are_told_apart_by_their_types(kind: EventKind) -> None:
    trigger_of_databases = parse(trigger(kind, clause("target", "database")))
    client = TriggerIndex(kind, {1}, [trigger_of_databases]).clients[1]
    found = [matching(client, decode(kind, {"type": name})) for name in ("sqli", "rce", "xss")]
    assert list(map(len, found)) == [1, 0, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_one_of_several_filters_must_hold(kind: EventKind) -> None:
    event = {"type": "sqli", "poolid": 7} | statuses(kind, 404)
    holds = [clause("attack_type", "sqli", "xss"), clause("pool", 8, operator="ne")]
    assert matches(kind, event, *holds, clause("response_status", "4xx"))
    assert not matches(kind, event, *holds, clause("response_status", "5xx"))
    assert not matches(kind, event, *holds, clause("response_status", "4xx", operator="ne"))


@pytest.mark.parametrize("kind", KINDS)
def test_two_filters_on_one_field_must_both_hold(kind: EventKind) -> None:
    both = [clause("response_status", "4xx"), clause("response_status", 404, operator="ne")]
    assert matches(kind, statuses(kind, 403), *both)
    assert not matches(kind, statuses(kind, 404), *both)
    assert not matches(kind, statuses(kind, 500), *both)


@pytest.mark.parametrize("kind", KINDS)
def test_a_filter_of_numbers_and_one_of_classes_stand_side_by_side(kind: EventKind) -> None:
    both = [clause("response_status", 404), clause("response_status", "4xx")]
    assert matches(kind, statuses(kind, 404), *both)
    assert not matches(kind, statuses(kind, 403), *both)
    assert parse(trigger(kind, *both)).revision == parse(trigger(kind, *both[::-1])).revision


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operator", ["eq", "ne"])
def test_a_filter_without_values_lets_everything_through(kind: EventKind, operator: str) -> None:
    for filter_id in CONDITIONS[COUNTING_CONDITIONS[kind]].filters:
        assert matches(kind, {}, clause(filter_id, operator=operator))
    found = parse(trigger(kind))
    unread = Trigger(
        found.id,
        found.client_id,
        found.name,
        found.template_id,
        enabled=True,
        filters=(Filter("pool", "eq", ()),),
        threshold=found.threshold,
        integration_ids=(),
        enabled_at=0,
    )
    index = TriggerIndex(kind, {1}, [unread])
    assert len(matching(index.clients[1], decode(kind, {"poolid": 3}))) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_only_enabled_triggers_of_the_condition_and_the_client_count(kind: EventKind) -> None:
    other = next(k for k in KINDS if k is not kind)
    objects = [
        trigger(kind, id=3),
        trigger(kind, id=2),
        trigger(kind, id=4, enabled=False),
        trigger(other, id=5),
        trigger(kind, id=6, client_id=2),
        trigger(kind, id=7, client_id=99),
    ]
    index = TriggerIndex(kind, {1, 2, 8}, [parse(obj) for obj in objects])
    found = {
        client_id: [t.trigger.id for t in matching(client, decode(kind, {}))]
        for client_id, client in index.clients.items()
    }
    assert found == {1: [2, 3], 2: [6], 8: [], PULSE_CLIENT_ID: []}


def test_a_trigger_without_a_threshold_is_never_counted() -> None:
    found = parse(trigger(EventKind.HITS))
    unusable = Trigger(9, 1, "x", found.template_id, True, (), None, (), 0)
    with pytest.raises(ValueError, match="trigger 9 has no threshold"):
        CountingTrigger(unusable)


# -- all of it against the oracle

TYPES = ["sqli", "SQLi", "nosqli", "xss", "Enum", "rce", "CSRF"]
HOSTS = ["shop.acme.example", "SHOP.acme.example", "api.acme.example"]
ADDRESSES_4 = ["203.0.113.10", "198.51.100.7"]
ADDRESSES_6 = ["2001:db8::1", "2001:DB8:0:0::1", "2001:0db8::0002"]
TARGETS = ["server", "Client", "database"]
EVENT_STATUSES = [0, 200, 404, 499, 500, 503, 599, 600]
FILTER_VALUES: dict[str, list[Any]] = {
    "attack_type": TYPES,
    "pool": [-1, 7, 8],
    "domain": HOSTS,
    "ip_address": ADDRESSES_4 + ADDRESSES_6,
    "response_status": [200, 404, 500, 503, "2xx", "4xx", "5xx"],
    "target": TARGETS,
}


def some(values: list[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.just("") | st.sampled_from(values)


def event_fields(kind: EventKind) -> st.SearchStrategy[dict[str, Any]]:
    fields: dict[str, st.SearchStrategy[Any]] = {
        "type": some(TYPES),
        "host": some(HOSTS),
        "poolid": st.sampled_from([None, -1, 7, 8]),
        "target": some(TARGETS),
    }
    if kind is EventKind.HITS:
        fields |= {
            "remote_addr4": some(ADDRESSES_4),
            "remote_addr6": some(ADDRESSES_6),
            "response_status": st.none() | st.sampled_from(EVENT_STATUSES),
        }
    else:
        found = ADDRESSES_4 + ADDRESSES_6
        fields |= {
            "remote_addrs": st.none() | st.lists(st.sampled_from(found), max_size=3),
            "response_statuses": st.none() | st.lists(st.sampled_from(EVENT_STATUSES), max_size=3),
        }
    return st.fixed_dictionaries({}, optional=fields)


def clauses(filter_id: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "id": st.just(filter_id),
            "operator": st.sampled_from(["eq", "ne"]),
            "values": st.lists(st.sampled_from(FILTER_VALUES[filter_id]), max_size=3),
        }
    )


@settings(deadline=None)
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_any_triggers_match_any_events_as_the_oracle_says(
    kind: EventKind, data: st.DataObject
) -> None:
    allowed = CONDITIONS[COUNTING_CONDITIONS[kind]].filters
    filters = st.lists(st.sampled_from(allowed).flatmap(clauses), max_size=4)
    objects = [
        trigger(kind, *found, id=number)
        for number, found in enumerate(data.draw(st.lists(filters, min_size=1, max_size=4)), 1)
    ]
    client = TriggerIndex(kind, {1}, [parse(obj) for obj in objects]).clients[1]
    remembered: dict[Any, list[int]] = {}
    for fields in data.draw(st.lists(event_fields(kind), min_size=1, max_size=4)):
        event = decode(kind, fields)
        expected = [obj["id"] for obj in objects if oracle._matches(kind, fields, obj)]
        assert [t.trigger.id for t in matching(client, event)] == expected
        # Counting asks once for each signature, so equal signatures must match alike.
        assert remembered.setdefault(signature(client, event), expected) == expected


def test_different_addresses_and_hosts_have_one_signature_where_no_filter_names_them() -> None:
    clauses = [clause("ip_address", "203.0.113.7", operator="ne"), clause("domain", "a.example")]
    found = parse(trigger(EventKind.HITS, *clauses))
    client = TriggerIndex(EventKind.HITS, {1}, [found]).clients[1]
    signatures = {
        signature(
            client,
            decode(
                EventKind.HITS,
                {"remote_addr4": f"198.51.100.{n}", "host": f"h{n}", "remote_addr6": f"2001::{n}"},
            ),
        )
        for n in range(100)
    }
    assert signatures == {0}


@pytest.mark.parametrize("text", [":", "::1%eth0", "2001:db8::1%", ":" * 10_000, "1::2::3"])
def test_what_is_no_address_equals_none(text: str) -> None:
    assert not matches(EventKind.HITS, {"remote_addr6": text}, clause("ip_address", "::1"))
    assert matches(
        EventKind.HITS, {"remote_addr6": text}, clause("ip_address", "::1", operator="ne")
    )
