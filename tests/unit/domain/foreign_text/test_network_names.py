"""All spellings of an address, host or application are one, in events and in filters."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stream_app.domain.configuration.client_names import ClientNames, application_ids_by_name
from stream_app.domain.configuration.clients import Client
from stream_app.domain.counting.matching import TriggerIndex
from stream_app.domain.counting.partition_counts import PartitionCounts
from stream_app.domain.events.model import EventKind
from stream_app.domain.foreign_text.network_names import is_loopback, normal_address, normal_host
from stream_app.domain.notices.filter_fields import FILTER_READERS, wanted_values
from tests.unit.domain.counting.test_poison import BASE, Record, index, trigger
from tests.unit.domain.objects import parse_trigger

IPV4 = "203.0.113.10"
MAPPED = [
    f"::ffff:{IPV4}",
    f"::FFFF:{IPV4}",
    "::ffff:cb00:710a",
    "::FFFF:CB00:710A",
    f"0:0:0:0:0:ffff:{IPV4}",
    "0000:0000:0000:0000:0000:ffff:cb00:710a",
    f"::ffff:{IPV4}%eth0",
    f"[::ffff:{IPV4}]",
    f"[::ffff:{IPV4}]:443",
    f"{IPV4}:443",
    IPV4,
]
HOSTS = {
    "shop.example": ["shop.example.", "SHOP.Example", "shop.example:443", " shop.example.:8080 "],
    "xn--bcher-kva.example": ["bücher.example", "BÜCHER.example.", "bu\u0308cher.example:443"],
    "xn--fa-hia.example": ["faß.example"],
    "xn--r8jz45g.example": ["例え.example", "例え。example"],
    IPV4: MAPPED,
    "2001:db8::1": ["[2001:DB8:0::1]", "[2001:db8::1]:443", "2001:db8:0:0:0:0:0:1"],
}
ODD = [
    "",
    "::",
    "1:2",
    ":::",
    "a" * 70_000,
    "-ü-.example",
    "\ud800.example",
    "%",
    "[",
    "[::1",
    "ü" * 70,
]


@pytest.mark.parametrize("text", MAPPED)
def test_a_mapped_address_is_the_ipv4_address(text: str) -> None:
    assert normal_address(text) == IPV4


@pytest.mark.parametrize("text", ["2001:DB8::1", "2001:db8:0:0::1", "[2001:db8::1]"])
def test_an_ipv6_address_has_one_spelling(text: str) -> None:
    assert normal_address(text) == "2001:db8::1"


@pytest.mark.parametrize(
    ("host", "text"), [(host, text) for host, texts in HOSTS.items() for text in (host, *texts)]
)
def test_a_host_has_one_spelling(host: str, text: str) -> None:
    assert normal_host(text) == host


@pytest.mark.parametrize("text", ODD)
def test_a_text_that_is_neither_address_nor_host_raises_no_error(text: str) -> None:
    assert isinstance(normal_address(text), str)
    assert isinstance(normal_host(text), str)
    assert normal_host(normal_host(text)) == normal_host(text)


def counted(found: TriggerIndex, kind: EventKind, event: dict[str, Any]) -> int:
    value = json.dumps({"client_id": 1, "request_time": BASE, "first_time": BASE, **event}).encode()
    return PartitionCounts(kind).count([Record(0, value)], found).counted


@pytest.mark.parametrize("kind", list(EventKind))
@pytest.mark.parametrize("wanted", [IPV4, f"::ffff:{IPV4}"])
def test_filters_and_events_may_spell_an_address_as_they_like(kind: EventKind, wanted: str) -> None:
    same = index(
        kind, trigger(1, kind, 60, {"id": "ip_address", "operator": "eq", "values": [wanted]})
    )
    other = index(
        kind, trigger(1, kind, 60, {"id": "ip_address", "operator": "ne", "values": [wanted]})
    )
    for text in MAPPED:
        fields: list[dict[str, Any]] = [{"remote_addrs": [text]}, {"ip": text}]
        if kind is EventKind.HITS:
            fields = [{"remote_addr4": text}, {"remote_addr6": text}, {"ip": text}]
        for event in fields:
            assert (counted(same, kind, event), counted(other, kind, event)) == (1, 0), event


@pytest.mark.parametrize(
    ("wanted", "said"), [(text, host) for host, texts in HOSTS.items() for text in texts[:2]]
)
def test_filters_and_events_may_spell_a_host_as_they_like(wanted: str, said: str) -> None:
    kind = EventKind.HITS
    found = index(
        kind, trigger(1, kind, 60, {"id": "domain", "operator": "eq", "values": [wanted]})
    )
    assert counted(found, kind, {"host": said}) == counted(found, kind, {"host": wanted}) == 1
    assert counted(found, kind, {"domain": wanted}) == 1
    assert counted(found, kind, {"host": "other.example"}) == 0


def test_filters_and_notices_may_spell_a_host_as_they_like() -> None:
    read = FILTER_READERS["compromised_logins"]["domain"]
    wanted = wanted_values("domain", ["bücher.example"])
    for details in ({"domain": "XN--BCHER-KVA.example."}, {"url": "https://BÜCHER.example:443/x"}):
        assert read(details, {}) == wanted


def test_names_of_applications_are_compared_in_one_form() -> None:
    client = Client(1, "Acme", "EU", {7: "Cafe\u0301 ", 8: "Shop"})
    names = ClientNames({1: client})
    for text in ("Café", "Cafe\u0301", " Café "):
        assert names.application_ids(1, [text]) == (7,)
        ids = application_ids_by_name(client.applications)
        assert FILTER_READERS["blacklist_ip_added"]["pool"]({"application": text}, ids) == {7}
    assert names.application_ids(1, ["shop"]) == ()


def test_a_stored_trigger_keeps_its_revision() -> None:
    one = {"id": "domain", "operator": "eq", "values": ["bücher.example"]}
    found = parse_trigger(trigger(1, EventKind.HITS, 60, one), allowed_periods=(60,))
    assert found.filters[0].values == ("bücher.example",)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - not bound, only judged
        ("192.168.0.1", False),
        ("example.com", False),
        ("", False),
    ],
)
def test_loopback_is_told_from_the_rest(host: str, expected: object) -> None:
    assert is_loopback(host) is expected
