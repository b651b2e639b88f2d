"""The schemas of what commands print as JSON: one for each, and one vocabulary over all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from click.testing import CliRunner

from stream_app.cli import cli
from tests.contract.command_output import (
    DOCUMENT,
    ENDING,
    FOLDER,
    LINES,
    check,
    committed,
    schema_file,
    walk,
)

FILES = sorted(path.name for path in FOLDER.iterdir())
SHARED = f"shared{ENDING}"
WITH_JSON = [
    name for name, command in walk(cli) if any("--json" in option.opts for option in command.params)
]
#: kcat's own form, and what is not ours to name.
FOREIGN = {(SHARED, "$defs/kcat_record")}
#: Other words for what has a name: word -> the name.
SYNONYMS = {
    "at": "what happened, as `fired_at`",
    "cause": "reason",
    "created": "created_at",
    "letter": "place",
    "since": "what began, as `state_since_at`",
    "time": "what happened, as `fired_at`",
    "timestamp": "what happened, as `fired_at`",
    "ts": "what happened, as `fired_at`",
    "until": "to",
    "when": "what happened, as `fired_at`",
    "why": "reason for a machine's word, detail or message for a sentence",
}
RUNNING = {
    "is_running": True, "pid": 1, "bootstrap_servers": "a:1", "version": "4", "directory": "k",
    "started_at": "2026-11-24T08:00:00Z",
}  # fmt: skip
#: Names of things: only an object may have one; an id has `…_id`.
THINGS = ("alert", "client", "integration", "trigger", "window")


def properties(file: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the place, the name and the schema of each property in a file."""

    def inside(part: Any, place: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        if (file, place) in FOREIGN:
            return
        if isinstance(part, list):
            for number, item in enumerate(part):
                yield from inside(item, f"{place}/{number}")
        if isinstance(part, dict):
            for name, item in part.get("properties", {}).items():
                # A schema may be just `true`: anything.
                yield f"{file}: {place}/{name}", name, item if isinstance(item, dict) else {}
            for name, item in part.items():
                yield from inside(item, f"{place}/{name}".strip("/"))

    yield from inside(committed(FOLDER / file), "")


def test_each_command_with_json_has_a_schema_and_each_schema_a_command() -> None:
    assert sorted([SHARED, *(schema_file(name).name for name in WITH_JSON)]) == FILES


@pytest.mark.parametrize("file", FILES)
def test_a_schema_is_one_and_says_whether_there_are_lines_or_a_document(file: str) -> None:
    schema = committed(FOLDER / file)
    jsonschema_rs.meta.validate(schema)
    assert file == SHARED or schema["description"].startswith((LINES, DOCUMENT))
    assert json.dumps(schema, indent=2, ensure_ascii=False) + "\n" == (FOLDER / file).read_text()


@pytest.mark.parametrize("file", FILES)
def test_times_are_iso_8601_and_are_named_so(file: str) -> None:
    for place, name, schema in properties(file):
        is_time = schema.get("format") == "date-time"
        assert is_time == (name.endswith("_at") or name in ("from", "to")), place
        assert not name.endswith("_ms"), place


@pytest.mark.parametrize("file", FILES)
def test_one_thing_has_one_name(file: str) -> None:
    for place, name, schema in properties(file):
        assert name not in SYNONYMS, f"{place}: call it {SYNONYMS.get(name)}"
        assert name == name.lower(), place
        if name in THINGS:
            assert schema.get("type") == "object" or "$ref" in schema, place


@pytest.mark.parametrize("file", [name for name in FILES if name != f"get{ENDING}"])
def test_a_field_that_the_schema_does_not_name_is_an_error(file: str) -> None:
    def open_objects(part: Any) -> Iterator[Any]:
        if isinstance(part, list):
            for item in part:
                yield from open_objects(item)
        if isinstance(part, dict):
            if "properties" in part and "additionalProperties" not in part:
                yield part
            for item in part.values():
                yield from open_objects(item)

    assert list(open_objects(committed(FOLDER / file))) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cloud-ips", '{"cloud": "EU"}'),
        ("cloud-ips", '{"cloud": "EU", "address": "1.2.3.4", "since": 1}'),
        ("cloud-ips", '[{"cloud": "EU", "address": "1.2.3.4"}]'),
        ("replay", '{"id": "not an alert"}'),
        (
            "kafka status",
            json.dumps(RUNNING | {"started_at": "yesterday"}),
        ),
    ],
)
def test_the_check_finds_what_breaks_a_schema(name: str, text: str) -> None:
    with pytest.raises(AssertionError, match="breaks schemas/commands"):
        check(name, text)


def test_what_a_command_prints_in_a_test_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    place = "stream_app.cli.operations.cloud_ips.CLOUD_ADDRESSES"
    monkeypatch.setattr(place, {"EU": [5]})
    done = CliRunner().invoke(cli, ["cloud-ips", "--json"])
    assert isinstance(done.exception, AssertionError)
    assert "stream-app cloud-ips --json breaks" in str(done.exception)


def test_a_document_that_fits_is_accepted() -> None:
    check("kafka status", json.dumps(RUNNING))


def test_one_document_is_one() -> None:
    text = '{"secret_key": "x"}'
    check("secrets generate", text)
    with pytest.raises(AssertionError, match="several documents"):
        check("secrets generate", text, number=2)
