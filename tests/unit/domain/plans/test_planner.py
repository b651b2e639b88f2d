from __future__ import annotations

from typing import Any

import pytest

from stream_app.domain.configuration.kinds import Kind, Stored, kind_of
from stream_app.domain.plans.keys import shown_form
from stream_app.domain.plans.plan import Action, Change
from stream_app.domain.plans.steps import changed_fields
from tests.unit.domain.plans.planning import (
    SEALED,
    STAMPED,
    client,
    integration,
    plan,
    stored_objects,
    trigger,
    written,
)


@pytest.mark.parametrize(
    ("obj", "kind"),
    [
        ({"trigger": {}}, Kind.TRIGGER),
        ({"template_id": "x", "name": "n"}, Kind.TRIGGER),
        ({"target": {}, "events": []}, Kind.INTEGRATION),
        ({"type": "opsgenie", "events": []}, Kind.INTEGRATION),
        ({"name": "n", "cloud": "EU"}, Kind.CLIENT),
        ({"kind": "client"}, Kind.CLIENT),
        ({"kind": "integration", "template_id": "x"}, Kind.INTEGRATION),
        ({"kind": "rule", "template_id": "x"}, None),
        ({"name": "n"}, None),
        ({"target": {}}, None),
    ],
)
def test_an_object_is_recognised_by_kind_or_shape(obj: dict[str, Any], kind: Kind | None) -> None:
    assert kind_of(obj) == kind


def test_new_objects_are_created_clients_first() -> None:
    result = plan(trigger(), integration(), client())
    assert result.problems == ()
    assert [(c.kind, c.id, c.action) for c in result.changes] == [
        (Kind.CLIENT, 1111, Action.CREATED),
        (Kind.INTEGRATION, 521, Action.CREATED),
        (Kind.TRIGGER, 61, Action.CREATED),
    ]


def test_a_second_apply_changes_nothing() -> None:
    first = plan(client(), integration(), trigger())
    stored: Stored = {change.kind: {change.id: written(change)} for change in first.changes}
    again = plan(client(), integration(), trigger(), stored=stored)
    assert {change.action for change in again.changes} == {Action.UNCHANGED}
    assert [written(change) for change in again.changes] == [written(c) for c in first.changes]


def test_an_empty_address_is_a_problem() -> None:
    (problem,) = plan(client(), integration(api="")).problems
    assert "integration 521: target.api: '': must be a text, not empty" in problem


def test_a_text_that_may_be_empty_is_not_said_to_be_needed() -> None:
    (problem,) = plan(client(), integration(), trigger(comment=5)).problems
    assert problem.endswith("trigger 61: comment: 5: must be a text")


def test_an_address_that_is_not_allowed_is_a_problem() -> None:
    assert plan(client(), integration(api="https://evil.example")).problems == (
        "acme.yaml: integration 521: target.api: not allowed: use Opsgenie",
    )


def test_a_wrapped_trigger_is_stored_flat() -> None:
    inner = trigger()
    del inner["client_id"]
    change = plan({"trigger": inner, "clientid": 1111, "kind": "trigger"}, stored=stored_objects())
    assert change.changes[0].action is Action.UNCHANGED


def test_a_client_may_write_its_id_as_id() -> None:
    obj = {"id": 1111, "name": "Acme", "cloud": "EU"}
    assert written(plan(obj).changes[0]) == client()


def test_every_problem_of_every_object_is_reported_where_it_stands() -> None:
    result = plan(
        client(cloud="XX"),
        trigger(id=None, threshold={"count": -1, "period": 7}),
        {"what": "is this"},
        trigger(),
    )
    unknown = "actions[0].params.integration_ids[0]: 521: no such integration: apply it, too"
    missing = "is missing: must be an integer, 1 or more"
    assert result.problems == (
        "acme.yaml: client 1111: cloud: 'XX': must be one of EU, US, ME",
        f"acme.yaml: trigger, object 2: id: {missing}",
        "acme.yaml: trigger, object 2: threshold.count: -1: must be an integer, 0 or more",
        "acme.yaml: trigger, object 2: threshold.period: 7: must be one of 1, 60, 3600 (seconds)",
        f"acme.yaml: trigger, object 2: {unknown}",
        "acme.yaml: object 3: kind: not set: must be client, integration or trigger",
        f"acme.yaml: trigger 61: {unknown}",
    )


def test_a_trigger_may_name_integrations_of_its_own_client_only() -> None:
    stored = stored_objects(client={1111: client(), 2222: client(client_id=2222)})
    (problem,) = plan(trigger(id=62, client_id=2222), stored=stored).problems
    assert (
        "trigger 62: actions[0].params.integration_ids[0]: 521: is not an integration of" in problem
    )


