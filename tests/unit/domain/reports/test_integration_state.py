"""The state of an integration, as `status` and `integrations list` show it."""

from __future__ import annotations

import msgspec

from stream_app.domain.reports.integration_state import integration_row
from tests.unit.valid_records import CLIENT, STATUS

RECORD: dict[str, object] = {
    "id": 521, "client_id": CLIENT, "name": "On-call", "type": "opsgenie", "active": True,
    "target": {"api": "https://api.opsgenie.com", "token": "env:STREAM_APP_KEY_1111_ACME"},
    "events": [],
}  # fmt: skip


def test_an_integration_that_its_owner_turned_off_is_off_whatever_the_system_did_before() -> None:
    assert integration_row(521, RECORD, None)["state"] == "active"
    disabled = integration_row(521, RECORD, STATUS)
    assert (disabled["state"], disabled["state_since_at"]) == ("disabled", "2026-01-01T00:00:00Z")
    assert disabled["told"] is None, "an older version has written the status"
    told = msgspec.structs.replace(STATUS, told=(522,))
    assert integration_row(521, RECORD, told)["told"] == [522]
    off = integration_row(521, {**RECORD, "active": False}, STATUS)
    assert (off["state"], off["detail"]) == ("off", "its owner has turned it off")


def test_an_integration_that_is_off_has_been_so_since_its_record_changed_or_before() -> None:
    # A later change of its name would have been noted in the same field.
    row = integration_row(521, {**RECORD, "active": False, "updated_at": 1_767_225_600_000}, None)
    assert row["detail"] == "its owner has turned it off, at the latest at 2026-01-01T00:00:00Z"
    assert (row["reason"], row["state_since_at"]) == ("off", None)
