from __future__ import annotations

from typing import Any

import pytest

from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.plans.file_object import FileObject
from stream_app.domain.plans.plan import Action, PlanRules
from stream_app.domain.plans.planner import make_plan
from tests.unit.domain.plans.planning import (
    NOW,
    SEALED,
    STAMPED,
    FakeKeeper,
    check_api,
    client,
    integration,
    plan,
    stored_objects,
    trigger,
    written,
)


def test_an_address_that_a_record_never_had_is_no_new_target() -> None:
    record = {**stored_objects()[Kind.INTEGRATION][521], "target": {"token": SEALED}, "epoch": 5}
    (change,) = plan(integration(), stored=stored_objects(integration={521: record})).changes
    assert (change.fields, written(change)["epoch"]) == (("target.api",), 5)


@pytest.mark.parametrize(
    ("before", "after", "enabled_at"),
    [
        (None, trigger(), NOW),
        (None, trigger(enabled=False), None),
        (trigger(enabled=False), trigger(), NOW),
        (trigger(enabled=False, enabled_at=5), trigger(), NOW),
        (trigger(enabled_at=5), trigger(name="Other"), 5),
        (trigger(enabled_at=5), trigger(enabled=False), 5),
        (trigger(enabled_at=5), trigger(enabled_at=9, name="Other"), 5),
        (trigger(), trigger(name="Other"), None),
    ],
)
def test_enabled_at_is_set_when_a_trigger_becomes_enabled(
    before: dict[str, Any] | None, after: dict[str, Any], enabled_at: int | None
) -> None:
    stored = stored_objects(trigger={} if before is None else {61: before})
    change = plan(after, stored=stored).changes[0]
    assert written(change).get("enabled_at") == enabled_at


def test_a_new_integration_gets_all_stamps_and_those_of_the_file_are_ignored() -> None:
    (_, change) = plan(client(), integration(epoch=7, enabled_at=7, updated_at=7)).changes
    assert {name: written(change)[name] for name in ("updated_at", "epoch", "enabled_at")} == {
        "updated_at": NOW,
        "epoch": NOW,
        "enabled_at": NOW,
    }


@pytest.mark.parametrize(
    ("changes", "epoch"),
    [
        ({"name": "Renamed"}, 6),
        ({"active": False}, 6),
        ({"token": "another-fake-key"}, NOW),
        ({"token": "env:STREAM_APP_KEY_1111_ACME"}, NOW),
        ({"token": None, "api": "https://api.opsgenie.com"}, NOW),
    ],
)
def test_the_epoch_grows_with_a_new_target_only(changes: dict[str, Any], epoch: int) -> None:
    stored = stored_objects(integration={521: integration(SEALED) | STAMPED})
    (change,) = plan(integration(**changes), stored=stored).changes
    assert change.action is Action.UPDATED
    assert written(change)["epoch"] == epoch
    assert written(change)["enabled_at"] == 4
    assert written(change)["updated_at"] == NOW


def test_turning_an_integration_on_is_a_new_epoch_but_voids_no_status() -> None:
    before = integration(SEALED, active=False) | STAMPED | {"epoch": NOW + 10}
    (change,) = plan(integration(), stored=stored_objects(integration={521: before})).changes
    assert written(change)["epoch"] == NOW + 11, "the clock that set the old one was ahead"
    assert written(change)["enabled_at"] == 4


def test_a_key_that_is_sealed_anew_is_no_new_target() -> None:
    class Rotated(FakeKeeper):
        def seal(self, clear: str, context: str) -> str:
            return super().seal(clear, context) + "_2"

        def open(self, stored: str, context: str) -> str:
            return super().open(stored.removesuffix("_2"), context)

    rules = PlanRules(now_ms=NOW, allowed_periods=(60,), keeper=Rotated(), check_api=check_api)
    stored = stored_objects(integration={521: integration(SEALED) | STAMPED})
    (change,) = make_plan([FileObject("a", 1, integration())], stored, rules).changes
    assert change.fields == ("target.token",)
    assert written(change)["epoch"] == 6
