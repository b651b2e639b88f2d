"""The state of an integration: active, off, disabled by the system or invalid, and why."""

from __future__ import annotations

from datetime import UTC, datetime

from stream_app.domain.configuration.fields import note_id_mismatch
from stream_app.domain.configuration.integrations import read_integration
from stream_app.domain.configuration.statuses import IntegrationStatus, is_disabled_by_system


def integration_row(
    number: int, record: dict[str, object], status: IntegrationStatus | None
) -> dict[str, object]:
    """Return the facts about an integration, in JSON's types."""
    integration, problems = read_integration(record)
    note_id_mismatch(number, integration.id, problems)
    row: dict[str, object] = {
        "id": number,
        "client_id": record.get("client_id"),
        "name": record.get("name"),
        "type": record.get("type"),
        "configured": "active" if integration.active else "off",
        "state": "active" if integration.active else "off",
        "why": None,
        "since": None,
        "epoch": integration.epoch,
    }
    if problems:
        row |= {"state": "invalid", "why": str(problems[0])}
    elif status is not None and is_disabled_by_system(integration, status):
        since = datetime.fromtimestamp(status.since_ms / 1000, UTC)
        why = (
            f"{status.reason}: {status.failed} of {status.total} requests failed "
            f"in {status.window_hours} h"
        )
        row |= {"why": why, "since": since.isoformat(timespec="seconds").replace("+00:00", "Z")}
        row["state"] = "disabled"
    return row
