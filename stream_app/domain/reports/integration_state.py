"""The state of an integration: active, off, disabled by the system or invalid, and why."""

from __future__ import annotations

import msgspec

from stream_app.domain.configuration.fields import note_id_mismatch
from stream_app.domain.configuration.integrations import read_integration
from stream_app.domain.configuration.statuses import IntegrationStatus, is_disabled_by_system
from stream_app.domain.times import iso_utc


def why_unusable(
    number: int, record: dict[str, object] | None, status: IntegrationStatus | None
) -> str | None:
    """Return why nothing can be sent with an integration; None: it can be used."""
    detail: object = "it is not configured"
    if record is not None:
        row = integration_row(number, record, status)
        if row["state"] == "active":
            return None
        detail = row["detail"]
    return f"integration {number} cannot be used: {detail}"


def integration_row(
    number: int, record: dict[str, object], status: IntegrationStatus | None
) -> dict[str, object]:
    """Return the facts about an integration, in JSON's types.

    One that its owner has turned off is `off`, even if the system had disabled it before. `reason`
    is a word that says why it is not in use, and `detail` a sentence. `told` are the client's
    other integrations that got a message when the system disabled it; None: not known.
    """
    integration, problems = read_integration(record)
    note_id_mismatch(number, integration.id, problems)
    row: dict[str, object] = {
        "id": number,
        "client_id": record.get("client_id"),
        "name": record.get("name"),
        "type": record.get("type"),
        "configured": "active" if integration.active else "off",
        "state": "active" if integration.active else "off",
        "reason": None,
        "detail": None,
        "state_since_at": None,
        "epoch": integration.epoch,
        "told": None,
    }
    if problems:
        row |= {"state": "invalid", "reason": "invalid", "detail": str(problems[0])}
    elif not integration.active:
        since = record.get("updated_at")
        at = f", at the latest at {iso_utc(since)}" if isinstance(since, int) else ""
        row |= {"reason": "off", "detail": f"its owner has turned it off{at}"}
    elif status and is_disabled_by_system(integration, status):
        failed = f"{status.failed} of {status.total} requests failed in {status.window_hours} h"
        row |= {
            "state": "disabled",
            "reason": status.reason,
            "detail": f"{status.reason}: {failed}",
            "state_since_at": iso_utc(status.since_ms),
            "told": None if status.told is msgspec.UNSET else list(status.told),
        }
    return row
