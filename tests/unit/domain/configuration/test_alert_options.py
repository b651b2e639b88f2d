from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stream_app.domain.configuration.alert_options import (
    NO_OPTIONS,
    AlertOptions,
    Priority,
    Responder,
    ResponderType,
)
from stream_app.domain.configuration.integrations import read_integration
from stream_app.domain.configuration.known_fields import unknown_paths
from stream_app.domain.delivery.records import Delivery, decode_delivery, encode_delivery

ON_CALL: dict[str, Any] = {
    "id": 521,
    "client_id": 1111,
    "name": "On-call EU",
    "active": True,
    "type": "opsgenie",
    "target": {"token": "file:1111/acme", "api": "https://api.eu.opsgenie.com/v2/alerts"},
    "events": [],
}
ALL: dict[str, Any] = {
    "priority": "P2",
    "tags": ["waf", "t" * 50],
    "responders": [
        {"type": "team", "id": "t1"},
        {"type": "schedule", "name": "Nights"},
        {"type": "user", "username": "ann@acme.example"},
    ],
    "entity": "shop",
    "source": "acme-waf",
}


def read(alert: object) -> tuple[AlertOptions, list[str]]:
    integration, problems = read_integration(ON_CALL | {"alert": alert})
    return integration.alert, [str(problem) for problem in problems]


def unknown(alert: object) -> list[str]:
    return unknown_paths("integration", {"alert": alert})


def test_all_options_are_read() -> None:
    expected = AlertOptions(
        Priority.P2,
        ("waf", "t" * 50),
        (
            Responder(ResponderType.TEAM, id="t1"),
            Responder(ResponderType.SCHEDULE, name="Nights"),
            Responder(ResponderType.USER, username="ann@acme.example"),
        ),
        "shop",
        "acme-waf",
    )
    assert read(ALL) == (expected, [])


@pytest.mark.parametrize("alert", [None, {}, dict.fromkeys(ALL)])
def test_what_is_not_set_is_empty(alert: object) -> None:
    assert read(alert) == (AlertOptions(), [])


@pytest.mark.parametrize(
    ("alert", "problem"),
    [
        ("P1", "alert: 'P1': must be an object"),
        ({"priority": "P0"}, "alert.priority: 'P0': must be one of P1, P2, P3, P4, P5"),
        ({"priority": 1}, "alert.priority: 1: must be one of P1, P2, P3, P4, P5"),
        ({"tags": "waf"}, "alert.tags: 'waf': must be a list"),
        ({"tags": ["a", "b,c"]}, "alert.tags[1]: 'b,c': must be a text of 1 to 50 characters"),
        ({"tags": [" "]}, "alert.tags[0]: ' ': must be a text of 1 to 50 characters"),
        ({"tags": ["😀" * 26]}, "alert.tags[0]: "),
        ({"tags": ["t"] * 21}, "alert.tags: 21: must be at most 20 tags"),
        ({"entity": 7}, "alert.entity: 7: must be a text"),
        ({"entity": "e" * 513}, "must be a text of at most 512 characters"),
        ({"source": "s" * 101}, "must be a text of at most 100 characters"),
        ({"responders": ["team"]}, "alert.responders[0]: 'team': must be an object"),
        (
            {"responders": [{"type": "group", "id": "x"}]},
            "alert.responders[0].type: 'group': must be one of team, user, escalation, schedule",
        ),
        (
            {"responders": [{"type": "team"}]},
            "alert.responders[0].name: []: must be given, or id instead of it",
        ),
        (
            {"responders": [{"type": "user", "name": "Ann"}]},
            "alert.responders[0].username: ['name']: must be given, or id instead of it",
        ),
        ({"responders": [{"type": "team", "id": "t", "name": "T"}]}, "alert.responders[0].name"),
        ({"responders": [{"type": "team", "name": " "}]}, "alert.responders[0].name: ' ': must be"),
        ({"responders": [{"type": "team", "id": "t"}] * 51}, "must be at most 50 responders"),
        ({"tags": ["a\tb"]}, "alert.tags[0]: 'a\\tb': must have no control characters"),
        ({"tags": ["a\u202eb"]}, "alert.tags[0]: 'a\\u202eb': must have no control characters"),
        ({"entity": "a\nb"}, "alert.entity: 'a\\nb': must have no control characters"),
        ({"source": "a\x00b"}, "alert.source: 'a\\x00b': must have no control characters"),
        (
            {"responders": [{"type": "team", "name": "SOC\u2028EU"}]},
            "alert.responders[0].name: 'SOC\\u2028EU': must have no control characters",
        ),
        (
            {"responders": [{"type": "user", "username": "ann\ud800@acme.example"}]},
            "alert.responders[0].username: 'ann\\ud800@acme.example': must have no control",
        ),
    ],
)
def test_what_breaks_a_rule_is_named_with_what_is_allowed(alert: object, problem: str) -> None:
    _, problems = read(alert)
    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize("text", ["SOC <EU>", "R&D  Ops", " led by a blank", "café", "a\u200db"])
def test_other_texts_are_taken_as_they_are(text: str) -> None:
    responder = Responder(ResponderType.TEAM, name=text)
    options, problems = read(
        {
            "tags": [text],
            "entity": text,
            "source": text,
            "responders": [{"type": "team", "name": text}],
        }
    )
    assert problems == []
    assert options == AlertOptions(tags=(text,), responders=(responder,), entity=text, source=text)


def test_unknown_names_are_passed_over_by_readers_and_noted_for_people() -> None:
    alert = {"prioirty": "P1", "responders": [{"type": "team", "id": "t", "nmae": "T"}]}
    assert read(alert)[1] == []
    assert unknown(alert) == ["alert.prioirty", "alert.responders[0].nmae"]
    assert [unknown(known) for known in (ALL, None, "P1", {"responders": ["x"]})] == [
        [],
        [],
        [],
        [],
    ]


def test_a_delivery_keeps_the_options_and_one_without_them_is_as_it_was() -> None:
    options, _ = read(ALL)
    delivery = Delivery("a/521", "a", 1111, 521, "m", "d", {}, 3, options)
    assert decode_delivery(encode_delivery(delivery)) == delivery
    old = {
        "id": "a/521",
        "alert_id": "a",
        "client_id": 1111,
        "integration_id": 521,
        "message": "m",
        "description": "d",
        "details": {},
        "epoch": 3,
    }
    plain = msgspec.structs.replace(delivery, options=NO_OPTIONS)
    assert decode_delivery(msgspec.json.encode(old)) == plain
    assert msgspec.json.decode(encode_delivery(plain)) == old
