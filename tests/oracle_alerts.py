"""An independent reading of who is told what: alerts of windows and notices, and deliveries.

Like `tests.oracle` it shares no code with `stream_app`: plain dicts in, plain dicts out.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Objects = Mapping[int, Mapping[str, Any]]

SYSTEM = {
    *("create_user", "update_user", "delete_user"),
    *("disable_integration", "delete_integration", "integration_broken"),
    *("create_application", "update_application", "delete_application", "spec_update_failed"),
}
RULES = {
    f"{noun}_{verb}" for noun in ("rule", "trigger") for verb in ("create", "update", "delete")
}


def alert(trigger: Mapping[str, Any], client: Mapping[str, Any], start: int) -> dict[str, Any]:
    """Return the alert of a trigger's window, as it stands on the topic."""
    clauses = [_clause(item) for item in trigger["filters"] if item["values"]]
    threshold = {name: trigger["threshold"][name] for name in ("count", "period")}
    revision = _revision(trigger, clauses)
    names = client["applications"]
    pools = [v for item in clauses if item["id"] == "pool" for v in item["values"]]
    identity = ["trigger", client["client_id"], trigger["id"], revision, start]
    return {
        "id": _id(client["client_id"], trigger["template_id"], identity),
        "client_id": client["client_id"],
        "client_name": client["name"],
        "cloud": client["cloud"],
        "trigger": {
            "id": trigger["id"],
            "name": trigger["name"],
            "template_id": trigger["template_id"],
            "revision": revision,
            "filters": clauses,
            "threshold": threshold,
        },
        "window_start": start,
        "window_end": start + threshold["period"],
        "integration_ids": list(dict.fromkeys(_named(trigger))),
        "applications": {str(p): names[str(p)] for p in pools if str(p) in names},
    }


def notice_alert(
    notice: Mapping[str, Any], client: Mapping[str, Any], integrations: Objects
) -> dict[str, Any] | None:
    """Return the facts of the alert of a notice with an id; None if nobody gets an alert."""
    details = notice["details"]
    kind = details["notification_type"]
    event = subscription(details)
    ids = sorted(
        number
        for number, one in integrations.items()
        if one["client_id"] == client["client_id"]
        and one["active"]
        and any(e["event"] == event and e["active"] for e in one["events"])
    )
    if not ids:
        return None
    identity = ["notice", client["client_id"], kind, notice["id"], "subscription"]
    return {
        "id": _id(client["client_id"], kind, identity),
        "client_id": client["client_id"],
        "integration_ids": ids,
        "kind": kind,
        "summary": notice["summary"],
    }


def subscription(details: Mapping[str, Any]) -> str | None:
    """Return the event that an integration selects to get this notice."""
    kind = details["notification_type"]
    if kind == "security_issue":
        return f"security_issue_{details['security_issue']['risk'].lower()}"
    return "system" if kind in SYSTEM else "rules_and_triggers" if kind in RULES else None


def destinations(
    found: Mapping[str, Any],
    integrations: Objects,
    disabled: Iterable[int],
    deleted: Iterable[int] = (),
) -> dict[int, str]:
    """Return what becomes of an alert at each integration that it names.

    `sent` and `disabled` (by the system: the dead letters take it) make a delivery.
    """
    results = {}
    for number in found["integration_ids"]:
        one = integrations.get(number)
        if one is None:
            was_there = number in deleted
            results[number] = "deleted_integration" if was_there else "unknown_integration"
        elif one["client_id"] != found["client_id"]:
            results[number] = "foreign_integration"
        elif not one["active"]:
            results[number] = "inactive"
        else:
            results[number] = "disabled" if number in disabled else "sent"
    return results


def _named(trigger: Mapping[str, Any]) -> list[int]:
    return [n for action in trigger["actions"] for n in action["params"]["integration_ids"]]


def _clause(item: Mapping[str, Any]) -> dict[str, Any]:
    values = list(dict.fromkeys(_stored(item["id"], value) for value in item["values"]))
    return {"id": item["id"], "operator": item["operator"], "values": values}


def _stored(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    return str(ipaddress.ip_address(text)) if name == "ip_address" else text


def _revision(trigger: Mapping[str, Any], clauses: Sequence[Mapping[str, Any]]) -> str:
    """Return the hash of what decides a count, whatever the order of clauses and values."""

    def order(value: Any) -> tuple[bool, Any]:
        return isinstance(value, str), value

    rows = [[c["id"], c["operator"], sorted(c["values"], key=order)] for c in clauses]
    rows.sort(key=lambda row: (row[0], row[1], [order(value) for value in row[2]]))
    threshold = [trigger["threshold"]["count"], trigger["threshold"]["period"]]
    whole = [trigger["template_id"], rows, threshold, trigger.get("enabled_at", 0)]
    return hashlib.sha256(json.dumps(whole, separators=(",", ":")).encode()).hexdigest()[:16]


def _id(client_id: int, kind: str, identity: Sequence[Any]) -> str:
    text = json.dumps(identity, separators=(",", ":"), ensure_ascii=False)
    return f"stream-app:{client_id}:{kind}:{hashlib.sha256(text.encode()).hexdigest()[:32]}"
