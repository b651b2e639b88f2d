"""Every condition with every filter, operator, value and threshold: taken or refused."""

from __future__ import annotations

import pytest

from stream_app.domain.catalog.conditions import (
    CONDITIONS,
    FILTERS,
    Evaluation,
    Reaction,
)
from stream_app.domain.configuration.triggers import Filter, Threshold, read_trigger
from stream_app.domain.foreign_text.printable import quoted
from tests.unit.domain.trigger_tables import (
    ACTIONS,
    ALL,
    COUNTED,
    FILTERS_OF,
    NOT_EVALUATED,
    NOTIFY,
    OF_NOTICES,
    OF_REQUESTS,
    ONLY_EQ,
    PERIODS,
    REACTIONS_OF,
    REFUSED,
    TAKEN,
    clause,
    messages,
    obj,
    parse,
)


def test_the_tables_are_complete() -> None:
    assert set(ALL) == FILTERS_OF.keys() == REACTIONS_OF.keys() == CONDITIONS.keys()
    assert TAKEN.keys() == REFUSED.keys() == FILTERS.keys()
    assert ACTIONS.keys() == set(Reaction)


def test_each_condition_is_counted_matched_by_notices_or_not_evaluated() -> None:
    assert {name: condition.evaluation for name, condition in CONDITIONS.items()} == {
        **dict.fromkeys(COUNTED, Evaluation.COUNTING),
        **dict.fromkeys(OF_NOTICES, Evaluation.NOTICE_MATCHING),
        **dict.fromkeys(NOT_EVALUATED, Evaluation.NONE),
    }
    assert {name: CONDITIONS[name].notification_type for name in OF_NOTICES} == {
        "blacklist_ip_added": "ip_blocked",
        "api_structure_changed": "api_structure_changed",
        "rogue_api_detected": "api_comparison_result",
        "compromised_logins": "compromised_logins",
        "user_created": "create_user",
    }


# -- filters


@pytest.mark.parametrize("template_id", ALL)
@pytest.mark.parametrize("filter_id", TAKEN)
def test_a_condition_takes_its_own_filters_and_no_others(template_id: str, filter_id: str) -> None:
    written, stored = zip(*TAKEN[filter_id], strict=True)
    allowed = FILTERS_OF[template_id].split()
    if filter_id in allowed:
        (found,) = parse(template_id, filters=clause(filter_id, *written)).filters
        assert found == Filter(filter_id, "eq", tuple(dict.fromkeys(stored)))
        return
    why = f"must be one of {', '.join(allowed)}" if allowed else "no filter is allowed"
    assert messages(template_id, filters=clause(filter_id, *written)) == [
        f"filters[0].id: '{filter_id}': {why} for condition {template_id}"
    ]


@pytest.mark.parametrize(
    ("template_id", "filter_id", "operator"),
    [
        (name, one, operator)
        for name in ALL
        for one in FILTERS_OF[name].split()
        for operator in ("eq", "ne", "gt")
    ],
)
def test_an_operator_is_taken_or_refused(template_id: str, filter_id: str, operator: str) -> None:
    value, stored = TAKEN[filter_id][0]
    filters = clause(filter_id, value, operator=operator)
    allowed = ["eq"] if filter_id in ONLY_EQ else ["eq", "ne"]
    if operator in allowed:
        (found,) = parse(template_id, filters=filters).filters
        assert (found.operator, found.values) == (operator, (stored,))
        return
    why = f"must be one of {', '.join(allowed)} for filter {filter_id}"
    assert messages(template_id, filters=filters) == [f"filters[0].operator: '{operator}': {why}"]


@pytest.mark.parametrize(
    ("template_id", "filter_id", "value"),
    [
        (name, one, value)
        for name in ALL
        for one in FILTERS_OF[name].split()
        for value in REFUSED[one][1]
    ],
)
def test_a_value_is_refused_by_its_place(template_id: str, filter_id: str, value: object) -> None:
    good = TAKEN[filter_id][0][0]
    (message,) = messages(template_id, filters=clause(filter_id, good, value))
    assert message.startswith(f"filters[0].values[1]: {quoted(value)}: {REFUSED[filter_id][0]}")


@pytest.mark.parametrize("template_id", ALL)
@pytest.mark.parametrize("filter_id", ["asn", "", None, 5])
def test_an_unknown_filter_is_refused(template_id: str, filter_id: object) -> None:
    (message,) = messages(template_id, filters=clause(filter_id, 7))
    assert message.startswith("filters[0].id: ")
    assert message.endswith(f" for condition {template_id}")


def test_more_filters_and_actions_than_a_form_offers_are_no_error() -> None:
    filters = clause("pool", 7) * 7
    found = parse("hits_exceeded", filters=filters, actions=[NOTIFY] * 5)
    assert len(found.filters) == 7
    assert found.integration_ids == (521,)


# -- thresholds


@pytest.mark.parametrize("template_id", ALL)
def test_a_missing_threshold_is_refused_where_it_is_required(template_id: str) -> None:
    is_required = template_id in (*COUNTED, "vector_attack", "bruteforce_started")
    for changes in ({"threshold": None}, {}):
        record = obj(template_id)
        del record["threshold"]
        _, found = read_trigger(record | changes, allowed_periods=PERIODS)
        missing = ["threshold: is missing: must be an object, such as {count: 5, period: 60}"]
        assert [str(problem) for problem in found] == (missing if is_required else [])


@pytest.mark.parametrize("template_id", OF_NOTICES)
def test_a_condition_of_notices_takes_no_threshold(template_id: str) -> None:
    assert parse(template_id).threshold is None
    for threshold in ({"count": 1, "period": 60}, {}, 5):
        assert messages(template_id, threshold=threshold) == [
            f"threshold: {quoted(threshold)}: must not be given for condition {template_id}"
        ]


@pytest.mark.parametrize("template_id", [*COUNTED, *NOT_EVALUATED])
@pytest.mark.parametrize("period", [1, 29, 30, 45, 60, 90, 600, 900, 3600, 86400])
def test_a_period_is_allowed_or_a_multiple_of_the_step(template_id: str, period: int) -> None:
    in_steps = template_id in (*OF_REQUESTS, "attack_ip_grouping")
    is_taken = period % 30 == 0 if in_steps else period in PERIODS
    why = "a multiple of 30 (seconds)" if in_steps else "one of 1, 60, 3600, 86400 (seconds)"
    threshold = {"count": 50, "period": period, "operator": "gt", "allowed_operators": ["gt"]}
    if is_taken:
        assert parse(template_id, threshold=threshold).threshold == Threshold(50, period)
    else:
        assert messages(template_id, threshold=threshold) == [
            f"threshold.period: {period}: must be {why}"
        ]


@pytest.mark.parametrize("template_id", [*COUNTED, *NOT_EVALUATED])
@pytest.mark.parametrize(
    ("threshold", "path"),
    [
        ({"period": 60}, "threshold.count"),
        ({"count": -1, "period": 60}, "threshold.count"),
        ({"count": 1}, "threshold.period"),
        ({"count": 1, "period": 0}, "threshold.period"),
        ({"count": 1, "period": "60"}, "threshold.period"),
        ({"count": 1, "period": 60, "operator": "lt"}, "threshold.operator"),
        (5, "threshold"),
    ],
)
def test_a_bad_threshold_is_refused(template_id: str, threshold: object, path: str) -> None:
    (message,) = messages(template_id, threshold=threshold)
    assert message.startswith(f"{path}: ")
