"""What the security cloud's API answers about one client, with all that only answers have."""

from __future__ import annotations

from typing import Any

EU = "https://api.eu.opsgenie.com/v2/alerts"
TOKEN = "00000000-1111-2222-3333-444444444444"
#: Fields that the API takes on write; an answer's other fields are its own.
WRITTEN_OF_TRIGGER = (
    "name", "comment", "enabled", "template_id", "filters", "threshold", "actions",
)  # fmt: skip
WRITTEN_OF_INTEGRATION = ("name", "active", "type", "clientid", "target", "events")

CLIENT: dict[str, Any] = {"client_id": 1111, "name": "Acme Retail", "cloud": "EU"}

#: The documented bodies that create a trigger and an integration.
TRIGGER_BODY: dict[str, Any] = {
    "trigger": {
        "name": "Notification about incidents",
        "comment": "",
        "enabled": True,
        "template_id": "incidents_exceeded",
        "filters": [{"id": "target", "operator": "eq", "values": ["server", "database"]}],
        "threshold": {"count": 1, "period": 1, "operator": "gt", "allowed_operators": ["gt"]},
        "actions": [{"id": "send_notification", "params": {"integration_ids": [521]}}],
    }
}
INTEGRATION_BODY: dict[str, Any] = {
    "name": "On-call EU",
    "active": True,
    "type": "opsgenie",
    "clientid": 1111,
    "target": {"token": TOKEN, "api": EU},
    "events": [
        {"event": "system", "active": True},
        {"event": "security_issue_high", "active": True},
    ],
}
TEMPLATE: dict[str, Any] = {
    "id": "incidents_exceeded",
    "filters": [
        {
            "id": "target",
            "required": False,
            "values": [],
            "allowed_operators": ["eq", "ne"],
            "operator": "eq",
        }
    ],
    "threshold": {"allowed_operators": ["gt"], "operator": "gt", "period": 3600, "count": 9},
    "actions": [{"id": "send_notification", "params": {"lock_time": 0}}],
}


def trigger(**changes: Any) -> dict[str, Any]:
    """Return a trigger as it stands in an answer."""
    body = TRIGGER_BODY["trigger"]
    own = {"id": 61, "client_id": 1111, "comment": None}
    repeated = {"thresholds": [{"operator": "gt", "period": 1, "count": 1}], "template": TEMPLATE}
    return {**body, **own, **repeated, **changes}


def integration(**changes: Any) -> dict[str, Any]:
    """Return an integration as it stands in an answer, which does not say whose it is."""
    body = {name: value for name, value in INTEGRATION_BODY.items() if name != "clientid"}
    own = {"id": 521, "created_at": 1767225600, "created_by": "bo@acme.example"}
    return {**body, **own, **changes}


def triggers_answer(*triggers: dict[str, Any]) -> dict[str, Any]:
    """Return the answer with a client's triggers."""
    return {"triggers": list(triggers)}


def integrations_answer(*integrations: dict[str, Any]) -> dict[str, Any]:
    """Return the answer with a client's integrations."""
    return {"body": {"result": "success", "object": list(integrations)}}
