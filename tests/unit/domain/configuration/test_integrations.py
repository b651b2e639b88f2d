from __future__ import annotations

from typing import Any

import pytest

from stream_app.domain.configuration.integrations import Integration, key_context
from stream_app.domain.errors import InvalidObjectError
from tests.unit.domain.objects import parse_integration

EU = "https://api.eu.opsgenie.com/v2/alerts"
ON_CALL: dict[str, Any] = {
    "id": 521,
    "clientid": 1111,
    "name": "On-call EU",
    "active": True,
    "type": "opsgenie",
    "target": {"token": "sealed:v1:gAAAAfake", "api": EU},
    "events": [
        {"event": "system", "active": True},
        {"event": "security_issue_low", "active": False},
    ],
}


def test_the_documented_integration_is_read_with_its_active_events() -> None:
    assert parse_integration(ON_CALL) == Integration(
        id=521,
        client_id=1111,
        name="On-call EU",
        active=True,
        type="opsgenie",
        api=EU,
        key="sealed:v1:gAAAAfake",
        events=("system",),
    )


@pytest.mark.parametrize(
    "target", [{"token": "file:1111/a"}, {"token": "file:1111/a", "api": None}]
)
def test_an_integration_without_an_address_sends_to_the_us_instance(target: object) -> None:
    found = parse_integration(ON_CALL | {"target": target})
    assert found.api == "https://api.opsgenie.com/v2/alerts"
    assert found.key_context == "1111/521@api.opsgenie.com"


@pytest.mark.parametrize("token", ["env:STREAM_APP_KEY_1111_ACME", "file:1111/acme/on-call"])
def test_a_named_key_is_taken(token: str) -> None:
    assert parse_integration(ON_CALL | {"target": {"token": token, "api": EU}}).key == token


@pytest.mark.parametrize(
    "token",
    [
        "clear-fake-key-1",
        "sealed:v2:abc",
        "env:PATH",
        "env:STREAM_APP_KEY_",
        "env:STREAM_APP_KEY_DIR",
        "file:",
        {"key": "clear-fake-key-1"},
    ],
)
def test_a_key_in_the_clear_is_refused_and_not_shown(token: object) -> None:
    with pytest.raises(InvalidObjectError, match=r"target\.token.*stream-app apply") as caught:
        parse_integration(ON_CALL | {"target": {"token": token, "api": EU}})
    assert "clear-fake" not in str(caught.value)
    assert "clear-fake" not in repr(caught.value.args)


def test_a_target_that_is_a_bare_key_is_not_shown() -> None:
    with pytest.raises(InvalidObjectError, match=r"target.*must be an object") as caught:
        parse_integration(ON_CALL | {"target": "clear-fake-key-1"})
    assert "clear-fake" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"id": None}, "id"),
        ({"clientid": None}, "client_id"),
        ({"name": None}, "name"),
        ({"active": None}, "active"),
        ({"type": "slack"}, "type"),
        ({"target": None}, "target"),
        ({"target": {"token": "file:1111/a", "api": ""}}, "target.api"),
        ({"target": {"token": "file:1111/a", "api": " "}}, "target.api"),
        ({"target": {"token": "file:1111/a", "api": 5}}, "target.api"),
        ({"target": {"api": EU}}, "target.token"),
        ({"events": None}, "events"),
        ({"events": [{"event": "siem", "active": True}]}, "events[0].event"),
        ({"events": [{"event": "system"}]}, "events[0].active"),
        ({"events": ["system"]}, "events[0]"),
    ],
)
def test_an_integration_that_breaks_a_rule_is_refused(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidObjectError) as caught:
        parse_integration(ON_CALL | changes)
    assert caught.value.path == path


def test_the_key_stands_in_no_repr() -> None:
    assert "sealed" not in repr(parse_integration(ON_CALL))


def test_a_key_is_bound_to_integration_and_host() -> None:
    assert parse_integration(ON_CALL).key_context == "1111/521@api.eu.opsgenie.com"
    assert key_context(1111, 521, EU) == key_context(1111, 521, "https://API.eu.opsgenie.com/")
    assert key_context(1111, 521, EU) != key_context(1111, 522, EU)
    assert key_context(1111, 521, EU) != key_context(
        1111, 521, "https://api.opsgenie.com/v2/alerts"
    )
    assert key_context(1111, 521, "https://[bad") == "1111/521@https://[bad"
