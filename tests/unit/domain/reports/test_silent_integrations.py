"""Triggers whose alerts go to nobody are found, and those that tell nobody on purpose are not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stream_app.domain.configuration.triggers import read_trigger
from stream_app.domain.reports.overview_rows import Silence, SilentIntegration, TriggerRow
from stream_app.domain.reports.silent_integrations import (
    CAUSES_SHOWN,
    silent_integrations,
    silent_problems,
    trigger_notes,
)

NOW = 1_767_225_600_000
OFF = SilentIntegration(521, Silence.OFF)
GONE = SilentIntegration(522, Silence.NOT_CONFIGURED)
ROW = TriggerRow(61, 1111, "SQLi", True, True, "", None, 0, None, (OFF,))


def record(*integration_ids: int, **fields: object) -> dict[str, Any]:
    actions = [{"id": "send_notification", "params": {"integration_ids": list(integration_ids)}}]
    return {
        "id": 61, "client_id": 1111, "name": "SQLi", "enabled": True,
        "template_id": "incidents_exceeded", "threshold": {"count": 1, "period": 1},
        "filters": [], "actions": actions if integration_ids else [], **fields,
    }  # fmt: skip


def found(obj: dict[str, Any], integrations: dict[int, dict[str, object]]) -> Any:
    trigger, _ = read_trigger(obj, allowed_periods=(60,))
    return silent_integrations(trigger, integrations)


@pytest.mark.parametrize(
    ("integrations", "expected"),
    [
        ({521: {"client_id": 1111, "active": False}}, (OFF, GONE)),
        ({521: {"client_id": 1111, "active": False}, 522: {"client_id": 1111, "active": True}}, ()),
        ({521: {"client_id": 1111}}, ()),  # cannot be used: its alerts become dead letters
        (
            {521: {"client_id": 2222, "active": True}},
            (SilentIntegration(521, Silence.OTHER_CLIENT), GONE),
        ),
    ],
)
def test_a_trigger_tells_nobody_if_none_of_its_integrations_takes_its_alerts(
    integrations: dict[int, dict[str, object]], expected: object
) -> None:
    assert found(record(521, 522), integrations) == expected


def test_what_tells_nobody_on_purpose_is_no_problem() -> None:
    assert found(record(), {}) == ()
    assert found(record(521, enabled=False), {}) == ()
    assert found(record(521, template_id="unheard_of"), {}) == ()  # not evaluated here
    assert list(silent_problems([replace(ROW, silent_integrations=())])) == []
    # Its own problem says what to do first.
    assert list(silent_problems([replace(ROW, problem="name: is missing")])) == []


def test_the_notes_name_each_integration_and_why() -> None:
    trigger, _ = read_trigger(record(521, 522), allowed_periods=(60,))
    nobody, _ = read_trigger(record(), allowed_periods=(60,))
    assert trigger_notes(trigger, ()) == ""
    assert trigger_notes(trigger, (OFF, GONE)) == (
        "tells nobody: integration 521 is off, integration 522 is not configured"
    )
    assert trigger_notes(nobody, ()) == "tells nobody: no integration is named"


def test_a_trigger_that_fired_into_nothing_needs_attention() -> None:
    (problem,) = silent_problems([replace(ROW, last_fired_ms=NOW)])
    assert problem.what == (
        "no integration takes the alerts of trigger 61 (SQLi): integration 521 is off; the newest "
        "alert fired at 2026-01-01T00:00:00Z"
    )
    assert problem.next_step == (
        "stream-app integrations enable 521; if nobody wants them, turn the trigger off: "
        "stream-app apply -f …"
    )
    (gone,) = silent_problems([replace(ROW, silent_integrations=(GONE,))])
    assert gone.what.endswith("trigger 61 (SQLi): integration 522 is not configured")
    assert gone.next_step.startswith("name another integration in the trigger")


def test_triggers_with_the_same_integrations_are_one_problem_and_many_are_cut() -> None:
    rows = [replace(ROW, id=number, last_fired_ms=NOW - number) for number in range(1, 9)]
    (problem,) = silent_problems(rows)
    assert "the alerts of 8 triggers (1, 2, 3, 4, 5 and 3 more): integration 521" in problem.what
    assert problem.what.endswith("2025-12-31T23:59:59Z")
    many = [
        replace(ROW, id=n, silent_integrations=(SilentIntegration(n, Silence.OFF),))
        for n in range(1, CAUSES_SHOWN + 4)
    ]
    problems = list(silent_problems(many))
    assert len(problems) == CAUSES_SHOWN + 1
    assert problems[-1].what == "no integration takes the alerts of 3 more triggers"
