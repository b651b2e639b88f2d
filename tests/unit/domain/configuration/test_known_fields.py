from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stream_app.domain.configuration.kinds import STAMPS, Kind
from stream_app.domain.configuration.known_fields import (
    FIELD_TREES,
    FieldTree,
    known_part,
    unknown_paths,
)
from stream_app.domain.configuration.triggers import read_trigger
from stream_app.domain.errors import ConfigurationError
from stream_app.domain.plans.file_object import FileObject
from stream_app.domain.plans.from_files import read_file_configuration
from stream_app.domain.plans.plan import PlanRules
from stream_app.domain.plans.planner import make_plan
from tests.unit.domain.plans.planning import KEEPER, check_api, client, integration, plan, trigger

SCHEMAS = Path(__file__).parents[4] / "schemas"


def with_field(obj: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return an object with one more field at a path such as `filters.0.colour`."""
    changed = json.loads(json.dumps(obj))
    *way, name = path.split(".")
    inner = changed
    for step in way:
        inner = inner[int(step) if step.isdigit() else step]
    inner[name] = value
    return dict(changed)


FULL_TRIGGER = trigger(
    filters=[{"id": "target", "operator": "eq", "values": ["server"]}],
    actions=[{"id": "send_notification", "params": {"integration_ids": [521]}}],
)
FULL_INTEGRATION = integration(
    token="file:1111/acme",
    alert={"tags": ["waf"], "responders": [{"type": "team", "id": "t1"}]},
)


@pytest.mark.parametrize(
    ("obj", "path", "meant"),
    [
        (FULL_TRIGGER, "filter", "filters"),
        (FULL_TRIGGER, "treshold", "threshold"),
        (FULL_TRIGGER, "Enabled", "enabled"),
        (FULL_TRIGGER, "action", "actions"),
        (FULL_TRIGGER, "filters.0.value", "values"),
        (FULL_TRIGGER, "filters.0.operater", "operator"),
        (FULL_TRIGGER, "threshold.cuont", "count"),
        (FULL_TRIGGER, "threshold.periods", "period"),
        (FULL_TRIGGER, "actions.0.param", "params"),
        (FULL_TRIGGER, "actions.0.params.integration_id", "integration_ids"),
        (FULL_TRIGGER, "colour", None),
        (FULL_INTEGRATION, "alerts", "alert"),
        (FULL_INTEGRATION, "event", "events"),
        (FULL_INTEGRATION, "target.apikey", "api"),
        (FULL_INTEGRATION, "target.tokens", "token"),
        (FULL_INTEGRATION, "events.0.activ", "active"),
        (FULL_INTEGRATION, "alert.prority", "priority"),
        (FULL_INTEGRATION, "alert.responders.0.usrname", "username"),
        (FULL_INTEGRATION, "enabled", None),
        (client(), "application", "applications"),
        (client(), "clientid_", "client_id"),
        (client(), "timezone", None),
    ],
)
def test_an_unknown_field_of_a_file_is_a_problem_with_the_nearest_name(
    obj: dict[str, Any], path: str, meant: str | None
) -> None:
    changed = with_field(obj, path, "fake-key-not-real-1234")
    others = [one for one in (client(), FULL_INTEGRATION) if one is not obj]
    problems = [p for p in plan(*others, changed).problems if "is no field here" in p]
    shown = path.replace(".0", "[0]")
    (problem,) = problems
    assert f": {shown}: is no field here: " in problem
    assert problem.endswith(f"did you mean {meant}?" if meant else "") or meant is None
    assert ("did you mean" in problem) == (meant is not None)
    assert "fake-key" not in problem


def test_a_name_that_may_be_a_key_is_not_shown() -> None:
    obj = integration() | {"b035033e-540a-0390-aa00-a102e5b556a7": None}
    (problem,) = plan(client(), obj).problems
    assert problem.startswith("acme.yaml: integration 521: (hidden): is no field here")


def test_a_wrapped_trigger_may_have_no_unknown_field_inside_or_beside_the_wrapper() -> None:
    wrapped = {"trigger": trigger(filter=[]), "comments": ""}
    found = plan(client(), integration(), wrapped).problems
    assert [text.partition(": ")[2].rpartition(": is no")[0] for text in found] == [
        "trigger 61: comments",
        "trigger 61: filter",
    ]


def test_what_the_api_documents_is_known_in_a_file_and_what_only_an_answer_has_is_not_kept() -> (
    None
):
    made = {"created_at": 1767225600, "created_by": "bo@acme.example"}
    given = trigger(
        **made,
        filters=[
            {
                "id": "target",
                "operator": "eq",
                "values": ["server"],
                "required": False,
                "allowed_operators": ["eq"],
            }
        ],
        threshold={"count": 1, "period": 60, "operator": "gt", "allowed_operators": ["gt"]},
    )
    assert plan(client(), integration(), given).problems == ()
    answered = given | {"updated_by": "x", "actions": [{**given["actions"][0], "position": 1}]}
    found = plan(client(), integration(), answered, is_answer=True)
    assert found.problems == ()
    assert found.changes[2].record is not None
    kept = {name: value for name, value in found.changes[2].record.items() if name != "enabled_at"}
    assert kept == given


def test_a_trigger_with_its_whole_condition_is_read_as_an_answer() -> None:
    answered = {"trigger": trigger(template={"id": "incidents_exceeded"}, position=1)}
    assert plan(client(), integration(), answered).problems == ()


@pytest.mark.parametrize("name", ["filter", "treshold", "Filters"])
def test_a_misspelt_filter_or_threshold_is_a_problem_in_an_answer_too(name: str) -> None:
    given = trigger()
    given.pop("threshold" if "hold" in name else "filters")
    found = plan(client(), integration(), given | {name: []}, is_answer=True)
    assert f"acme.yaml: trigger 61: {name}: is no field here" in found.problems[0]
    with_both = plan(client(), integration(), trigger(**{name: []}), is_answer=True)
    assert with_both.problems == (), "its own field beside the one that counts"


def test_an_unknown_alert_option_is_a_problem_in_an_answer_too() -> None:
    found = plan(client(), integration(alert={"prioirty": "P1"}), is_answer=True)
    assert "alert.prioirty: is no field here" in found.problems[0]


def test_the_message_on_an_unknown_kind_hints_at_the_misspelt_field() -> None:
    slip = {name: value for name, value in client().items() if name != "cloud"} | {"clowd": "EU"}
    (problem,) = plan(slip).problems
    assert problem.endswith("must be client, integration or trigger: clowd: did you mean cloud?")


def test_files_for_a_backtest_may_have_no_unknown_field() -> None:
    obj = trigger(filter=[])
    with pytest.raises(
        ConfigurationError, match=r"a\.yaml:7: trigger 61: filter: is no field here"
    ):
        read_file_configuration(
            [FileObject("a.yaml", 1, obj, line_of=lambda _: 7)], allowed_periods=(1, 60, 3600)
        )


def test_records_are_read_with_fields_of_other_versions() -> None:
    record = trigger(colour="red", threshold={"count": 1, "period": 60, "unit": "s"})
    assert read_trigger(record, allowed_periods=(60,))[1] == []
    assert unknown_paths("trigger", record) == ["threshold.unit", "colour"]
    assert known_part("trigger", record) == trigger()


def test_a_line_stands_before_the_problem() -> None:
    rules = PlanRules(now_ms=0, allowed_periods=(60,), keeper=KEEPER, check_api=check_api)
    rows = [FileObject("a.yaml", 1, client(), line_of=lambda _: 1)]
    rows.append(FileObject("a.yaml", 2, client(clowd=1), line_of={"clowd": 12}.get))
    (problem, _) = make_plan(rows, {kind: {} for kind in Kind}, rules).problems
    assert problem == "a.yaml:12: client 1111: clowd: is no field here: did you mean cloud?"


def names_of(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a schema as a tree, with those of its conditional parts."""
    parts = [schema[name] for name in ("then", "else") if name in schema]
    parts += [part for name in ("allOf", "oneOf", "anyOf") for part in schema.get(name, ())]
    found = {
        name: names_of(inner.get("items", inner))
        for name, inner in schema.get("properties", {}).items()
    }
    for part in parts:
        for name, inner in names_of(part).items():
            found[name] = {**found.get(name, {}), **inner}
    return found


def missing(wanted: dict[str, Any], shape: FieldTree, path: str = "") -> list[str]:
    found = [f"{path}{name}" for name in wanted if name not in shape]
    for name, inner in wanted.items():
        if (known := shape.get(name)) is not None:
            found += missing(inner, known, f"{path}{name}.")
    return found


@pytest.mark.parametrize("kind", list(Kind))
def test_every_field_of_the_schemas_is_known(kind: Kind) -> None:
    schema = json.loads((SCHEMAS / f"{kind}.schema.json").read_text())
    wanted = names_of(schema)
    assert len(wanted) >= 4
    assert missing(wanted, {**FIELD_TREES[kind], **dict.fromkeys(STAMPS[kind])}) == []
