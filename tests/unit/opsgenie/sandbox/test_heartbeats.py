"""The heartbeats of the sandbox expire as documented, and are shown as each service shows them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from stream_app.domain.errors import InvalidObjectError
from stream_app.opsgenie.sandbox.heartbeats import (
    Heartbeat,
    Heartbeats,
    basic_token,
    parse_heartbeat,
)

T = 1_767_225_600_000


@pytest.fixture
def heartbeats() -> Heartbeats:
    heartbeats = Heartbeats()
    heartbeats.set(Heartbeat("pager", seconds=300))
    return heartbeats


def get(heartbeats: Heartbeats) -> Heartbeat:
    found = heartbeats.get("pager")
    assert found is not None
    return found


def test_it_expires_once_for_each_silence(heartbeats: Heartbeats) -> None:
    assert heartbeats.expire(T + 10**9) == []  # it was never pinged
    heartbeats.ping("pager", T)
    assert heartbeats.next_expiry_ms() == T + 300_000
    heartbeats.ping("pager", T + 60_000)
    assert heartbeats.expire(T + 359_999) == []
    assert [one.name for one in heartbeats.expire(T + 360_000)] == ["pager"]
    assert get(heartbeats).expired
    assert heartbeats.expire(T + 10**9) == []
    assert heartbeats.next_expiry_ms() is None
    heartbeats.ping("pager", T + 400_000)
    assert not get(heartbeats).expired
    assert len(heartbeats.expire(T + 700_000)) == 1


def test_it_shows_pings_and_the_shortest_time_between_them(heartbeats: Heartbeats) -> None:
    for at_ms in (T, T + 60_000, T + 61_500, T + 130_000):
        heartbeats.ping("pager", at_ms)
    assert get(heartbeats).as_json() == {
        "name": "pager",
        "seconds": 300,
        "enabled": True,
        "priority": "P3",
        "expired": False,
        "pings": 4,
        "lastPingTime": "2026-01-01T00:02:10.000Z",
        "shortestGapSeconds": 1.5,
    }


def test_a_ping_of_a_missing_or_disabled_one_is_lost(heartbeats: Heartbeats) -> None:
    heartbeats.set(Heartbeat("off", enabled=False))
    for name in ("off", "Pager", ""):
        heartbeats.ping(name, T)
    assert [(one.name, one.pings) for one in heartbeats.all] == [("pager", 0), ("off", 0)]


def test_it_can_be_removed(heartbeats: Heartbeats) -> None:
    heartbeats.ping("pager", T)
    assert heartbeats.remove("pager")
    assert not heartbeats.remove("pager")
    assert heartbeats.expire(T + 10**9) == []


def test_its_alert_is_of_priority_p3_unless_another_is_set(heartbeats: Heartbeats) -> None:
    assert get(heartbeats).alert() == {
        "message": "pager is expired",
        "alias": "heartbeat:pager",
        "priority": "P3",
        "source": "heartbeat",
    }
    alert = Heartbeat("x" * 200, priority="P1").alert()
    assert (alert["priority"], len(str(alert["message"]))) == ("P1", 130)


def test_opsgenie_tells_the_last_ping_and_jsm_a_word(heartbeats: Heartbeats) -> None:
    fresh = get(heartbeats)
    assert fresh.as_opsgenie()["expired"] is True
    assert "lastPingTime" not in fresh.as_opsgenie()
    assert fresh.as_jsm("team")["status"] == "Pending"
    heartbeats.ping("pager", T)
    pinged = get(heartbeats)
    assert pinged.as_opsgenie()["lastPingTime"] == "2026-01-01T00:00:00.000Z"
    assert (pinged.as_jsm("team")["status"], pinged.as_jsm("team")["ownerTeamId"]) == (
        "Responsive",
        "team",
    )
    heartbeats.expire(T + 300_000)
    assert get(heartbeats).as_jsm("team")["status"] == "Unresponsive"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ([], "heartbeat"),
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": 7}, "name"),
        ({"name": "a", "seconds": 0}, "seconds"),
        ({"name": "a", "seconds": "5"}, "seconds"),
        ({"name": "a", "seconds": True}, "seconds"),
        ({"name": "a", "seconds": float("nan")}, "seconds"),
        ({"name": "a", "enabled": 1}, "enabled"),
        ({"name": "a", "priority": "P9"}, "priority"),
        ({"name": "a", "interval": 5}, "field"),
    ],
)
def test_a_wrong_heartbeat_names_its_field(fields: Any, field: str) -> None:
    with pytest.raises(InvalidObjectError) as caught:
        parse_heartbeat(fields)
    assert caught.value.path == field


def test_a_heartbeat_needs_only_a_name() -> None:
    assert parse_heartbeat({"name": "pager"}) == Heartbeat("pager", 300, enabled=True)


def basic(text: bytes) -> str:
    return base64.b64encode(text).decode()


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (f"Basic {basic(b'ops@acme.example:abc')}", "abc"),
        (f"basic {basic(b'ops@acme.example:a:b')}", "a:b"),
        (f"Basic {basic(b':abc')}", ""),
        (f"Basic {basic(b'ops@acme.example')}", ""),
        (f"Basic {basic(bytes([255]))}", ""),
        ("Basic !!!", ""),
        ("GenieKey abc", ""),
        ("", ""),
    ],
)
def test_the_token_of_an_account_is_read(header: str, token: str) -> None:
    assert basic_token(header) == token