def test_an_object_that_no_record_would_take_is_a_problem() -> None:
    result = plan(client(name="x" * 530_000), integration(), trigger(name="y" * 140_000))
    large, other = result.problems
    assert large.startswith("acme.yaml: client 1111: bytes: 530")
    assert "must be at most 524288 as JSON" in large
    assert other.startswith("acme.yaml: trigger 61: bytes: 140")
    assert "must be at most 131072 as JSON" in other
    apps = {str(number): "An application's name" for number in range(10_000)}
    assert plan(client(applications=apps)).problems == ()


def test_an_unknown_client_is_a_problem() -> None:
    (problem,) = plan(integration()).problems
    assert "integration 521: client_id: 1111: no such client" in problem


def test_an_object_stays_with_its_client() -> None:
    stored = stored_objects(client={1111: client(), 2222: client(client_id=2222)})
    (problem,) = plan(integration(client_id=2222), stored=stored).problems
    assert "integration 521: client_id: 2222: it belongs to client 1111" in problem


def test_an_object_that_stands_twice_is_a_problem() -> None:
    (problem,) = plan(client(), client(name="Other")).problems
    assert problem == "acme.yaml: client 1111: id: 1111: stands twice, first in acme.yaml"


def test_changed_fields_are_paths() -> None:
    before = {"a": 1, "b": {"c": 1, "d": [1]}, "e": None}
    assert changed_fields(before, before) == []
    assert changed_fields(before, {"a": 2, "b": {"c": 1, "d": [2]}}) == ["a", "b.d", "e"]


def test_options_of_alerts_are_a_change_and_no_new_target_and_are_shown_as_they_were_given() -> (
    None
):
    alert = {"priority": "P2", "tags": ["waf"], "responders": [{"type": "team", "id": "t1"}]}
    stored = stored_objects(integration={521: integration(SEALED) | STAMPED})
    (change,) = plan(integration(alert=alert), stored=stored).changes
    assert (change.fields, written(change)["epoch"]) == (("alert",), 6)
    record = written(change)
    stored = stored_objects(integration={521: record})
    (again,) = plan(shown_form(record), stored=stored).changes
    assert (again.action, shown_form(record)["alert"]) == (Action.UNCHANGED, alert)
    (other,) = plan(integration(alert=alert | {"priority": "P1"}), stored=stored).changes
    assert other.fields == ("alert.priority",)


def test_a_wrong_or_unknown_option_of_alerts_is_a_problem() -> None:
    found = plan(client(), integration(alert={"priority": "high", "prioirty": "P1"}))
    unknown, wrong = found.problems
    where = "acme.yaml: integration 521: alert"
    assert wrong == f"{where}.priority: 'high': must be one of P1, P2, P3, P4, P5"
    assert unknown.startswith(f"{where}.prioirty: is no field here: did you mean priority?")


def pruned(*objects: dict[str, Any], stored: Stored) -> list[tuple[Kind, int]]:
    found = plan(*objects, stored=stored, prune=True)
    assert found.problems == ()
    return [(c.kind, c.id) for c in found.changes if c.action is Action.DELETED]


def test_pruning_deletes_what_the_files_do_not_hold_of_their_kinds_and_clients() -> None:
    stored = stored_objects(
        client={1111: client(), 2222: client(client_id=2222)},
        integration={
            521: integration(SEALED),
            522: integration("env:STREAM_APP_KEY_1111_A", id=522),
            523: integration("env:STREAM_APP_KEY_1111_B", id=523, client_id=2222),
        },
        trigger={61: trigger(), 62: trigger(id=62)},
    )
    assert pruned(integration(), stored=stored) == [(Kind.INTEGRATION, 522)]
    assert pruned(trigger(), stored=stored) == [(Kind.TRIGGER, 62)]
    assert pruned(client(), stored=stored) == [], "clients are never pruned"
    both = pruned(integration(), trigger(), stored=stored)
    assert both == [(Kind.TRIGGER, 62), (Kind.INTEGRATION, 522)], "who names it goes first"


def test_a_trigger_of_the_files_keeps_its_integration_from_being_pruned() -> None:
    stored = stored_objects(integration={521: integration(SEALED), 522: integration(id=522)})
    other = integration("env:STREAM_APP_KEY_1111_A", id=522)
    (problem,) = plan(trigger(), other, stored=stored, prune=True).problems
    assert problem.endswith("integration_ids[0]: 521: would be pruned: apply the integration, too")


def test_a_trigger_may_keep_the_id_of_an_integration_that_is_gone() -> None:
    stored = stored_objects(integration={})
    assert plan(trigger(name="Renamed"), stored=stored).problems == ()
    new = trigger(id=62)
    assert "no such integration" in plan(new, stored=stored).problems[0]


@pytest.mark.parametrize(
    ("before", "after", "turns_off"),
    [(True, False, True), (True, None, True), (True, True, False), (False, None, False)],
)
def test_a_change_knows_whether_it_turns_an_integration_off(
    *, before: bool, after: bool | None, turns_off: bool
) -> None:
    record = None if after is None else integration(active=after)
    change = Change(
        Kind.INTEGRATION, 521, Action.UPDATED, record, before=integration(active=before)
    )
    assert change.turns_off is turns_off
