from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.domain.catalog.conditions import CONDITIONS, FILTERS, Reaction
from stream_app.domain.configuration.triggers import Filter, Threshold, Trigger, read_trigger
from stream_app.domain.errors import InvalidObjectError
from tests.unit.domain.objects import parse_trigger

PERIODS = (1, 60, 3600, 86400)

# The example of the API, plus what a stored record adds.
DOCUMENTED: dict[str, Any] = {
    "id": 61,
    "client_id": 1111,
    "name": "Notification about incidents",
    "comment": None,
    "enabled": True,
    "template_id": "incidents_exceeded",
    "filters": [{"id": "target", "operator": "eq", "values": ["server", "database"]}],
    "threshold": {"count": 1, "period": 1, "operator": "gt", "allowed_operators": ["gt"]},
    "actions": [{"id": "send_notification", "params": {"integration_ids": [521]}}],
    "enabled_at": 1767225600000,
}


def parse(**changes: Any) -> Trigger:
    return parse_trigger(DOCUMENTED | changes, allowed_periods=PERIODS)


def problems(**changes: Any) -> list[tuple[str, object]]:
    _, found = read_trigger(DOCUMENTED | changes, allowed_periods=PERIODS)
    return [(problem.path, problem.value) for problem in found]


def with_filter(filter_id: str, *values: object, operator: str = "eq") -> list[dict[str, Any]]:
    return [{"id": filter_id, "operator": operator, "values": list(values)}]


def test_the_documented_trigger_is_read_whole() -> None:
    assert parse() == Trigger(
        id=61,
        client_id=1111,
        name="Notification about incidents",
        template_id="incidents_exceeded",
        enabled=True,
        filters=(Filter("target", "eq", ("server", "database")),),
        threshold=Threshold(count=1, period=1),
        integration_ids=(521,),
        enabled_at=1767225600000,
    )


def test_the_wrapper_and_the_spelling_of_the_api_are_read() -> None:
    inner = {name: value for name, value in DOCUMENTED.items() if name != "client_id"}
    wrapped = {"trigger": inner, "clientid": 1111}
    assert parse_trigger(wrapped, allowed_periods=PERIODS) == parse()


@pytest.mark.parametrize(
    ("filter_id", "written", "stored"),
    [
        ("pool", [-1, 7], (-1, 7)),
        ("response_status", [504, "5XX"], (504, "5xx")),
        ("ip_address", ["203.0.113.10", "2001:DB8::0:1"], ("203.0.113.10", "2001:db8::1")),
        ("attack_type", ["SQLi", "Enum"], ("sqli", "enum")),
        ("domain", ["Shop.ACME.example"], ("shop.acme.example",)),
        ("target", ["Server"], ("server",)),
        ("domain", ["a.example", "A.example"], ("a.example",)),
    ],
)
def test_values_are_stored_in_one_form(
    filter_id: str, written: list[object], stored: tuple[object, ...]
) -> None:
    assert parse(filters=with_filter(filter_id, *written)).filters[0].values == stored


@pytest.mark.parametrize(
    ("filter_id", "value"),
    [
        ("pool", -2),
        ("pool", "7"),
        ("pool", True),
        ("response_status", 99),
        ("response_status", 600),
        ("response_status", "404"),
        ("response_status", "6xx"),
        ("ip_address", "203.0.113.0/24"),
        ("ip_address", "fe80::1%eth0"),
        ("ip_address", 3405803786),
        ("attack_type", "sqly"),
        ("attack_type", None),
        ("domain", "https://shop.acme.example"),
        ("domain", ""),
        ("target", "browser"),
    ],
)
def test_a_value_that_the_filter_does_not_take_is_refused(filter_id: str, value: object) -> None:
    assert problems(filters=with_filter(filter_id, value)) == [("filters[0].values[0]", value)]


def test_a_filter_that_the_condition_does_not_have_is_refused() -> None:
    filters = with_filter("target", "server")
    with pytest.raises(InvalidObjectError, match=r"filters\[0\]\.id: 'target': must be one of att"):
        parse(template_id="hits_exceeded", filters=filters)
    assert parse(template_id="attacks_exceeded", filters=filters).filters


def test_a_filter_without_values_lets_everything_through() -> None:
    assert parse(filters=with_filter("pool")).filters == ()
    assert parse(filters=None).filters == ()


@pytest.mark.parametrize("operator", ["gt", "", None, 5])
def test_a_filter_operator_is_eq_or_ne(operator: Any) -> None:
    assert parse(filters=with_filter("pool", 7, operator="ne")).filters[0].operator == "ne"
    found = problems(filters=with_filter("pool", 7, operator=operator))
    assert found == [("filters[0].operator", operator)]


