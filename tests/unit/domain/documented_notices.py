"""The documented notices by kind, as the product's pages show them or modelled on these.

Each is named like its golden file. The comments give the source in the domain reference, which is
section 1.5, "Every other notification kind", unless another section is named.
"""

from __future__ import annotations

from typing import Any


def notice(summary: str, kind: str, cloud: str = "EU", **details: Any) -> dict[str, Any]:
    """Return the documented envelope."""
    known = {"client_name": "Acme Retail", "cloud": cloud, "notification_type": kind}
    return {"summary": summary, "details": known | details}


USER = {"name": "Ann Lee", "email": "ann@acme.example", "role": "Analyst"}
ACTOR = "bo@acme.example"
INTEGRATION = {"id": 521, "type": "opsgenie", "name": "On-call EU"}
ISSUE = {
    "host": "shop.acme.example",
    "id": 106279,
    "method": "GET",
    "parameter": "GET_q_value",
    "path": "/search",
    "title": "Reflected XSS",
    "discovered_by": "Passive Detect",
    "risk": "Medium",
    "type": "Cross-site scripting",
}
VULN = {
    "domain": "example.com",
    "id": None,
    "method": None,
    "parameter": None,
    "path": None,
    "title": "Test",
    "discovered_by": None,
    "threat": "Medium",
    "type": "Info",
}
RULE = {"id": 932, "type": "vpatch"}
TRIGGER = {"id": 61, "name": "Notification about incidents"}

NOTICES: dict[str, dict[str, Any]] = {
    # Line 3 of the examples; its sentence is that of section 3.7 (2), without the trigger's line.
    "create_user": notice(
        "[Wallarm] New user was added to the company account",
        "create_user",
        user=USER,
        created_by={"name": "Bo Ray", "email": ACTOR},
    ),
    # Line 1 of the examples (documented body), without the description that is to come out.
    "security_issue": notice(
        "[Wallarm] New security issue detected",
        "security_issue",
        "US",
        security_issue_link="https://us1.my.wallarm.com/object/106279",
        security_issue=ISSUE,
    ),
    # The last but one of the examples (documented legacy body); its text is section 3.7 (9).
    "vuln": {
        "summary": "[Test message] [Test partner(US)] New vulnerability detected",
        "details": {
            "client_name": "TestCompany",
            "cloud": "US",
            "notification_type": "vuln",
            "vuln_link": "https://us1.my.wallarm.com/object/555",
            "vuln": VULN,
        },
    },
    # The last of the examples (documented legacy body); its text is section 3.7 (8).
    "new_scope_object_ips": {
        "summary": "[Test message] [Test partner] Network perimeter has changed",
        "details": {
            "client_name": "TestCompany",
            "cloud": "EU",
            "notification_type": "new_scope_object_ips",
            "data": [
                {
                    "action": "create",
                    "entity": {"id": 2, "ip": "8.8.8.8"},
                    "object_type": "subnetorip",
                    "object_userid": 777,
                }
            ],
        },
    },
    # The others: proposed bodies of the examples, with sentences like that of a new user.
    "update_user": notice(
        "[Wallarm] User role was updated",
        "update_user",
        user={"email": "ann@acme.example", "old_role": "Analyst", "role": "Administrator"},
        updated_by=ACTOR,
    ),
    "delete_user": notice("[Wallarm] User was deleted", "delete_user", user=USER, actor=ACTOR),
    "disable_integration": notice(
        "[Wallarm] Integration was disabled",
        "disable_integration",
        integration=INTEGRATION,
        actor=ACTOR,
    ),
    "delete_integration": notice(
        "[Wallarm] Integration was deleted",
        "delete_integration",
        integration=INTEGRATION,
        actor=ACTOR,
    ),
    "integration_broken": notice(
        "[Wallarm] Integration was disabled because of delivery errors",
        "integration_broken",
        integration=INTEGRATION,
        failed=18,
        total=27,
        window_hours=12,
        last_status=401,
        last_reason="unauthorized",
    ),
    "create_application": notice(
        "[Wallarm] Application was created",
        "create_application",
        application={"id": 8, "name": "Blog"},
        actor=ACTOR,
    ),
    "update_application": notice(
        "[Wallarm] Application was renamed",
        "update_application",
        application={"id": 7, "old_name": "Shop", "name": "Web shop"},
        actor=ACTOR,
    ),
    "delete_application": notice(
        "[Wallarm] Application was deleted",
        "delete_application",
        application={"id": 8, "name": "Blog"},
        actor=ACTOR,
    ),
    "spec_update_failed": notice(
        "[Wallarm] API specification was not updated",
        "spec_update_failed",
        specification={
            "id": 15,
            "title": "Shop-v2",
            "uri": "https://acme.example/openapi.json",
        },
        error="URI is unavailable",
    ),
    "rule_create": notice("[Wallarm] Rule was created", "rule_create", rule=RULE, actor=ACTOR),
    "rule_update": notice("[Wallarm] Rule was updated", "rule_update", rule=RULE, actor=ACTOR),
    "rule_delete": notice("[Wallarm] Rule was deleted", "rule_delete", rule=RULE, actor=ACTOR),
    "trigger_create": notice(
        "[Wallarm] Trigger was created",
        "trigger_create",
        trigger={"id": 62, "name": "SQLi burst"},
        actor=ACTOR,
    ),
    "trigger_update": notice(
        "[Wallarm] Trigger was updated", "trigger_update", trigger=TRIGGER, actor=ACTOR
    ),
    "trigger_delete": notice(
        "[Wallarm] Trigger was deleted",
        "trigger_delete",
        trigger={"id": 62, "name": "SQLi burst"},
        actor=ACTOR,
    ),
    # Our own kinds, see `stream_app.domain.notices.outgoing`.
    "deliveries_overflowed": notice(
        "[Wallarm] Alerts of an integration are held back: too many wait for it",
        "deliveries_overflowed",
        integration=INTEGRATION,
    ),
    "alerts_stale": notice(
        "[Wallarm] Alerts were too old to be sent", "alerts_stale", max_age_seconds=21600
    ),
}
