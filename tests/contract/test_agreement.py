"""Schemas and decoders agree on generated records: both accept one, or both refuse it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import hypothesis
import jsonschema_rs
import pytest
from hypothesis import strategies as st

from stream_app.contract.decoders import Decoder, Refusal, decoder_of
from stream_app.contract.records import RecordName
from stream_app.domain.catalog.attack_types import ATTACK_TYPES
from stream_app.domain.catalog.conditions import CONDITIONS, FILTERS, Reaction
from stream_app.domain.catalog.filter_values import SENSITIVE_DATA, STATUS_CLASSES, TARGETS
from stream_app.setting_groups import DetectorSettings
from tests.contract.schemas.filter_values import ROLE_TEXTS
from tests.contract.schemas.record_schemas import record_schema
from tests.contract.write import examples
from tests.examples import examples as number_of

PERIODS = sorted(DetectorSettings().allowed_periods)
VALIDATORS = {name: jsonschema_rs.Draft202012Validator(record_schema(name)) for name in RecordName}
DECODERS: dict[RecordName, Decoder] = {name: decoder_of(name, PERIODS) for name in RecordName}
VALID = {name: [json.loads(p.read_text()) for p in examples(name, "valid")] for name in RecordName}
#: Values of every type, and texts on the edge of a rule. No `1.0`: to a schema that is an integer.
JUNK: list[Any] = [
    None, True, False, 0, -1, -2, 1, 99, 600, 1.5, 10**15, "", " ", "\u00a0", "\x1c", "x", "-1",
    "+7", "007", "7", "a,b", "a/b", " a ", "SQLI", "4XX", "Server", "eq", "ne", "gt", "P1",
    "user", "team", "id", "High", "vuln", "vuln_low", "security_issue", "env:STREAM_APP_KEY_DIR",
    "env:STREAM_APP_KEY_1111_A", "file:1111/a b", "sealed:v1:", "x" * 101, [], {}, [None], ["x"],
    [1],
    [[]], {"id": 1}, {"risk": "low"}, {"threat": 7},
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value within a value."""
    yield path
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(part, (*path, key))


def mutated(draw: st.DrawFn, value: Any) -> Any:
    """Return a value with something put in, taken out or renamed at one of its places."""
    path = draw(st.sampled_from(list(places(value))))
    junk = copy.deepcopy(draw(st.sampled_from(JUNK)))
    if not path:
        return junk
    found = value
    for step in path[:-1]:
        found = found[step]
    how = draw(st.sampled_from(["replace", "replace", "delete", "rename"]))
    if how == "replace":
        found[path[-1]] = junk
    else:
        part = found.pop(path[-1])
        if how == "rename" and isinstance(found, dict):
            found[str(junk)] = part
    return value


@st.composite
def broken(draw: st.DrawFn, name: RecordName) -> Any:
    """Return a valid record with up to three mutations."""
    value = copy.deepcopy(draw(st.sampled_from(VALID[name])))
    for _ in range(draw(st.integers(1, 3))):
        value = mutated(draw, value)
    return value


def is_beyond_schemas(refusal: Refusal) -> bool:
    """Tell whether no schema can say a rule: of addresses, of periods, and of two times."""
    is_address = "IPv4" in refusal.problem and isinstance(refusal.value, str)
    is_period = refusal.path == "threshold.period" and "must be one of" in refusal.problem
    is_order = "must be longer than repeat_seconds" in refusal.problem
    return is_address or is_period or is_order


def check(name: RecordName, obj: Any) -> None:
    value = json.dumps(obj).encode()
    refusals = [one for _, _, found in DECODERS[name](value, None) for one in found]
    expressible = [one for one in refusals if not is_beyond_schemas(one)]
    errors = [e.message[-300:] for e in VALIDATORS[name].iter_errors(obj)]
    assert bool(errors) == bool(expressible), (errors, expressible)


@pytest.mark.parametrize("name", RecordName)
@hypothesis.settings(max_examples=number_of(200))
@hypothesis.given(data=st.data())
def test_a_mutated_record_is_taken_by_both_or_by_none(
    name: RecordName, data: st.DataObject
) -> None:
    check(name, data.draw(broken(name)))


