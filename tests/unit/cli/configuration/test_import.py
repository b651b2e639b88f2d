"""What the security cloud's API answers is taken as it is, and given back unchanged in meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from stream_app.cli.configuration.files import read_objects
from stream_app.cli.configuration.get import get
from stream_app.domain.configuration.api_objects import stored_form
from stream_app.domain.configuration.invisible_characters import invisible_characters
from stream_app.domain.configuration.kinds import Kind, Stored
from stream_app.domain.errors import ConfigurationError, UsageError
from stream_app.domain.plans.api_answers import unwrap_answer
from stream_app.domain.plans.plan import Action, Plan
from stream_app.domain.plans.planner import make_plan
from tests.api_answers import (
    CLIENT,
    EU,
    INTEGRATION_BODY,
    TEMPLATE,
    TRIGGER_BODY,
    WRITTEN_OF_INTEGRATION,
    WRITTEN_OF_TRIGGER,
    integration,
    integrations_answer,
    trigger,
    triggers_answer,
)
from tests.unit.cli.configuration.importing import PERIODS, RULES, Place
from tests.unit.domain.objects import parse_trigger


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def taken(obj: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    return {name: obj[name] for name in fields if name in obj}


def actions(plan: Plan) -> set[Action]:
    return {change.action for change in plan.changes}


def test_the_documented_bodies_come_back_equal_in_all_fields_of_the_api(place: Place) -> None:
    trigger_body = {"trigger": {**TRIGGER_BODY["trigger"], "id": 61}}
    place.apply(CLIENT, {**INTEGRATION_BODY, "id": 521}, trigger_body)
    (got,) = place.get(Kind.TRIGGER)["triggers"]
    assert taken(got, WRITTEN_OF_TRIGGER) == TRIGGER_BODY["trigger"]
    (got,) = place.get(Kind.INTEGRATION)["body"]["object"]
    expected = INTEGRATION_BODY | {"target": {"token": "(sealed)", "api": EU}}
    assert taken(got, WRITTEN_OF_INTEGRATION) == expected
    assert place.get(Kind.TRIGGER, is_one=True)["trigger"]["id"] == 61
    assert place.get(Kind.INTEGRATION, is_one=True)["body"]["object"]["id"] == 521


@pytest.mark.parametrize(
    "integrations",
    [
        integrations_answer(integration()),
        {"body": {"result": "success", "object": integration()}},
        [integration()],
    ],
)
@pytest.mark.parametrize(
    "triggers",
    [
        triggers_answer(trigger()),
        triggers_answer({"trigger": trigger()}),
        {"trigger": trigger()},
        [trigger()],
    ],
)
def test_every_form_of_an_answer_is_accepted(
    place: Place, integrations: object, triggers: object
) -> None:
    place.apply(CLIENT, integrations, triggers)
    (record,) = place.stored[Kind.TRIGGER].values()
    assert parse_trigger(record, allowed_periods=PERIODS).integration_ids == (521,)
    assert "template" not in record
    assert "thresholds" not in record
    assert record["comment"] is None
    (record,) = place.stored[Kind.INTEGRATION].values()
    assert (record["client_id"], record["created_by"]) == (1111, "bo@acme.example")


def test_applying_what_get_prints_changes_nothing(place: Place) -> None:
    alert = {"priority": "P2", "tags": ["waf"]}
    place.apply(
        CLIENT,
        integrations_answer(integration(), integration(id=522, active=False, alert=alert)),
        triggers_answer(trigger(), trigger(id=62, enabled=False)),
    )
    for is_one in (False, True):
        for kind in (Kind.INTEGRATION, Kind.TRIGGER):
            again = place.plan(place.get(kind, is_one=is_one), client=None)
            assert again.problems == ()
            assert len(again.changes) == (1 if is_one else 2)
            assert actions(again) == {Action.UNCHANGED}


def test_a_second_import_of_the_same_answers_changes_nothing(place: Place) -> None:
    answers = (CLIENT, integrations_answer(integration()), triggers_answer(trigger()))
    place.apply(*answers)
    assert actions(place.apply(*answers)) == {Action.UNCHANGED}


FILTERS = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {
                "id": st.just("pool"),
                "operator": st.sampled_from(["eq", "ne"]),
                "values": st.lists(st.integers(-1, 99)),
            }
        ),
        st.fixed_dictionaries(
            {
                "id": st.just("response_status"),
                "operator": st.sampled_from(["eq", "ne"]),
                "values": st.lists(st.sampled_from([404, "5xx", "4XX"])),
            }
        ),
    ),
    max_size=3,
)
TRIGGERS = st.builds(
    trigger,
    name=st.text(min_size=1, max_size=20).filter(
        lambda name: name.strip() and not invisible_characters(name)
    ),
    comment=st.none() | st.text(max_size=20),
    enabled=st.booleans(),
    template_id=st.sampled_from(["attacks_exceeded", "hits_exceeded", "incidents_exceeded"]),
    filters=FILTERS,
    threshold=st.just({"count": 1, "period": 1, "operator": "gt"}),
)


@given(triggers=st.lists(TRIGGERS, max_size=4))
def test_any_triggers_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, triggers: list[dict[str, Any]]
) -> None:
    place = Place(tmp_path_factory.mktemp("import"))
    numbered = [{**one, "id": number} for number, one in enumerate(triggers, start=1)]
    place.apply(CLIENT, integrations_answer(integration()), triggers_answer(*numbered))
    got = place.get(Kind.TRIGGER)
    assert [taken(one, WRITTEN_OF_TRIGGER) for one in got["triggers"]] == [
        taken(one, WRITTEN_OF_TRIGGER) for one in numbered
    ]
    again = place.plan(got, client=None)
    assert (again.problems, actions(again) - {Action.UNCHANGED}) == ((), set())


NO_THRESHOLD: dict[str, Any] = {"threshold": None, "thresholds": []}
BLOCKING = [{"id": "block_ips", "params": {"lock_time": 3600}}]


@pytest.mark.parametrize(
    "changes",
    [
        {"template_id": "user_created", "filters": [], **NO_THRESHOLD},
        {
            "template_id": "blacklist_ip_added",
            "filters": [{"id": "pool", "operator": "ne", "values": [-1, 7]}],
            **NO_THRESHOLD,
        },
        {"template_id": "vector_attack", "filters": [], "actions": BLOCKING},
    ],
)
def test_conditions_without_a_count_or_an_evaluation_come_back_too(
    place: Place, changes: dict[str, Any]
) -> None:
    one = trigger(**changes, template={**TEMPLATE, "id": changes["template_id"]})
    place.apply(CLIENT, integrations_answer(integration()), triggers_answer(one))
    got = place.get(Kind.TRIGGER)
    assert taken(got["triggers"][0], WRITTEN_OF_TRIGGER) == taken(one, WRITTEN_OF_TRIGGER)
    assert actions(place.plan(got)) == {Action.UNCHANGED}


def test_the_condition_may_stand_in_the_template_alone(place: Place) -> None:
    one = trigger()
    del one["template_id"]
    place.apply(CLIENT, integrations_answer(integration()), triggers_answer(one), [one | {"id": 7}])
    kept = place.stored[Kind.TRIGGER]
    assert {n: record["template_id"] for n, record in kept.items()} == dict.fromkeys(
        (61, 7), "incidents_exceeded"
    )


def test_the_threshold_may_stand_in_the_list_alone(place: Place) -> None:
    listed = {"operator": "gt", "period": 60, "count": 5}
    one = trigger(threshold=None, thresholds=[listed])
    place.apply(CLIENT, integrations_answer(integration()), triggers_answer(one))
    assert place.stored[Kind.TRIGGER][61]["threshold"] == listed
    assert "thresholds" not in place.stored[Kind.TRIGGER][61]


@pytest.mark.parametrize(
    "thresholds",
    [[{"period": 60, "count": 5}], [{"period": 1, "count": 1}, {"period": 60, "count": 5}], "no"],
)
def test_a_list_of_thresholds_that_says_something_else_is_not_lost(
    place: Place, thresholds: object
) -> None:
    (problem,) = place.problems(
        integrations_answer(integration()), triggers_answer(trigger(thresholds=thresholds))
    )
    assert problem.startswith("trigger 61: thresholds: ")
    assert problem.endswith("a trigger has one: leave it out")


def test_the_template_of_a_stored_record_is_no_change(place: Place) -> None:
    place.apply(CLIENT, integrations_answer(integration()), triggers_answer(trigger()))
    direct = place.stored[Kind.TRIGGER][61] | {"template": TEMPLATE}
    assert parse_trigger(direct, allowed_periods=PERIODS).template_id == "incidents_exceeded"


def test_an_empty_answer_is_no_object_and_no_error(place: Place) -> None:
    assert place.read(triggers_answer()) == []
    assert place.read(integrations_answer()) == []


def test_objects_of_an_answer_are_counted_through_the_file(place: Place) -> None:
    document = [CLIENT, triggers_answer(trigger(), trigger()), integration()]
    assert [item.number for item in place.read(document)] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"triggers": {"id": 61}}, "object 1: triggers: is an object: must be a list"),
        ({"triggers": [61]}, r"object 1: triggers\[0\]: is a number: must have named fields"),
        ({"body": {"result": "x", "object": [None]}}, r"body\.object\[0\]: is nothing: must"),
        ({"body": {"result": "x"}}, r"object 1: body\.object: is nothing: must have named"),
    ],
)
def test_an_answer_that_holds_something_else_is_refused(
    place: Place, document: object, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        place.read(document)


def test_an_object_that_is_no_answer_is_taken_itself() -> None:
    for obj in (trigger(), {"trigger": trigger()}, integration(), CLIENT, {"body": "Forbidden"}):
        assert unwrap_answer(obj) is None
    assert unwrap_answer(CLIENT | {"triggers": [], "body": {}}) is None


def test_the_client_comes_from_the_object_or_beside_it_or_from_the_command(place: Place) -> None:
    one = trigger()
    del one["client_id"]
    documents = [
        {"clientid": 2222, **triggers_answer(one, trigger(client_id=3333))},
        {"client_id": 2222, **integrations_answer(integration())},
        {"clientid": 2222, "trigger": one},
        {"trigger": one},
    ]
    found = place.read(*documents, client=1111)
    assert [stored_form(item.obj)["client_id"] for item in found] == [2222, 3333, 2222, 2222, 1111]
    (client,) = place.read({"id": 5, "name": "Other", "cloud": "EU"}, client=1111)
    assert "client_id" not in client.obj, "a client says itself who it is"


def test_a_missing_field_is_reported_with_the_next_step(place: Place) -> None:
    assert place.problems(TRIGGER_BODY, INTEGRATION_BODY, client=None)[:2] == [
        ("trigger, object 1: id: is missing: must be an integer, 1 or more"),
        (
            "trigger, object 1: client_id: is missing: must be an integer, 1 or more: "
            "write whose trigger it is, or give `stream-app apply --client ID`"
        ),
    ]
    (missing,) = place.problems(INTEGRATION_BODY)
    assert missing == "integration, object 1: id: is missing: must be an integer, 1 or more"


def test_an_answer_without_objects_is_the_list_that_the_api_gives(place: Place) -> None:
    assert place.get(Kind.TRIGGER) == {"triggers": []}
    assert place.get(Kind.TRIGGER, is_one=True) == {"triggers": []}
    assert place.get(Kind.INTEGRATION) == {"body": {"result": "success", "object": []}}


def test_there_is_no_answer_with_clients() -> None:
    done = CliRunner().invoke(get, ["clients", "-o", "api"])
    assert isinstance(done.exception, UsageError)
    assert str(done.exception).startswith("-o api: the API has no answer with clients")
    assert done.exception.exit_code == 2


def test_get_prints_what_apply_accepts_and_names_unknown_fields(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.apply(CLIENT, integrations_answer(integration()), triggers_answer(trigger()))
    record = place.stored[Kind.TRIGGER][61]
    place.stored[Kind.TRIGGER][61] = record | {"filter": [], "newer": {"a": 1}}

    async def read(_settings: object) -> Stored:
        return place.stored

    monkeypatch.setattr("stream_app.cli.configuration.get.read_stored", read)
    for output in ("yaml", "json", "api"):
        done = CliRunner().invoke(get, ["triggers", "-o", output])
        assert done.exit_code == 0, done.output
        assert done.stderr == (
            "trigger 61: filter, newer: not shown, this version does not know it: a newer one "
            "wrote it, or it is a slip that an older `apply` took\n"
        )
        file = place.folder / f"got.{output}"
        file.write_text(done.stdout)
        plan = make_plan(read_objects([str(file)]), place.stored, RULES)
        assert plan.problems == ()
        ((action, fields),) = {(change.action, change.fields) for change in plan.changes}
        assert (action, set(fields)) == (Action.UPDATED, {"filter", "newer"}), "they would go"