@pytest.mark.parametrize(
    ("threshold", "path", "value"),
    [
        (None, "threshold", None),
        ([1, 60], "threshold", [1, 60]),
        ({"period": 60}, "threshold.count", None),
        ({"count": -1, "period": 60}, "threshold.count", -1),
        ({"count": 1.5, "period": 60}, "threshold.count", 1.5),
        ({"count": True, "period": 60}, "threshold.count", True),
        ({"count": 1}, "threshold.period", None),
        ({"count": 1, "period": 61}, "threshold.period", 61),
        ({"count": 1, "period": 0}, "threshold.period", 0),
        ({"count": 1, "period": "60"}, "threshold.period", "60"),
        ({"count": 1, "period": 60, "operator": "lt"}, "threshold.operator", "lt"),
    ],
)
def test_a_bad_threshold_is_refused(threshold: object, path: str, value: object) -> None:
    assert problems(threshold=threshold) == [(path, value)]


def test_a_threshold_of_zero_and_other_allowed_periods_are_taken() -> None:
    obj = DOCUMENTED | {"threshold": {"count": 0, "period": 900}}
    assert parse_trigger(obj, allowed_periods=(900,)).threshold == Threshold(0, 900)


@pytest.mark.parametrize(
    "name", ["id", "client_id", "name", "enabled", "template_id", "threshold", "actions"]
)
def test_a_missing_required_field_is_refused(name: str) -> None:
    obj = {key: value for key, value in DOCUMENTED.items() if key != name}
    with pytest.raises(InvalidObjectError, match=f"^{name}: is missing: must be"):
        parse_trigger(obj, allowed_periods=PERIODS)


def test_an_unknown_condition_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(
        InvalidObjectError,
        match="template_id: 'weak_jwt': condition is unknown: must be one of attacks_exceeded, hit",
    ) as caught:
        parse(template_id="weak_jwt")
    assert all(name in str(caught.value) for name in CONDITIONS)


def test_the_ids_of_integrations_are_numbers() -> None:
    bad = {"id": "send_notification", "params": {"integration_ids": [521, "x"]}}
    assert problems(actions=[bad]) == [("actions[0].params.integration_ids[1]", "x")]


def test_all_problems_of_a_trigger_are_found_at_once() -> None:
    found = problems(
        name=" ",
        enabled="yes",
        filters=[{"id": "pool", "operator": "is", "values": ["a", 7]}, "x"],
        threshold={"count": -1, "period": 7},
    )
    assert [path for path, _ in found] == [
        "name",
        "enabled",
        "filters[0].operator",
        "filters[0].values[0]",
        "filters[1]",
        "threshold.count",
        "threshold.period",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"template_id": "attacks_exceeded"},
        {"filters": []},
        {"filters": with_filter("target", "server", "database", operator="ne")},
        {"threshold": {"count": 2, "period": 1}},
        {"threshold": {"count": 1, "period": 60}},
        {"enabled_at": 1767225600001},
    ],
)
def test_what_decides_a_count_makes_another_revision(changes: dict[str, Any]) -> None:
    assert parse(**changes).revision != parse().revision


def test_a_revision_is_short_and_does_not_change_between_runs() -> None:
    # Written down: counts on disk are named by it, so another algorithm would orphan them.
    assert parse().revision == "0ad99124dced2191"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Other", "comment": "Why"},
        {"actions": [{"id": "send_notification", "params": {"integration_ids": [1, 2]}}]},
        {"filters": with_filter("target", "DATABASE", "server")},
        {"enabled": False},
    ],
)
def test_what_decides_no_count_keeps_the_revision(changes: dict[str, Any]) -> None:
    assert parse(**changes).revision == parse().revision


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries(
        {"template_id": st.sampled_from([*CONDITIONS, "x"])},
        optional={
            "id": JSON,
            "client_id": JSON,
            "name": JSON,
            "enabled": JSON,
            "threshold": JSON | st.fixed_dictionaries({"count": JSON, "period": JSON}),
            "actions": JSON
            | st.lists(
                st.fixed_dictionaries(
                    {"id": st.sampled_from([*map(str, Reaction)]) | JSON, "params": JSON}
                ),
                max_size=2,
            ),
            "filters": JSON
            | st.lists(
                st.fixed_dictionaries(
                    {
                        "id": st.sampled_from([*FILTERS]) | JSON,
                        "operator": st.sampled_from(["eq", "ne"]) | JSON,
                        "values": JSON | st.lists(JSON, max_size=3),
                    }
                ),
                max_size=3,
            ),
            "trigger": JSON,
        },
    )
)
def test_whatever_json_a_record_holds_it_is_read_or_refused(obj: dict[str, Any]) -> None:
    trigger, found = read_trigger(obj, allowed_periods=PERIODS)
    assert found or json.dumps(trigger.revision)
    assert all(trigger.notes)
    for problem in found:
        assert problem.path
