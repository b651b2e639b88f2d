"""What an answer of the API lists and is not used here is left out, and named."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_app.domain.configuration.integrations import EVENTS
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.plans.plan import Action
from stream_app.domain.plans.unsupported import OTHER_EVENTS, OTHER_TYPES
from tests.api_answers import (
    CLIENT,
    TOKEN,
    integration,
    integrations_answer,
    trigger,
    triggers_answer,
)
from tests.unit.cli.configuration.importing import Place

SLACK = integration(id=530, type="slack", target=f"https://hooks.example/{TOKEN}")
EMAIL = integration(
    id=531, type="email", target=["soc@acme.example"], events=[{"event": "report_daily"}]
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_integrations_of_other_types_are_left_out_and_named(place: Place) -> None:
    plan = place.apply(CLIENT, integrations_answer(SLACK, integration(), EMAIL))
    assert [(c.kind, c.id) for c in plan.changes] == [
        (Kind.CLIENT, 1111),
        (Kind.INTEGRATION, 521),
    ]
    why = "left out: alerts are posted to Opsgenie and Jira Service Management only"
    assert [str(one) for one in plan.left_out] == [
        f"integration 530: type: 'slack': {why}",
        f"integration 531: type: 'email': {why}",
    ]


def test_a_trigger_that_names_them_keeps_them_and_the_line_says_that_nothing_goes_there(
    place: Place,
) -> None:
    both = trigger(actions=[{"id": "send_notification", "params": {"integration_ids": [521, 530]}}])
    plan = place.apply(CLIENT, integrations_answer(SLACK, integration()), triggers_answer(both))
    assert str(plan.left_out[1]) == (
        "trigger 61: actions[0].params.integration_ids[1]: 530: left out: it is of type slack: "
        "alerts are posted to Opsgenie and Jira Service Management only"
    )
    got = place.get(Kind.TRIGGER)
    assert got["triggers"][0]["actions"] == both["actions"]
    assert {change.action for change in place.plan(got).changes} == {Action.UNCHANGED}


def test_a_trigger_may_not_name_those_of_another_client(place: Place) -> None:
    foreign = trigger(actions=[{"id": "send_notification", "params": {"integration_ids": [530]}}])
    (problem,) = place.problems(integrations_answer(SLACK | {"clientid": 2222}), [foreign])
    where = "trigger 61: actions[0].params.integration_ids[0]"
    assert problem == f"{where}: 530: is not an integration of client 1111"


@pytest.mark.parametrize("type_", sorted(OTHER_TYPES))
def test_documented_types_are_left_out_of_any_list(place: Place, type_: str) -> None:
    plan = place.plan(CLIENT, [integration(type=type_)])
    assert [(one.id, one.value) for one in plan.left_out] == [(521, type_)]
    assert plan.problems == ()


def test_other_types_are_left_out_of_an_answer_only(place: Place) -> None:
    new = integration(type="carrier_pigeon")
    assert place.plan(CLIENT, integrations_answer(new)).problems == ()
    assert place.problems([new]) == [
        "integration 521: type: 'carrier_pigeon': must be one of opsgenie"
    ]


def test_a_key_in_place_of_a_type_is_not_shown(place: Place) -> None:
    (problem,) = place.problems(integrations_answer(integration(type=TOKEN)))
    assert problem == "integration 521: type: '(hidden)': holds the key: take it out"


def test_a_stored_integration_does_not_become_another_type(place: Place) -> None:
    place.apply(CLIENT, integrations_answer(integration()))
    assert place.problems(integrations_answer(integration(type="slack"))) == [
        "integration 521: type: 'slack': must be one of opsgenie"
    ]


def test_pruning_takes_an_answer_of_other_types_as_a_list_of_the_clients_integrations(
    place: Place,
) -> None:
    place.apply(CLIENT, integrations_answer(integration()))
    plan = place.plan(integrations_answer(SLACK), prune=True)
    assert [(c.id, c.action) for c in plan.changes] == [(521, Action.DELETED)]
    assert place.plan(integrations_answer(), prune=True).changes == ()


@pytest.mark.parametrize("event", sorted(OTHER_EVENTS))
def test_events_of_other_types_are_left_out_when_inactive_and_refused_when_active(
    place: Place, event: str
) -> None:
    kept = {"event": EVENTS[0], "active": True}
    other = {"event": event, "active": False, "with_headers": True}
    plan = place.apply(CLIENT, integrations_answer(integration(events=[other, kept])))
    assert place.stored[Kind.INTEGRATION][521]["events"] == [kept]
    (left,) = plan.left_out
    assert (left.id, left.path, left.value) == (521, "events[0].event", event)
    active = integrations_answer(integration(events=[kept, other | {"active": True}]))
    (problem,) = place.problems(active)
    assert problem.startswith(
        f"integration 521: events[1].event: '{event}': Opsgenie integrations do not have it: "
    )


def test_headers_belong_to_hits_which_opsgenie_does_not_take(place: Place) -> None:
    events = [{"event": "system", "active": True, "with_headers": False}]
    place.apply(CLIENT, integrations_answer(integration(events=events)))
    assert place.stored[Kind.INTEGRATION][521]["events"] == [{"event": "system", "active": True}]
    (problem,) = place.problems(
        integrations_answer(integration(events=[events[0] | {"with_headers": True}]))
    )
    assert problem == (
        "integration 521: events[0].with_headers: '(hidden)': only `siem` takes it, which Opsgenie "
        "integrations do not have: take it out"
    )


@pytest.mark.parametrize("event", ["securty_issue_high", None, ["siem"], 5])
def test_an_event_that_nobody_knows_is_a_problem_in_a_file_even_when_inactive(
    place: Place, event: object
) -> None:
    events = [{"event": event, "active": False}]
    (problem,) = place.problems([integration(events=events)])
    assert problem.startswith("integration 521: events[0].event: ")


@pytest.mark.parametrize("event", [None, ["siem"], 5])
def test_an_event_of_an_answer_that_is_no_name_is_a_problem(place: Place, event: object) -> None:
    events = [{"event": event, "active": False}]
    (problem,) = place.problems(integrations_answer(integration(events=events)))
    assert problem.startswith("integration 521: events[0].event: ")


def test_an_inactive_event_that_nobody_knows_is_left_out_of_an_answer(place: Place) -> None:
    kept = {"event": EVENTS[0], "active": True}
    digest = {"event": "weekly_digest2", "active": False}
    answer = integrations_answer(integration(events=[kept, digest, digest | {"event": TOKEN}]))
    plan = place.apply(CLIENT, answer)
    assert place.stored[Kind.INTEGRATION][521]["events"] == [kept]
    why = "left out: an event that Opsgenie integrations do not have"
    assert [str(one) for one in plan.left_out] == [
        f"integration 521: events[1].event: 'weekly_digest2': {why}",
        f"integration 521: events[2].event: '(hidden)': {why}",
    ]
    active = integrations_answer(integration(events=[digest | {"active": True}]))
    (problem,) = place.problems(active)
    assert problem.startswith("integration 521: events[0].event: 'weekly_digest2': must be one of ")


@pytest.mark.parametrize(
    "type_", ["amazon_s3", "azure_sentinel", "o365", "s3_v2_web2case", "a" * 40]
)
def test_names_with_digits_are_names_of_types(place: Place, type_: str) -> None:
    plan = place.apply(CLIENT, integrations_answer(integration(type=type_)))
    assert [(one.id, one.value) for one in plan.left_out] == [(521, type_)]


@pytest.mark.parametrize(
    "type_", [TOKEN.replace("-", ""), "ab035033e540a0390aa00a102e5b556a7", "a" * 41, "amazon_s3 "]
)
def test_a_text_that_may_be_a_key_is_no_name_of_a_type(place: Place, type_: str) -> None:
    (problem,) = place.problems(integrations_answer(integration(type=type_)))
    assert problem.startswith("integration 521: type: ")


def test_a_trigger_of_an_unknown_condition_is_left_out_of_an_answer_only(place: Place) -> None:
    weak = trigger(id=72, template_id="weak_jwt", threshold=None, thresholds=[])
    plan = place.apply(CLIENT, integrations_answer(integration()), triggers_answer(weak, trigger()))
    assert [str(one) for one in plan.left_out] == [
        "trigger 72: template_id: 'weak_jwt': left out: its condition is not known here"
    ]
    assert list(place.stored[Kind.TRIGGER]) == [61]
    for written in ([weak], {"trigger": weak}):
        (problem,) = place.problems(written)
        assert problem.startswith("trigger 72: template_id: 'weak_jwt': condition is unknown: ")


@pytest.mark.parametrize("values", [["sqli", "new_kind"], ["new_kind"]])
def test_a_trigger_with_an_unknown_attack_type_is_left_out_too(
    place: Place, values: list[str]
) -> None:
    filters = [{"id": "attack_type", "operator": "eq", "values": values}]
    other = trigger(id=72, filters=filters)
    plan = place.apply(
        CLIENT, integrations_answer(integration()), triggers_answer(other, trigger())
    )
    path = f"filters[0].values[{len(values) - 1}]"
    assert [str(one) for one in plan.left_out] == [
        f"trigger 72: {path}: 'new_kind': left out: an attack type that is not known here"
    ]
    assert list(place.stored[Kind.TRIGGER]) == [61]
    (problem,) = place.problems([other])
    assert problem.startswith(f"trigger 72: {path}: 'new_kind': must be ")


def test_a_stored_trigger_does_not_stay_in_force_when_its_condition_is_no_longer_known(
    place: Place,
) -> None:
    place.apply(CLIENT, integrations_answer(integration()), triggers_answer(trigger()))
    (problem,) = place.problems(triggers_answer(trigger(template_id="weak_jwt")))
    assert problem.startswith("trigger 61: template_id: 'weak_jwt': condition is unknown: ")


def test_pruning_takes_an_answer_of_unknown_conditions_as_a_list_of_the_clients_triggers(
    place: Place,
) -> None:
    place.apply(CLIENT, integrations_answer(integration()), triggers_answer(trigger()))
    plan = place.plan(triggers_answer(trigger(id=72, template_id="weak_jwt")), prune=True)
    assert [(c.kind, c.id, c.action) for c in plan.changes] == [(Kind.TRIGGER, 61, Action.DELETED)]


def test_an_empty_threshold_of_an_answer_is_none(place: Place) -> None:
    one = trigger(template_id="user_created", filters=[], threshold={}, thresholds=[])
    place.apply(CLIENT, integrations_answer(integration()), triggers_answer(one))
    assert place.stored[Kind.TRIGGER][61]["threshold"] is None
    (problem,) = place.problems([one])
    assert problem.startswith("trigger 61: threshold: {}: must not be given ")
    (problem,) = place.problems(
        integrations_answer(integration()), triggers_answer(trigger(threshold={}, thresholds=[]))
    )
    assert problem.startswith("trigger 61: threshold: is missing: ")
    listed = trigger(threshold={})
    place.apply(CLIENT, integrations_answer(integration()), triggers_answer({"trigger": listed}))
    assert place.stored[Kind.TRIGGER][61]["threshold"] == listed["thresholds"][0]
