"""Names with invisible characters are refused in a person's files."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.domain.configuration.invisible_characters import invisible_characters
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.plans.file_object import FileObject
from stream_app.domain.plans.plan import Plan, PlanRules
from stream_app.domain.plans.planner import make_plan
from tests.unit.domain.plans.planning import KEEPER, NOW, check_api, client, integration, trigger

INVISIBLE = (
    "\u200b", "\u2060", "\ufeff", "\u202e", "\u2066", "\u200e", "\u061c", "\u00ad", "\u200d",
    "\u200c", "\u3164", "\u115f", "\u2028", "\x00", "\x1b", "\t", "\n", "\x85", "\U000e0041",
)  # fmt: skip


def planned(*objects: dict[str, Any]) -> Plan:
    items = [FileObject("a.yaml", number, obj) for number, obj in enumerate(objects, 1)]
    rules = PlanRules(NOW, (1, 60), KEEPER, check_api)
    return make_plan(items, {kind: {} for kind in Kind}, rules)


@pytest.mark.parametrize("character", INVISIBLE)
def test_a_name_with_an_invisible_character_is_refused_with_its_path(character: str) -> None:
    text = f"On{character}call"
    responders = [{"type": "team", "name": text}, {"type": "user", "username": text}]
    alert = {"entity": text, "tags": ["vpn", text], "responders": responders, "source": text}
    plan = planned(
        client(name=text, applications={7: "Shop", 8: text}),
        integration(name=text, alert=alert),
        trigger(name=text, comment=text),
    )
    places = {": ".join(problem.split(": ")[1:3]) for problem in plan.problems}
    assert places == {
        "client 1111: name",
        "client 1111: applications.8",
        "integration 521: name",
        "integration 521: alert.entity",
        "integration 521: alert.source",
        "integration 521: alert.tags[1]",
        "integration 521: alert.responders[0].name",
        "integration 521: alert.responders[1].username",
        "trigger 61: name",
    }
    (problem,) = [problem for problem in plan.problems if "client 1111: name" in problem]
    assert f"has characters that nobody sees: take out U+{ord(character):04X}" in problem
    assert character not in problem


def test_a_named_key_with_an_invisible_character_is_refused() -> None:
    plan = planned(client(), integration("file:1111/on\u200bcall"))
    assert [": ".join(problem.split(": ")[1:3]) for problem in plan.problems] == [
        "integration 521: target.token"
    ]


def test_the_line_break_that_a_block_scalar_leaves_is_no_part_of_a_name() -> None:
    plan = planned(
        client(name="Acme\n", applications={7: "Shop\r\n"}),
        integration("env:STREAM_APP_KEY_1111_A\n", name="On-call\n"),
        trigger(name="Incidents\n\n"),
    )
    assert plan.problems == ()
    acme, on_call, incidents = (change.record or {} for change in plan.changes)
    assert (acme["name"], acme["applications"]) == ("Acme", {7: "Shop"})
    assert on_call["name"] == "On-call"
    assert on_call["target"]["token"] == "env:STREAM_APP_KEY_1111_A"  # type: ignore[index]
    assert incidents["name"] == "Incidents"


@pytest.mark.parametrize(
    "name",
    ["Caf\u00e9", "\u65e5\u672c", "\u0646\u0627\u0645\u0647\u200c\u0647\u0627", "a\u00a0b",
     "1\ufe0f\u20e3",
     "\U0001f469\u200d\U0001f4bb team", "R&D  Ops <EU>"],
)  # fmt: skip
def test_visible_characters_may_stand_in_a_name(name: str) -> None:
    """Persian separates letters with a joiner, and some emoji consist of several."""
    assert invisible_characters(name) == []
    assert planned(client(name=name)).problems == ()


def test_what_is_stored_already_stays_as_it_is() -> None:
    stored: Any = {kind: {} for kind in Kind}
    stored[Kind.CLIENT][1111] = client(name="Ac\u200bme")
    rules = PlanRules(NOW, (1, 60), KEEPER, check_api)
    plan = make_plan([FileObject("a.yaml", 1, trigger(actions=[]))], stored, rules)
    assert plan.problems == ()


def test_of_many_invisible_characters_only_some_are_named() -> None:
    (problem,) = planned(client(name="A" + "".join(INVISIBLE))).problems
    assert problem.endswith("…")
    assert len(problem) < 400
