"""Section "Setting up integration" of the page, up to the events to choose from."""

from __future__ import annotations

import json

import yaml

from tests.page.system import Json
from tests.page.tenant import Tenant, documented, messages

US = "https://api.opsgenie.com/v2/alerts"
EU = "https://api.eu.opsgenie.com/v2/alerts"


def shown(tenant: Tenant, *args: str) -> Json:
    """Return what `get integrations` shows of the first one."""
    done = tenant.run("get", "integrations", str(tenant.integration_id(1)), "-o", "yaml", *args)
    found: Json = yaml.safe_load(done.stdout)
    return found


def test_you_can_set_up_the_cloud_to_send_alerts_to_opsgenie(tenant: Tenant) -> None:
    """You can set up Wallarm to send alerts to Opsgenie."""
    tenant.apply(tenant.integration(1, "system"))
    tenant.notify(documented("delete_user"))
    (alert,) = tenant.told(1)
    assert alert["message"] == "[Wallarm] User was deleted"
    assert alert["status"] == "open"


def test_an_integration_has_a_name(tenant: Tenant) -> None:
    """Enter an integration name."""
    tenant.apply(tenant.integration(name="SOC, night shift"))
    assert shown(tenant)["name"] == "SOC, night shift"
    row = tenant.listed()
    assert row is not None
    assert row["name"] == "SOC, night shift"


def test_the_copied_key_is_the_one_that_is_sent_and_is_shown_nowhere(tenant: Tenant) -> None:
    """Paste the copied API key to the API key field."""
    tenant.apply(tenant.integration(1, "system"))
    tenant.notify(documented("create_user"))
    tenant.told(1)
    (request,) = tenant.requests()
    assert request["key"] == f"...{tenant.key()[-4:]}"
    assert shown(tenant)["target"]["token"] == "(sealed)"
    stored = tenant.system.records("config.integrations", tenant.integration_id(1))
    assert tenant.key() not in json.dumps(stored)


def test_the_endpoint_of_the_eu_instance_can_be_selected(tenant: Tenant) -> None:
    """If using the EU instance of Opsgenie, select the appropriate Opsgenie API endpoint \
from the list."""
    target = {"token": tenant.key(), "api": EU}
    tenant.apply(tenant.integration(target=target))
    assert shown(tenant)["target"]["api"] == EU
    other = tenant.integration(2, target=target | {"api": "https://api.opsgenie.example"})
    refused = tenant.system.apply(other, code=3)
    assert f"use one of {US}, {EU}, " in refused, "the list"
    assert tenant.listed(2) is None


def test_the_us_endpoint_is_set_by_default(tenant: Tenant) -> None:
    """By default, the US instance endpoint is set."""
    tenant.apply(tenant.integration(target={"token": tenant.key()}))
    assert shown(tenant)["target"] == {"token": "(sealed)", "api": US}
    (stored,) = tenant.system.records("config.integrations", tenant.integration_id(1))
    assert stored["target"]["api"] == US


def test_only_chosen_event_types_trigger_notifications(tenant: Tenant) -> None:
    """Choose event types to trigger notifications."""
    events = [
        {"event": "system", "active": False},
        {"event": "rules_and_triggers", "active": True},
    ]
    tenant.apply(tenant.integration(events=events), tenant.integration(2))
    tenant.notify(
        documented("create_user"), documented("security_issue"), documented("rule_create")
    )
    assert messages(tenant.told(1)) == ["[Wallarm] Rule was created"]
    assert tenant.told(0, place=2) == []
