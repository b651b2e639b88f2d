"""Section "Disabling and deleting an integration" of the page."""

from __future__ import annotations

import json

from tests.page.system import Json
from tests.page.tenant import NOW, Tenant, messages


def with_trigger(tenant: Tenant) -> str:
    """Apply two integrations, and a trigger for both; return the id of the first one."""
    trigger = tenant.trigger("incidents_exceeded", exceeds=(0, 1), to=(1, 2))
    tenant.apply(tenant.integration(1), tenant.integration(2), trigger)
    return str(tenant.integration_id(1))


def incident(tenant: Tenant, number: int) -> None:
    """Let the number-th incident happen, and wait until the second integration has been told."""
    tenant.send("incidents", {"first_time": NOW + number})
    tenant.told(number, place=2)


def stored(tenant: Tenant) -> Json:
    """Return the configuration of the first integration."""
    done = tenant.run("get", "integrations", str(tenant.integration_id(1)), "-o", "json")
    found: Json = json.loads(done.stdout)
    return found


def test_an_integration_can_be_disabled_and_deleted(tenant: Tenant) -> None:
    """You can delete or temporarily disable the integration."""
    tenant.apply(tenant.integration(1), tenant.integration(2))
    disabled, deleted = (str(tenant.integration_id(place)) for place in (1, 2))
    tenant.run("integrations", "disable", disabled, "--yes")
    tenant.run("integrations", "delete", deleted, "--yes")
    row = tenant.listed(1)
    assert row is not None
    assert row["state"] == "off"
    assert tenant.listed(2) is None


def test_deleting_stops_notifications_and_deletes_all_configuration(tenant: Tenant) -> None:
    """While deleting stops sending notifications and completely deletes all configuration,"""
    number = with_trigger(tenant)
    incident(tenant, 1)
    tenant.told(1)
    tenant.run("integrations", "delete", number, "--yes")
    incident(tenant, 2)
    assert len(tenant.told(1)) == 1
    assert tenant.system.records("config.integrations", int(number))[-1] is None
    assert "not configured" in tenant.run("get", "integrations", number, code=1).stderr
    assert "not configured" in tenant.run("integrations", "enable", number, code=1).stderr


def test_disabling_just_stops_notifications(tenant: Tenant) -> None:
    """disabling just stops sending notifications"""
    number = with_trigger(tenant)
    before = stored(tenant)
    incident(tenant, 1)
    tenant.told(1)
    tenant.run("integrations", "disable", number, "--yes")
    incident(tenant, 2)
    assert len(tenant.told(1)) == 1
    assert stored(tenant) == before | {"active": False}


def test_a_disabled_integration_can_be_enabled_with_the_same_settings(tenant: Tenant) -> None:
    """which you can at any moment re-enable with the same settings."""
    number = with_trigger(tenant)
    before = stored(tenant)
    tenant.run("integrations", "disable", number, "--yes")
    incident(tenant, 1)
    tenant.run("integrations", "enable", number)
    incident(tenant, 2)
    (alert,) = tenant.told(1)
    assert f"time_from={NOW + 2}&" in alert["description"], "not what came meanwhile"
    assert stored(tenant) == before


def test_integrations_with_system_related_events_are_told_of_both(tenant: Tenant) -> None:
    """If for the integration the System related events are selected to trigger notifications, \
Wallarm will notify about both of these actions."""
    tenant.apply(
        *(tenant.integration(place, "system") for place in (1, 2)),
        *(tenant.integration(place, "rules_and_triggers") for place in (3, 4)),
    )
    actions = ("disabled", "deleted")
    for place in (1, 3):
        number = str(tenant.integration_id(place))
        tenant.run("integrations", "disable", number, "--yes")
        tenant.run("integrations", "enable", number)
        tenant.run("integrations", "delete", number, "--yes")
    both = [f"[Wallarm] Integration was {action}" for action in sorted(actions)]
    assert messages(tenant.told(2, place=1)) == both, "its own last messages"
    assert messages(tenant.told(4, place=2)) == sorted(both * 2), "of either integration"
    assert tenant.told(0, place=3) == []
    assert tenant.told(0, place=4) == []
