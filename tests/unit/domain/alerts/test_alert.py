from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest

from stream_app.domain.alerts.alert import Alert, alert_id, decode_alert, encode_alert, fired_alert
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.triggers import Trigger
from tests.unit.domain.objects import parse_client, parse_trigger

START = 1_767_225_660
CLIENT: dict[str, Any] = {
    "client_id": 1111,
    "name": "Acme Retail",
    "cloud": "EU",
    "applications": {"7": "Shop", "8": "Blog", "-1": "default"},
}
TRIGGER: dict[str, Any] = {
    "id": 61,
    "client_id": 1111,
    "name": "Notification about incidents",
    "enabled": True,
    "template_id": "incidents_exceeded",
    "filters": [
        {"id": "target", "operator": "eq", "values": ["server", "database"]},
        {"id": "pool", "operator": "ne", "values": [8, 7, 99]},
    ],
    "threshold": {"count": 1, "period": 60},
    "actions": [{"id": "send_notification", "params": {"integration_ids": [521, 7]}}],
    "enabled_at": 1767225600000,
}


def client(**changes: Any) -> Client:
    return parse_client(CLIENT | changes)


def trigger(**changes: Any) -> Trigger:
    return parse_trigger(TRIGGER | changes, allowed_periods=(1, 60))


def notify(*integration_ids: int) -> list[dict[str, Any]]:
    return [{"id": "send_notification", "params": {"integration_ids": list(integration_ids)}}]


def fired(start: int = START, **changes: Any) -> Alert:
    return fired_alert(client(), trigger(**changes), start)


def test_an_id_says_product_client_and_condition_and_ends_with_a_hash() -> None:
    pattern = r"stream-app:1111:incidents_exceeded:[0-9a-f]{32}"
    assert re.fullmatch(pattern, fired().id)
    assert fired().id == alert_id(1111, trigger(), START)


def test_the_id_of_a_window_is_the_same_in_every_version_of_the_program() -> None:
    # Open alerts at Opsgenie are known by it: an upgrade must not page for them again.
    assert fired().id == "stream-app:1111:incidents_exceeded:17270145301b89c54ac6fbb3180554f3"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "another"},
        {"comment": "why it is there"},
        {"actions": notify(7, 521)},
        {"actions": notify(1)},
        {"filters": TRIGGER["filters"][::-1]},
    ],
)
def test_names_integrations_and_the_order_of_filters_leave_the_id_alone(
    changes: dict[str, Any],
) -> None:
    assert fired(**changes).id == fired().id


@pytest.mark.parametrize(
    "changes",
    [
        {"id": 62},
        {"filters": []},
        {"filters": [{"id": "pool", "operator": "eq", "values": [7]}]},
        {"threshold": {"count": 2, "period": 60}},
        {"threshold": {"count": 1, "period": 1}},
        {"template_id": "attacks_exceeded"},
        {"enabled_at": 1767225600001},
    ],
)
def test_another_trigger_or_revision_has_another_id(changes: dict[str, Any]) -> None:
    assert fired(**changes).id != fired().id


def test_another_window_and_another_client_have_another_id() -> None:
    ids = {
        alert_id(client_id, trigger(), start)
        for client_id in (1111, 1112)
        for start in (START, START + 60)
    }
    assert len(ids) == 4


def test_an_alert_tells_the_trigger_as_configured_and_its_window() -> None:
    found = json.loads(encode_alert(fired()))
    revision = found["trigger"].pop("revision")
    assert revision == trigger().revision
    assert found == {
        "id": fired().id,
        "client_id": 1111,
        "client_name": "Acme Retail",
        "cloud": "EU",
        "trigger": {
            "id": 61,
            "name": "Notification about incidents",
            "template_id": "incidents_exceeded",
            "filters": [
                {"id": "target", "operator": "eq", "values": ["server", "database"]},
                {"id": "pool", "operator": "ne", "values": [8, 7, 99]},
            ],
            "threshold": {"count": 1, "period": 60},
        },
        "window_start": START,
        "window_end": START + 60,
        "integration_ids": [521, 7],
        "applications": {"7": "Shop", "8": "Blog"},
    }


def test_equal_configuration_gives_equal_bytes_in_whatever_order_it_was_written() -> None:
    applications = dict(reversed(CLIENT["applications"].items()))
    others = dict(reversed(TRIGGER.items()))
    again = fired_alert(
        client(applications=applications), parse_trigger(others, allowed_periods=(60,)), START
    )
    assert encode_alert(again) == encode_alert(fired())


def test_equal_alerts_have_equal_bytes() -> None:
    applications = dict(reversed(fired().applications.items()))
    again = msgspec.structs.replace(fired(), applications=applications)
    assert again == fired()
    assert encode_alert(again) == encode_alert(fired())


def test_an_alert_comes_back_from_its_bytes() -> None:
    assert decode_alert(encode_alert(fired())) == fired()


def test_a_trigger_without_a_threshold_cannot_fire() -> None:
    found = trigger()
    unusable = Trigger(
        9,
        1111,
        "x",
        found.template_id,
        enabled=True,
        filters=(),
        threshold=None,
        integration_ids=(),
        enabled_at=0,
    )
    with pytest.raises(ValueError, match="trigger 9 has no threshold"):
        fired_alert(client(), unusable, START)