VALUES: dict[str, list[Any]] = {
    "attack_type": [*ATTACK_TYPES, "SQLI", "Enum", "sqlo", "", None, 1],
    "pool": [-1, 0, 7, -2, True, "7", None],
    "ip_address": ["203.0.113.10", " 2001:DB8::1 ", "10.0.0.0/8", 7, None],
    "domain": ["shop.acme.example", " Shop.Acme.Example ", "a b", "a/b", "", " ", 7],
    "response_status": [100, 599, 99, 600, *STATUS_CLASSES, "5XX", "6xx", "404", True, None],
    "target": [*TARGETS, "Server", "", "both", 1],
    "change_type": ["added", "Changed", "excluded", "UNUSED", "new", None],
    "pii": [*SENSITIVE_DATA, "cvv", "shoe_size", 1],
    "deviation_type": ["shadow", "Zombie", "orphan", "ghost", 1],
    "api_spec_ids": [1, 15, 0, "15", True, None],
    "role": [*ROLE_TEXTS, " Global  Administrator ", "Read\tonly", "king", "", 1],
    "hint_tag": ["b:1:2", "", " ", 1],
    "url": ["/login", "", "\u3000", None],
}
#: Mostly good, so that what is refused is not refused for an id.
IDS = st.sampled_from([*range(1, 40), 0, -1, None, "1", True])
PERIOD_VALUES: list[Any] = [*PERIODS, 7, 30, 90, 0, None]


@st.composite
def filters(draw: st.DrawFn) -> Any:
    name = draw(st.sampled_from([*FILTERS, "unknown"]))
    values = VALUES.get(name, ["x"])
    return {
        "id": name,
        "operator": draw(st.sampled_from(["eq", "ne", "eq", "ne", "in"])),
        "values": draw(st.lists(st.sampled_from(values), max_size=4)),
    }


@st.composite
def actions(draw: st.DrawFn) -> Any:
    notified = {"integration_ids": draw(st.lists(IDS, max_size=3))}
    locked = {"lock_time": draw(st.sampled_from([0, 3600, -1, None, "1"]))}
    ways: list[Any] = [notified, locked, {}, None, {"note": None}, []]
    found = {"id": draw(st.sampled_from([*(name.value for name in Reaction), "unknown"]))}
    return found | ({"params": draw(st.sampled_from(ways))} if draw(st.integers(0, 4)) else {})


@st.composite
def triggers(draw: st.DrawFn) -> Any:
    found: dict[str, Any] = {
        "id": 61,
        "client_id": draw(IDS),
        "name": "SQLi burst",
        "enabled": draw(st.booleans()),
        "template_id": draw(st.sampled_from([*CONDITIONS, "unknown"])),
        "actions": draw(st.lists(actions(), max_size=2)),
    }
    if draw(st.booleans()):
        found["filters"] = draw(st.lists(filters(), max_size=3))
    if draw(st.integers(0, 3)):
        period = draw(st.sampled_from(PERIOD_VALUES))
        found["threshold"] = {"count": draw(st.integers(-1, 3)), "period": period}
        if draw(st.booleans()):
            found["threshold"]["operator"] = draw(st.sampled_from(["gt", "lt", None]))
    return found


def test_all_filters_are_among_the_generated_ones() -> None:
    assert VALUES.keys() == FILTERS.keys()


@hypothesis.settings(max_examples=number_of(500))
@hypothesis.given(triggers())
def test_a_generated_trigger_is_taken_by_both_or_by_none(trigger: Any) -> None:
    check(RecordName.TRIGGER, trigger)


@pytest.mark.parametrize("option", ["entity", "source"])
@pytest.mark.parametrize("text", ["", "api", "\x1c", "a\nb", "a\u202eb", "\ufeff", "\u00e9", "-"])
def test_the_text_of_an_option_is_taken_by_both_or_by_none(option: str, text: str) -> None:
    obj = copy.deepcopy(VALID[RecordName.INTEGRATION][0])
    check(RecordName.INTEGRATION, obj | {"alert": {option: text}})
