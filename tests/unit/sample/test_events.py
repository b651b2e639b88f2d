"""Sample events: documented shapes, and enough of each case to try the processor with."""

from __future__ import annotations

import functools
import ipaddress
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from stream_app.domain.catalog.attack_types import ATTACK_TYPES
from stream_app.domain.events.decoder import EventDecoder
from stream_app.domain.events.model import Attack, EventKind
from stream_app.sample.events import Sample, SampleEvents
from tests import oracle

NOW = 1_767_225_600
RATE = 50
CLIENT = 1111
#: The hit of the documented webhook payload, and what the stream adds to it.
HIT_FIELDS = """
host method path payloads point parameter heur_distance probability anomaly remote_country
remote_port remote_addr4 remote_addr6 datacenter tor request_time create_time response_len
response_status response_time stamps regex stamps_hash regex_hash type block_status brute_counter
final_wallarm_mode wallarm_mode libproton_version lom_id protocol proxy_type request_id id
object_type applications
client_id poolid target attackid experimental sampled state
"""
ATTACK_FIELDS = """
object_type client_id id type host path parameter target poolid remote_addrs response_statuses
block_status first_time last_time hits_count experimental state vulnid
"""
FIELDS = {
    EventKind.HITS: set(HIT_FIELDS.split()),
    EventKind.ATTACKS: set(ATTACK_FIELDS.split()),
    EventKind.INCIDENTS: set(ATTACK_FIELDS.split()),
}
TIME_FIELDS = {"first_time", "last_time", "request_time", "create_time"}
DOCUMENTATION = [
    ipaddress.ip_network(net) for net in ("203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24")
]


def made(count: int, seed: int = 1, **more: Any) -> list[Sample]:
    """Return events as they come at `RATE` a second."""
    source = SampleEvents(seed, **more)
    return [source.next(NOW + number // RATE) for number in range(count)]


@functools.cache
def many() -> list[Sample]:
    """Return enough events to have all cases, made when the first test asks for them."""
    return made(6000)


def of(kind: EventKind) -> list[dict[str, Any]]:
    return [event for found, _, event in many() if found is kind]


def test_a_seed_decides_everything_but_the_times() -> None:
    def timeless(rows: list[Sample]) -> list[Any]:
        return [
            (kind, key, {n: v for n, v in event.items() if n not in TIME_FIELDS})
            for kind, key, event in rows
        ]

    later = SampleEvents(1)
    again = [later.next(NOW + 7200) for _ in range(1000)]
    assert timeless(again) == timeless(many()[:1000])
    assert timeless(made(1000, seed=2)) != timeless(many()[:1000])


@pytest.mark.parametrize("kind", EventKind)
def test_every_event_has_all_documented_fields_and_is_accepted(kind: EventKind) -> None:
    decode = EventDecoder(kind).decode
    events = of(kind)
    assert events
    for event in events:
        assert event.keys() == FIELDS[kind]
        assert event["type"] in ATTACK_TYPES
        assert decode(json.dumps(event).encode()).client_id == CLIENT


def test_an_incident_names_the_vulnerability_and_an_attack_none() -> None:
    assert all(event["vulnid"] for event in of(EventKind.INCIDENTS))
    assert not any(event["vulnid"] for event in of(EventKind.ATTACKS))


def test_addresses_and_hosts_belong_to_nobody() -> None:
    for _, _, event in many():
        for text in event.get("remote_addrs") or [event["remote_addr4"]]:
            assert any(ipaddress.ip_address(text) in network for network in DOCUMENTATION)
        assert event["host"].endswith(".example")


def test_a_hit_belongs_to_an_attack_that_opened_before_it() -> None:
    opened: dict[str, dict[str, Any]] = {}
    for kind, _, event in many():
        if kind is EventKind.ATTACKS:
            opened[event["id"][1]] = event
        elif kind is EventKind.HITS:
            attack = opened[event["attackid"][1]]
            for name in ("client_id", "type", "host", "parameter", "poolid"):
                assert event[name] == attack[name]


@pytest.mark.parametrize(
    ("kind", "is_marked"),
    [
        (EventKind.HITS, lambda e: e["experimental"]),
        (EventKind.HITS, lambda e: not e["sampled"]),
        (EventKind.HITS, lambda e: e["state"] == "falsepositive"),
        (EventKind.ATTACKS, lambda e: e["experimental"]),
        (EventKind.ATTACKS, lambda e: e["state"] == "falsepositive"),
    ],
)
def test_a_small_share_of_events_is_not_counted(
    kind: EventKind, is_marked: Callable[[dict[str, Any]], bool]
) -> None:
    events = of(kind)
    assert 0.005 < sum(map(is_marked, events)) / len(events) < 0.2


def test_events_vary() -> None:
    hits = of(EventKind.HITS)
    assert len({hit["type"] for hit in hits}) >= 8
    assert len({hit["response_status"] for hit in hits}) >= 6
    assert {hit["poolid"] for hit in hits} == {-1, 7, 8}
    assert {event["target"] for event in hits} == {"server", "client", "database"}
    assert any(not hit["payloads"] for hit in hits)
    assert len({key for _, key, _ in many()}) == len(many())


def test_most_events_are_hits_and_incidents_are_rare() -> None:
    kinds = Counter(kind for kind, _, _ in many())
    assert kinds[EventKind.HITS] > kinds[EventKind.ATTACKS] > kinds[EventKind.INCIDENTS]
    assert kinds[EventKind.INCIDENTS] < 0.02 * len(many())


@pytest.mark.parametrize("seed", range(5))
def test_the_documented_trigger_fires_within_two_seconds_of_events(seed: int) -> None:
    trigger = {
        "id": 61,
        "client_id": CLIENT,
        "enabled": True,
        "template_id": "incidents_exceeded",
        "filters": [{"id": "target", "operator": "eq", "values": ["server", "database"]}],
        "threshold": {"count": 1, "period": 1},
    }
    rows = [
        (json.dumps(event).encode(), NOW * 1000)
        for kind, _, event in made(2 * RATE, seed)
        if kind is EventKind.INCIDENTS
    ]
    totals = oracle.Totals()
    oracle.count("incidents", rows, [trigger], {CLIENT}, totals)
    assert totals.fired([trigger])


def test_a_burst_shares_one_second_however_slowly_it_is_taken() -> None:
    source = SampleEvents(1)
    events = [source.next(NOW + 10 * number) for number in range(60)]
    times = Counter(e["first_time"] for kind, _, e in events if kind is EventKind.INCIDENTS)
    assert max(times.values()) >= 2


def test_events_are_spread_over_the_given_clients() -> None:
    found = Counter(event["client_id"] for _, _, event in made(2000, client_ids=(5, 6)))
    assert found.keys() == {5, 6}
    assert min(found.values()) > 300


def test_an_incident_decodes_with_its_statuses_and_addresses() -> None:
    incident = EventDecoder(EventKind.INCIDENTS).decode(
        json.dumps(of(EventKind.INCIDENTS)[0]).encode()
    )
    assert isinstance(incident, Attack)
    assert incident.response_statuses == (200,)
    assert incident.remote_addrs
