"""Who is told that an integration is disabled, and whose clients are told through no other one."""

from __future__ import annotations

import pytest

from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.configuration.statuses import IntegrationStatus
from stream_app.kafka.configuration.view import Configuration


def integration(
    number: int,
    client_id: int = 1111,
    *,
    active: bool = True,
    events: tuple[str, ...] = ("system",),
) -> Integration:
    return Integration(number, client_id, "", active, "opsgenie", "", "", events)


def configured(*known: Integration, disabled: tuple[int, ...] = ()) -> Configuration:
    one = Configuration()
    one.integrations = {each.id: each for each in known}
    one.statuses = {
        n: IntegrationStatus(n, 1111, True, "failed_share", 7, 18, 27, 12, 0) for n in disabled
    }
    return one


def test_those_that_can_be_used_and_have_selected_system_are_told_by_client() -> None:
    found = configured(
        integration(523),
        integration(521),
        integration(522, active=False),
        integration(524),
        integration(525, events=("rules_and_triggers",)),
        integration(700, 2222),
        disabled=(524,),
    )
    assert found.system_recipients() == {1111: [521, 523], 2222: [700]}


@pytest.mark.parametrize(
    ("others", "untold"),
    [
        ([], 1),
        ([integration(522)], 0),
        ([integration(522, active=False)], 1),
        ([integration(522, events=())], 1),
        ([integration(522, 2222)], 1),
        ([integration(523)], 2),
    ],
    ids=["its only one", "told", "off", "not selected", "of another client", "both are disabled"],
)
def test_a_client_is_untold_while_no_other_integration_can_tell_it(
    others: list[Integration], untold: int
) -> None:
    found = configured(integration(521), *others, disabled=(521, 523))
    assert found.count_untold() == untold
    assert configured(integration(521), *others).count_untold() == 0, "nothing is disabled"


def test_what_its_owner_has_turned_off_or_deleted_needs_nobody_told() -> None:
    assert configured(integration(521, active=False), disabled=(521,)).count_untold() == 0
    assert configured(disabled=(521,)).count_untold() == 0
