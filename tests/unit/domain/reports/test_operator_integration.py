"""What `status` says of who is not told: the platform team, or a client of its integration."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stream_app.domain.reports.operator_integration import operator_problem
from stream_app.domain.reports.overview_rows import IntegrationRow
from tests.unit.domain.reports.test_overview import FINE, WELL

DISABLED = replace(WELL, state="disabled", detail="failed_share")
OTHER = replace(WELL, id=522, gets_system=True)
PLATFORM = replace(WELL, id=900, client_id=9)


@pytest.mark.parametrize(
    ("state", "what", "commands"),
    [
        (None, "is not configured", ["stream-app apply -f …"]),
        ("invalid", "cannot be used", ["stream-app apply -f …"]),
        ("off", "is turned off", ["stream-app integrations enable 900"]),
        (
            "disabled",
            "is disabled by the system",
            [
                "stream-app integrations test 900",
                "stream-app integrations enable 900",
                "stream-app dlq redrive --integration 900",
            ],
        ),
    ],
)
def test_an_operator_integration_that_cannot_be_used_needs_attention(
    state: str | None, what: str, commands: list[str]
) -> None:
    problem = operator_problem(900, state)
    assert problem is not None
    assert problem.what == (
        f"the operator integration 900 (STREAM_APP_OPERATOR_INTEGRATION) {what}: the platform team "
        "is not told of integrations that the system disables, or of a pulse that stops"
    )
    assert [step.text for step in problem.steps if step.is_command] == commands
    rows = [] if state is None else [replace(PLATFORM, state=state, detail="why")]
    found = replace(FINE, integrations=rows, operator_integration=900)
    assert found.problems(17)[0] == problem


def test_one_that_can_be_used_or_none_is_no_problem() -> None:
    found = replace(FINE, integrations=[WELL, PLATFORM])
    assert found.problems(17) == []
    assert replace(found, operator_integration=900).problems(17) == []


@pytest.mark.parametrize(
    "others",
    [
        [],
        [replace(OTHER, gets_system=False)],
        [replace(OTHER, client_id=2)],
        [replace(OTHER, state="off")],
    ],
    ids=["its only one", "not selected", "of another client", "off"],
)
def test_a_client_that_no_other_integration_tells_must_be_told_by_a_person(
    others: list[IntegrationRow],
) -> None:
    row = replace(DISABLED, gets_system=True)
    problem, *_ = replace(FINE, integrations=[row, *others]).problems(17)
    assert problem.what.endswith(
        "is disabled by the system: failed_share; no other integration tells client 1 of it"
    )
    assert problem.steps[0].text == "tell its people in another way"


def test_a_client_that_another_integration_tells_has_been_told() -> None:
    (problem,) = replace(FINE, integrations=[DISABLED, OTHER]).problems(17)
    assert problem.what.endswith("is disabled by the system: failed_share")
    assert problem.next_step.startswith("stream-app integrations test 521; ")
