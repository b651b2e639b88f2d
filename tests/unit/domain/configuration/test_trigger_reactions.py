"""Every condition with every reaction: taken or refused, and its effect if it is kept."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest

from stream_app.domain.alerts.alert import encode_alert, fired_alert
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.configuration.triggers import read_trigger
from stream_app.domain.counting.matching import TriggerIndex
from stream_app.domain.events.model import COUNTING_CONDITIONS, EventKind
from stream_app.domain.foreign_text.printable import quoted
from stream_app.domain.notices.config_changes import NoticeType, differences, remembered
from tests.unit.domain.objects import parse_client
from tests.unit.domain.trigger_tables import (
    ACTIONS,
    ALL,
    COUNTED,
    NOTIFY,
    PERIODS,
    REACTIONS_OF,
    messages,
    obj,
    parse,
)


@pytest.mark.parametrize("template_id", ALL)
@pytest.mark.parametrize("reaction", ACTIONS)
def test_a_condition_takes_its_own_reactions_and_no_others(template_id: str, reaction: str) -> None:
    allowed = REACTIONS_OF[template_id].split()
    actions = [ACTIONS[reaction]]
    if reaction not in allowed:
        why = f"must be one of {', '.join(allowed)} for condition {template_id}"
        assert messages(template_id, actions=actions) == [f"actions[0].id: '{reaction}': {why}"]
        return
    found = parse(template_id, actions=actions)
    is_notification = reaction == "send_notification"
    assert found.integration_ids == ((521,) if is_notification else ())
    assert found.other_reactions == (() if is_notification else (reaction,))


@pytest.mark.parametrize("template_id", ALL)
def test_an_unknown_reaction_is_refused(template_id: str) -> None:
    allowed = ", ".join(REACTIONS_OF[template_id].split())
    why = f"must be one of {allowed} for condition {template_id}"
    assert messages(template_id, actions=[{"id": "run_script"}]) == [
        f"actions[0].id: 'run_script': {why}"
    ]


def test_an_unknown_condition_is_the_only_problem_that_is_reported() -> None:
    record = obj("vector_attack") | {"template_id": "weak_jwt"}
    _, found = read_trigger(record, allowed_periods=PERIODS)
    (message,) = map(str, found)
    assert (
        message == f"template_id: 'weak_jwt': condition is unknown: must be one of {', '.join(ALL)}"
    )


@pytest.mark.parametrize("reaction", ["block_ips", "add_to_graylist"])
@pytest.mark.parametrize(
    ("params", "path"),
    [
        (None, "actions[0].params"),
        ([], "actions[0].params"),
        ({}, "actions[0].params.lock_time"),
        ({"lock_time": None}, "actions[0].params.lock_time"),
        ({"lock_time": -1}, "actions[0].params.lock_time"),
        ({"lock_time": "3600"}, "actions[0].params.lock_time"),
        ({"lock_time": True}, "actions[0].params.lock_time"),
        ({"lock_time": 0.5}, "actions[0].params.lock_time"),
    ],
)
def test_a_time_on_a_list_is_a_number_of_seconds(reaction: str, params: object, path: str) -> None:
    (message,) = messages("vector_attack", actions=[{"id": reaction, "params": params}])
    assert message.startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("template_id", "reaction"),
    [("bruteforce_started", "mark_as_brute"), ("attack_ip_grouping", "group_attack_by_ip")],
)
def test_a_mark_and_a_group_have_no_parameters(template_id: str, reaction: str) -> None:
    empty: list[object] = [None, {}, {"lock_time": None, "integration_ids": None}]
    for params in empty:
        assert parse(template_id, actions=[{"id": reaction, "params": params}]).other_reactions
    given: list[object] = [{"lock_time": 5}, [], "x"]
    for params in given:
        assert messages(template_id, actions=[{"id": reaction, "params": params}]) == [
            f"actions[0].params: {quoted(params)}: must not be given: {reaction} has none"
        ]


def test_each_reaction_and_integration_is_kept_once() -> None:
    second = {"id": "send_notification", "params": {"integration_ids": [7, 521]}}
    block = ACTIONS["block_ips"]
    found = parse("vector_attack", actions=[NOTIFY, block, second, block])
    assert found.integration_ids == (521, 7)
    assert found.other_reactions == ("block_ips",)


# -- effects


def test_only_triggers_of_counted_conditions_reach_the_counting() -> None:
    triggers = [parse(name, id=number) for number, name in enumerate(ALL, 1)]
    for kind in EventKind:
        index = TriggerIndex(kind, {1111}, triggers)
        found = [compiled.trigger.template_id for compiled in index.clients[1111].triggers]
        assert found == [COUNTING_CONDITIONS[kind]]


@pytest.mark.parametrize("template_id", COUNTED)
def test_a_counting_trigger_that_also_blocks_counts_and_notifies_as_before(
    template_id: str,
) -> None:
    client = parse_client({"client_id": 1111, "name": "Acme", "cloud": "EU"})
    plain = parse(template_id)
    blocking = parse(template_id, actions=[NOTIFY, ACTIONS["block_ips"]])
    assert blocking.revision == plain.revision
    alert = fired_alert(client, blocking, 1767225600)
    assert encode_alert(alert) == encode_alert(fired_alert(client, plain, 1767225600))
    assert alert.integration_ids == (521,)
    assert blocking.not_evaluated == ("reaction block_ips",)
    assert not blocking.tells_nobody


BLOCK = [ACTIONS["block_ips"], ACTIONS["add_to_graylist"]]
NOBODY = "tells nobody: no integration is named"
NAMES_NOBODY = [{"id": "send_notification", "params": {"integration_ids": []}}]


@pytest.mark.parametrize(
    ("template_id", "actions", "text"),
    [
        ("hits_exceeded", [NOTIFY], ""),
        ("user_created", [NOTIFY], ""),
        ("user_created", [], NOBODY),
        ("hits_exceeded", NAMES_NOBODY, NOBODY),
        ("hits_exceeded", [NOTIFY, *BLOCK[:1]], "not evaluated here: reaction block_ips"),
        (
            "hits_exceeded",
            BLOCK,
            f"not evaluated here: reaction block_ips, reaction add_to_graylist; {NOBODY}",
        ),
        ("vector_attack", [NOTIFY], "not evaluated here: condition vector_attack"),
        (
            "vector_attack",
            [NOTIFY, *BLOCK[:1]],
            "not evaluated here: condition vector_attack, reaction block_ips",
        ),
        (
            "attack_ip_grouping",
            [ACTIONS["group_attack_by_ip"]],
            "not evaluated here: condition attack_ip_grouping, reaction group_attack_by_ip",
        ),
    ],
)
def test_parts_without_effect_are_noted(
    template_id: str, actions: list[dict[str, Any]], text: str
) -> None:
    trigger, _ = read_trigger(obj(template_id, actions=actions), allowed_periods=())
    assert "; ".join(trigger.notes) == text


def test_notes_are_made_of_any_record() -> None:
    trigger, _ = read_trigger({"actions": 5}, allowed_periods=())
    assert trigger.notes == ("not evaluated here: condition None",)


@pytest.mark.parametrize("template_id", ALL)
def test_a_trigger_of_every_condition_is_announced(template_id: str) -> None:
    first = obj(template_id)
    second = copy.deepcopy(first)
    second["actions"][0].setdefault("params", {})["note"] = "changed"
    known = [None, remembered(Kind.TRIGGER, first), remembered(Kind.TRIGGER, second), None]
    found = [differences(Kind.TRIGGER, *pair) for pair in itertools.pairwise(known)]
    assert [[difference.type for difference in step] for step in found] == [
        [NoticeType.TRIGGER_CREATE],
        [NoticeType.TRIGGER_UPDATE],
        [NoticeType.TRIGGER_DELETE],
    ]
