"""Whatever stands in a field, the message has the file, the line and the object, and our words."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stream_app.cli.configuration.files import read_objects
from stream_app.cli.configuration.yaml_values import dump_all
from stream_app.domain.configuration.fields import listed
from stream_app.domain.errors import ConfigurationError
from stream_app.domain.plans.from_files import read_file_configuration
from tests.unit.cli.configuration.importing import PERIODS, Place
from tests.unit.domain.plans.planning import client, integration, trigger

ALERT = {"priority": "P1", "tags": ["a"], "responders": [{"type": "team", "name": "b"}]}
FILTER = {"id": "attack_type", "operator": "eq", "values": ["sqli"]}
VALID: list[dict[str, Any]] = [
    client(applications={"7": "Shop"}),
    integration(alert=ALERT),
    trigger(template_id="attacks_exceeded", filters=[FILTER], comment=""),
]
WRONG: list[Any] = [None, True, -1, 2**63, 1.5, "", "1" * 300, "a\x1b", [], {}, [None], {"a": {}}]
#: Words of the language that this is written in, and of its libraries.
NOT_OURS = re.compile(
    r"\b(dict|NoneType|str|int|bool|float|None|True|False|tuple|object at|Error)\b"
)
BEGIN = re.compile(
    r"\S+\.(json|yaml):\d+: "
    r"(object \d+|(client|integration|trigger)( -?\d+|, object \d+)): [a-z_]+[\w.\[\]-]*: "
)


def _with_wrong_values(obj: Any) -> Iterator[Any]:
    """Yield copies of an object with each value in it replaced by each wrong one."""
    if isinstance(obj, dict | list):
        for key in obj if isinstance(obj, dict) else range(len(obj)):
            for value in (*WRONG, *_with_wrong_values(obj[key])):
                changed = copy.copy(obj)
                changed[key] = value
                yield changed


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_wrong_value_is_reported_in_words_of_a_person(form: str, tmp_path: Path) -> None:
    objects = [wrong for valid in VALID for wrong in _with_wrong_values(valid)]
    file = tmp_path / f"wrong.{form}"
    file.write_text(json.dumps(objects, indent=1) if form == "json" else dump_all(objects))
    place = Place(tmp_path)
    found = read_objects([str(file)])
    plan = place.plan_of(found)
    assert len(plan.problems) > len(objects) / 2
    assert [text for text in plan.problems if not BEGIN.match(text)] == []
    assert [text for text in plan.problems if NOT_OURS.search(text)] == []
    with pytest.raises(ConfigurationError) as caught:
        read_file_configuration(found, allowed_periods=PERIODS)
    assert not NOT_OURS.search(str(caught.value))


@pytest.mark.parametrize(
    ("obj", "path", "example"),
    [
        (integration(events=["system"]), "events[0]", "{event: system, active: true}"),
        (integration(events={"system": True}), "events", "[{event: system, active: true}]"),
        (
            integration(events=[{"active": True}]),
            "events[0].event",
            "{event: system, active: true}",
        ),
        (
            integration(target="x"),
            "target",
            "{api: https://api.eu.opsgenie.com/v2/alerts, token: KEY}",
        ),
        (trigger(threshold=5), "threshold", "{count: 5, period: 60}"),
        (
            trigger(filters=["sqli"]),
            "filters[0]",
            "{id: attack_type, operator: eq, values: [sqli]}",
        ),
        (
            trigger(actions=[521]),
            "actions[0]",
            "{id: send_notification, params: {integration_ids: [521]}}",
        ),
        (client(applications=["Shop"]), "applications", "{7: Shop}"),
    ],
)
def test_the_message_on_a_wrong_object_has_a_valid_one(
    obj: dict[str, Any], path: str, example: str, tmp_path: Path
) -> None:
    texts = Place(tmp_path).problems([obj])
    (text,) = [
        text for text in texts if (f": {path}: " in text and "such" in text) or "as in" in text
    ]
    assert text.endswith(f" {example}")


def test_an_object_that_stands_twice_names_both_lines(tmp_path: Path) -> None:
    file = tmp_path / "acme.yaml"
    file.write_text("client_id: 1\nname: a\ncloud: EU\n---\nclient_id: 1\nname: a\ncloud: EU\n")
    (problem,) = Place(tmp_path).plan_of(read_objects([str(file)])).problems
    assert problem == f"{file}:5: client 1: id: 1: stands twice, first in {file}:1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"triggers": [\n7]}',
            r":2: object 1: triggers\[0\]: is a number: must have named fields",
        ),
        (
            "- id: 1\n- x\n",
            r":2: object 2: is a text: must be a client, an integration or a trigger",
        ),
    ],
)
def test_what_is_no_object_is_named_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "acme.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        read_objects([str(file)])


def test_a_folder_an_empty_name_and_a_closed_stdin_are_said_to_be_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="is a folder: give the files in it"):
        read_objects([str(tmp_path)])
    with pytest.raises(ConfigurationError, match="the name of a file is empty: is a variable"):
        read_objects([""])
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(ConfigurationError, match="<stdin>: is closed"):
        read_objects(["-"])


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1\n"b": 2}',
        '[{"a": [1, 2}]',
        '{"a": 1,, "b": {c: 1}}',
        '{"a": 010 "b": 1}',
        '{"a": 1',
    ],
)
def test_broken_json_gets_the_error_of_json_whatever_its_name(text: str, tmp_path: Path) -> None:
    for name in ("a.json", "a.yaml", "a"):
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigurationError, match=": read as JSON: "):
            read_objects([str(tmp_path / name)])


def test_many_problems_are_counted_and_not_all_listed() -> None:
    assert listed(["a", "b"]) == "2 wrong:\n  a\n  b"
    lines = listed([str(number) for number in range(2000)]).splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("2,000 wrong:", "  and 1,900 more", 102)
