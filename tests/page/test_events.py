"""The event types that an integration can select: one test for each item of the page's list."""

from __future__ import annotations

from tests.page.tenant import Tenant, documented, messages, told_of

ISSUE = "[Wallarm] New security issue detected"


def issue(risk: str, **details: object) -> dict[str, object]:
    """Return the notice of a security issue of a risk."""
    known = documented("security_issue")["details"]["security_issue"]
    return documented("security_issue", security_issue=known | {"risk": risk} | details)


def check_risk_level(tenant: Tenant, risk: str) -> None:
    """Check that only an integration that has selected a risk is told of its issues."""
    (alert,) = told_of(tenant, f"security_issue_{risk.lower()}", issue(risk))
    assert alert["message"] == ISSUE
    assert f"\nRisk: {risk}\n" in alert["description"]


def test_system_related_events_tell_of_user_changes(tenant: Tenant) -> None:
    """User changes (newly created, deleted, role change)"""
    notices = [documented(kind) for kind in ("create_user", "delete_user", "update_user")]
    assert messages(told_of(tenant, "system", *notices)) == [
        "[Wallarm] New user was added to the company account",
        "[Wallarm] User role was updated",
        "[Wallarm] User was deleted",
    ]


def test_system_related_events_tell_of_integration_changes(tenant: Tenant) -> None:
    """Integration changes (disabled, deleted)"""
    notices = [documented("disable_integration"), documented("delete_integration")]
    assert messages(told_of(tenant, "system", *notices)) == [
        "[Wallarm] Integration was deleted",
        "[Wallarm] Integration was disabled",
    ]


def test_system_related_events_tell_of_application_changes(tenant: Tenant) -> None:
    """Application changes (newly created, deleted, name change)"""
    tenant.client["applications"] = {"7": "Shop", "8": "Blog"}
    tenant.apply(tenant.integration(1, "system"), tenant.integration(2, "rules_and_triggers"))
    tenant.client["applications"] = {"7": "Web shop", "9": "Docs"}
    tenant.apply()
    told = {alert["message"]: alert["description"] for alert in tenant.told(3)}
    assert 'The application "Docs" (ID 9) was' in told["[Wallarm] Application was created"]
    assert 'The application "Blog" (ID 8) was' in told["[Wallarm] Application was deleted"]
    assert '"Shop" (ID 7) was renamed to "Web shop"' in told["[Wallarm] Application was renamed"]
    assert tenant.told(0, place=2) == []


def test_system_related_events_tell_of_failed_updates_of_specifications(
    tenant: Tenant,
) -> None:
    """Errors during regular update of specifications used for rogue API detection \
or API specification enforcement"""
    (alert,) = told_of(tenant, "system", documented("spec_update_failed"))
    assert alert["message"] == "[Wallarm] API specification was not updated"
    assert 'The specification "Shop-v2" (ID 15) was not updated' in alert["description"]
    assert "URI is unavailable" in alert["description"]


def test_changes_of_rules_and_triggers_are_announced(tenant: Tenant) -> None:
    """Rules and triggers changed (creating, updating, or deleting the rule or trigger)"""
    rules = [documented(f"rule_{verb}") for verb in ("create", "update", "delete")]
    told_of(tenant, "rules_and_triggers", *rules)
    trigger = tenant.trigger("user_created", to=(1,))
    tenant.apply(trigger)
    tenant.apply(trigger | {"name": "New users"})
    tenant.run("delete", "triggers", str(trigger["id"]), "--yes")
    tenant.system.triggers.discard(trigger["id"])
    assert messages(tenant.told(6)) == [
        f"[Wallarm] {noun} was {verb}"
        for noun in ("Rule", "Trigger")
        for verb in ("created", "deleted", "updated")
    ]
    assert tenant.told(0, place=2) == []


def test_security_issues_are_announced_for_all_or_only_the_selected_risk_levels(
    tenant: Tenant,
) -> None:
    """Security issues detected by all methods, all or only for the selected risk level(s):"""
    risks = ("Critical", "High", "Medium", "Low", "Info")
    every = tenant.integration(1, *(f"security_issue_{risk.lower()}" for risk in risks))
    some = tenant.integration(2, "security_issue_critical", "security_issue_low")
    tenant.apply(every, some, tenant.integration(3, "system", "rules_and_triggers"))
    methods = ("Passive Detect", "AASM", "Threat Replay Testing", "API Discovery", "Schema-Based")
    tenant.notify(*(issue(risk, discovered_by=by) for risk, by in zip(risks, methods, strict=True)))
    assert {alert["details"]["security_issue_discovered_by"] for alert in tenant.told(5)} == set(
        methods
    )
    found = [alert["details"]["security_issue_risk"] for alert in tenant.told(2, place=2)]
    assert sorted(found) == ["Critical", "Low"]
    assert tenant.told(0, place=3) == []


def test_issues_of_critical_risk_can_be_selected(tenant: Tenant) -> None:
    """Critical risk"""
    check_risk_level(tenant, "Critical")


def test_issues_of_high_risk_can_be_selected(tenant: Tenant) -> None:
    """High risk"""
    check_risk_level(tenant, "High")


def test_issues_of_medium_risk_can_be_selected(tenant: Tenant) -> None:
    """Medium risk"""
    check_risk_level(tenant, "Medium")


def test_issues_of_low_risk_can_be_selected(tenant: Tenant) -> None:
    """Low risk"""
    check_risk_level(tenant, "Low")


def test_issues_of_info_risk_can_be_selected(tenant: Tenant) -> None:
    """Info risk"""
    check_risk_level(tenant, "Info")
