"""What is said about a broken record, and that no key is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stream_app.contract.checking import MAX_BREACHES, Breach, Checker
from stream_app.contract.records import RecordName, record_of
from stream_app.setting_groups import DetectorSettings
from tests.contract.write import EXAMPLES

PERIODS = DetectorSettings().allowed_periods
KEY = "00000000-1111-2222-3333-444444444444"


def breaches(name: str, obj: Any, key: bytes | None = None) -> list[Breach]:
    value = obj if isinstance(obj, bytes) else json.dumps(obj).encode()
    return Checker(RecordName(name), PERIODS).check(value, key)


def example(name: str, stem: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXAMPLES / name / f"{stem}.json").read_text())
    return found


def test_a_breach_names_place_path_value_and_what_is_allowed() -> None:
    good = {"client_id": 1}
    events = [good, good | {"sampled": "no"}, good | {"remote_addr4": 7}]
    assert breaches("hit", events) == [
        Breach(1, "sampled", '"no"', "must be boolean or null"),
        Breach(2, "remote_addr4", "7", "must be string or null"),
    ]
    count = example("count", "invalid-no-window")
    assert breaches("count", count) == [Breach(None, "triggers[0].windows", "", "is missing")]


def test_the_lines_of_a_record_are_told_apart() -> None:
    value = b'{"client_id": 1}\n{"client_id": 1,\n{"client_id": 2}'
    assert [(one.part, one.path) for one in breaches("hit", value)] == [(1, "")]


def test_the_decoder_reports_what_no_schema_can_say() -> None:
    assert breaches("hit", b'{"client_id": 1, "response_status": 404.0}') == [
        Breach(None, "response_status", "", "wrong_type: Expected `int | null`, got `float`")
    ]
    trigger = example("trigger", "valid-incidents")
    trigger["filters"] = [{"id": "ip_address", "operator": "eq", "values": ["10.0.0.0/8"]}]
    trigger["threshold"]["period"] = 7
    assert [(one.path, one.value) for one in breaches("trigger", trigger)] == [
        ("filters[0].values[0]", '"10.0.0.0/8"'),
        ("threshold.period", "7"),
    ]


def test_a_record_or_a_rest_refused_as_a_whole_is_reported_as_a_whole() -> None:
    event = b'{"client_id": 1}'
    (found,) = breaches("hit", b"[" + b",".join([event] * 300_000) + b"]")
    assert (found.part, found.allowed[:34]) == (None, "too_large: the record has 5100001 ")
    *bad, last = breaches("hit", b"[" + b"1," * 3000 + event + b"]")
    assert {one.allowed for one in bad} == {"must be object"}
    assert (last.part, last.allowed[:36]) == (1000, "unread: the rest of the record: 1000")


def test_a_mistyped_attack_type_gets_the_nearest_one() -> None:
    trigger = example("trigger", "invalid-attack-type")
    (found,) = breaches("trigger", trigger)
    assert found.path == "filters[0].values[0]"
    assert "did you mean sqli?" in found.allowed


def test_the_form_of_the_api_is_read_as_the_workers_read_it() -> None:
    trigger = example("trigger", "valid-incidents")
    client_id = trigger.pop("client_id")
    assert breaches("trigger", {"trigger": trigger, "clientid": client_id}) == []


def test_a_value_that_is_no_json_is_reported_without_its_bytes() -> None:
    for name in ("hit", "client", "alert", "delivery"):
        (found,) = breaches(name, f'{{"token": "{KEY}'.encode())
        assert found.value == ""
        assert KEY not in str(found)


@pytest.mark.parametrize("name", RecordName)
@pytest.mark.parametrize("value", [b"", b"null", b"7", b'"x"', b"[[]]", b"{", b"\xff", b"[" * 5000])
def test_no_value_stops_the_check(name: RecordName, value: bytes) -> None:
    assert Checker(name, PERIODS).check(value) != []


def test_an_unknown_field_that_is_nested_deeply_is_ignored_as_the_decoder_does() -> None:
    deep = b"[" * 400 + b"]" * 400
    assert breaches("hit", b'{"client_id": 1, "x": ' + deep + b"}") == []


def test_half_a_surrogate_pair_in_a_field_is_no_breach() -> None:
    assert breaches("hit", rb'{"client_id": 1, "path": "\ud800"}') == []


def test_a_tombstone_deletes_a_configured_object_and_is_no_event() -> None:
    for name in (RecordName.TRIGGER, RecordName.INTEGRATION_STATUS):
        assert Checker(name, PERIODS).check(None, b"61") == []
    assert Checker(RecordName.HIT, PERIODS).check(None) != []


def test_the_key_of_a_configured_object_is_its_id() -> None:
    trigger = example("trigger", "valid-incidents")
    assert breaches("trigger", trigger, b"61") == []
    assert breaches("trigger", trigger, b"62") == [
        Breach(None, "(key)", '"62"', "must be the id, 61")
    ]


@pytest.mark.parametrize(
    "broken",
    [
        {"target": {"api": "x", "token": KEY}},
        {"target": {"api": KEY, "token": KEY}},
        {"target": KEY},
        {"target": {"api": 7, "token": [KEY]}},
        {"target": {"token": KEY}, "name": 7, "type": KEY},
        {"target": {"token": KEY}, "events": [{"event": f"a {KEY} z", "active": True}]},
        {"target": {"token": KEY}, "alert": {"tags": [f"{KEY},{KEY}" * 3], "priority": KEY}},
        {"target": {"token": KEY}, "alert": {"responders": [{"type": "team", KEY: KEY}]}},
    ],
)
@pytest.mark.parametrize("name", ["integration", "trigger", "client"])
def test_a_key_is_never_shown(name: str, broken: dict[str, Any]) -> None:
    obj = example("integration", "valid-full") | broken
    found = breaches(name, obj)
    assert found
    assert KEY[:8] not in str(found)


def test_a_record_with_very_many_breaches_shows_the_first() -> None:
    obj = example("alert", "valid-trigger") | {"integration_ids": ["x"] * 1000}
    assert len(breaches("alert", obj)) == MAX_BREACHES


def test_the_record_of_a_topic_follows_from_its_name() -> None:
    assert record_of("demo.events.hits", "demo.") is RecordName.HIT
    assert record_of("events.hits", "demo.") is None
    assert record_of("demo.deliveries.dlq", "demo.") is RecordName.DEAD_LETTER
    assert record_of("counts.dlq", "") is None
