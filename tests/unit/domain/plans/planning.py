"""Objects of files and stored records, and the plan made from them."""

from __future__ import annotations

from typing import Any

from stream_app.domain.configuration.kinds import Kind, Stored
from stream_app.domain.errors import ConfigurationError, SealingError
from stream_app.domain.plans.file_object import FileObject
from stream_app.domain.plans.plan import Change, Plan, PlanRules
from stream_app.domain.plans.planner import make_plan

NOW = 1767225600000
CLEAR = "fake-key-not-real"
US = "https://api.opsgenie.com/v2/alerts"
EU = "https://api.eu.opsgenie.com/v2/alerts"
STAMPED = {"updated_at": 5, "epoch": 6, "enabled_at": 4}


class FakeKeeper:
    """Seals readably, so that a test can see which key was bound to which context."""

    def seal(self, clear: str, context: str) -> str:
        if clear == "unsealable":
            raise SealingError("no secret key: `stream-app secrets generate` makes one")
        return f"sealed:v1:{context.encode().hex()}_{clear.encode().hex()}"

    def open(self, stored: str, context: str) -> str:
        if not stored.startswith(f"sealed:v1:{context.encode().hex()}_"):
            raise SealingError(f"does not belong to {context}")
        return bytes.fromhex(stored.partition("_")[2]).decode()

    def is_sealed_with_newest(self, clear: str, stored: str, context: str) -> bool:
        return stored == self.seal(clear, context)


KEEPER = FakeKeeper()
SEALED = KEEPER.seal(CLEAR, "1111/521@api.opsgenie.com")


def check_api(api: str) -> None:
    if "opsgenie.com" not in api:
        raise ConfigurationError("target.api: not allowed: use Opsgenie")


def client(**changes: Any) -> dict[str, Any]:
    return {"client_id": 1111, "name": "Acme", "cloud": "EU"} | changes


def integration(token: object = CLEAR, api: str = US, **changes: Any) -> dict[str, Any]:
    return {
        "id": 521,
        "client_id": 1111,
        "name": "On-call",
        "active": True,
        "type": "opsgenie",
        "target": {"token": token, "api": api},
        "events": [{"event": "system", "active": True}],
    } | changes


def trigger(**changes: Any) -> dict[str, Any]:
    return {
        "id": 61,
        "client_id": 1111,
        "name": "Incidents",
        "enabled": True,
        "template_id": "incidents_exceeded",
        "filters": [],
        "threshold": {"count": 1, "period": 60},
        "actions": [{"id": "send_notification", "params": {"integration_ids": [521]}}],
    } | changes


def stored_objects(**changes: dict[int, dict[str, object]]) -> Stored:
    records: Stored = {
        Kind.CLIENT: {1111: client()},
        Kind.INTEGRATION: {521: integration(SEALED) | {"updated_at": 5}},
        Kind.TRIGGER: {61: trigger() | {"enabled_at": 5}},
    }
    return records | {Kind(kind): rows for kind, rows in changes.items()}


def plan(
    *objects: dict[str, Any],
    stored: Stored | None = None,
    prune: bool = False,
    is_answer: bool = False,
) -> Plan:
    rows = [
        FileObject("acme.yaml", number, obj, is_answer)
        for number, obj in enumerate(objects, start=1)
    ]
    rules = PlanRules(now_ms=NOW, allowed_periods=(1, 60, 3600), keeper=KEEPER, check_api=check_api)
    return make_plan(rows, stored or {kind: {} for kind in Kind}, rules, prune=prune)


def written(change: Change) -> dict[str, object]:
    """Return the record of a change that is not a deletion."""
    assert change.record is not None
    return change.record
