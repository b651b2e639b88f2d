"""No alert is closed within the period of a trigger, whichever of the two is changed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.domain.plans.planning import (
    SEALED,
    client,
    integration,
    plan,
    stored_objects,
    trigger,
)


def closing(seconds: int, token: object = SEALED, **changes: Any) -> dict[str, Any]:
    options = {"deduplicate": "episode", "close_after_seconds": seconds}
    return integration(token, alert=options) | changes


def counting(period: int, **changes: Any) -> dict[str, Any]:
    return trigger(threshold={"count": 1, "period": period}, **changes)


OF_INTEGRATION = (
    "acme.yaml: integration 521: alert.close_after_seconds: 3600: must be longer than the period "
    "of trigger 61 (3600), which names the integration: else its alert is closed before the next "
    "window can fire"
)
OF_TRIGGER = (
    "acme.yaml: trigger 61: threshold.period: 3600: must be shorter than close_after_seconds of "
    "integration 521 (3600), which the trigger names: else its alert is closed before the next "
    "window can fire"
)


def test_both_in_the_files() -> None:
    assert plan(client(), closing(3600, "key"), counting(3600)).problems == (OF_INTEGRATION,)
    assert plan(client(), closing(3601, "key"), counting(3600)).problems == ()


def test_an_integration_that_stored_triggers_name() -> None:
    stored = stored_objects(trigger={61: counting(3600), 62: trigger(id=62, enabled=False)})
    assert plan(closing(3600), stored=stored).problems == (OF_INTEGRATION,)
    assert plan(closing(3601), stored=stored).problems == ()


def test_a_trigger_that_names_a_stored_integration() -> None:
    stored = stored_objects(integration={521: closing(3600)})
    assert plan(counting(3600), stored=stored).problems == (OF_TRIGGER,)
    assert plan(counting(60), stored=stored).problems == ()


def test_what_the_files_change_counts_and_not_what_is_stored() -> None:
    stored = stored_objects(integration={521: closing(3600)}, trigger={61: counting(3600)})
    assert plan(closing(7200), stored=stored).problems == ()
    assert plan(counting(60), stored=stored).problems == ()
    assert plan(trigger(), integration(SEALED), stored=stored).problems == ()


def test_a_trigger_that_is_pruned_does_not_count() -> None:
    stored = stored_objects(trigger={61: counting(3600), 62: trigger(id=62)})
    kept = trigger(id=62)
    assert plan(closing(3600), kept, stored=stored, prune=True).problems == ()
    assert plan(closing(3600), kept, stored=stored).problems == (OF_INTEGRATION,)


def test_a_trigger_of_another_client_does_not_count() -> None:
    stored = stored_objects(trigger={61: counting(3600, client_id=2222)})
    assert plan(closing(3600), stored=stored).problems == ()


@pytest.mark.parametrize(
    "stored", [counting(3600, actions=[]), counting(3600) | {"threshold": None}]
)
def test_a_trigger_that_cannot_fire_for_it_does_not_count(stored: dict[str, Any]) -> None:
    assert plan(closing(3600), stored=stored_objects(trigger={61: stored})).problems == ()


def test_alerts_that_stay_open_may_have_any_period() -> None:
    stays = integration("key", alert={"deduplicate": "episode"})
    assert plan(client(), stays, counting(3600)).problems == ()
