"""The test of an integration, and the addresses to let in: the end of the page's first section."""

from __future__ import annotations

import json
from pathlib import Path

from tests.page.page import cloud_addresses
from tests.page.system import Json
from tests.page.tenant import Tenant


def trial_of(tenant: Tenant, folder: Path, integration: Json, code: int) -> dict[str, Json]:
    """Test an integration that nobody has applied; return the last step of each stage."""
    file = folder / "integration.json"
    file.write_text(json.dumps([tenant.client, integration]))
    done = tenant.run("integrations", "test", "-f", str(file), "--json", code=code)
    return {step["step"]: step for step in json.loads(done.stdout)["steps"]}


def test_a_test_checks_the_configuration_the_target_and_the_format(
    tenant: Tenant, tmp_path: Path
) -> None:
    """Click Test integration to check configuration correctness, availability of the target \
system, and the notification format."""
    works = tenant.integration(1, "system")
    steps = trial_of(tenant, tmp_path, works, 0)
    assert [step["result"] for step in steps.values()] == ["ok"] * len(steps)
    (alert,) = tenant.told(1)
    assert alert["description"].startswith("Notification type: create_user\n\n")
    assert alert["description"].endswith(f"\n\nClient: {tenant.client['name']}\nCloud: EU")

    wrong = trial_of(tenant, tmp_path, works | {"events": [{"event": "siem", "active": True}]}, 3)
    assert wrong["configuration"]["result"] == "failed"
    assert "events[0].event" in wrong["configuration"]["text"]

    tenant.fail(kind="status", status=503, on=["close", "create"])
    away = trial_of(tenant, tmp_path, works, 6)
    assert "HTTP 503" in list(away.values())[-1]["text"]


def test_test_notifications_have_the_prefix(tenant: Tenant, tmp_path: Path) -> None:
    """This will send the test notifications with the prefix `[Test message]`:"""
    events = ("system", "rules_and_triggers", "security_issue_high")
    trial_of(tenant, tmp_path, tenant.integration(1, *events), 0)
    found = tenant.told(len(events))
    assert all(alert["message"].startswith("[Test message] [Wallarm] ") for alert in found)
    assert len({alert["message"] for alert in found}) == len(events)


def test_the_addresses_of_all_clouds_can_be_listed(tenant: Tenant) -> None:
    """To provide Wallarm Cloud access to your system, you may need a list of its public IP \
addresses:"""
    found: dict[str, list[str]] = {}
    for line in tenant.run("cloud-ips", "--json").stdout.splitlines():
        row = json.loads(line)
        found.setdefault(row["cloud"], []).append(row["address"])
    assert found == {cloud: cloud_addresses(cloud) for cloud in ("US", "EU", "ME")}
    assert sum(map(len, found.values())) == 22


def test_the_addresses_of_the_us_cloud_can_be_listed(tenant: Tenant) -> None:
    """US Cloud: 34.102.90.100 … 34.94.193.9"""
    listed = tenant.run("cloud-ips", "--cloud", "US").stdout.splitlines()
    assert listed == cloud_addresses("US")
    assert (listed[0], listed[-1], len(listed)) == ("34.102.90.100", "34.94.193.9", 15)


def test_the_addresses_of_the_eu_cloud_can_be_listed(tenant: Tenant) -> None:
    """EU Cloud: 34.141.230.156 … 34.7.147.149"""
    listed = tenant.run("cloud-ips", "--cloud", "EU").stdout.splitlines()
    assert listed == cloud_addresses("EU")
    assert (listed[0], listed[-1], len(listed)) == ("34.141.230.156", "34.7.147.149", 6)


def test_the_address_of_the_me_cloud_can_be_listed(tenant: Tenant) -> None:
    """ME Cloud: 34.166.215.174"""
    listed = tenant.run("cloud-ips", "--cloud", "ME").stdout.splitlines()
    assert listed == cloud_addresses("ME") == ["34.166.215.174"]
