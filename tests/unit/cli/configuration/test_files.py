from __future__ import annotations

import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.cli.configuration import json_values, yaml_values
from stream_app.cli.configuration.file_texts import FileText
from stream_app.cli.configuration.files import read_objects
from stream_app.domain.errors import ConfigurationError


def written(folder: Path, text: str) -> str:
    path = folder / "objects.yaml"
    path.write_text(text)
    return str(path)


def refused(path: Path, content: bytes, message: str) -> None:
    """See that a file is refused with a message."""
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=message):
        read_objects([str(path)])


@pytest.mark.parametrize(
    "text",
    [
        '[{"id": 1}, {"id": 2}]',
        '[\n\t{"id": 1},\n\t{"id": 2}\n]',
        "- id: 1\n- id: 2\n",
        "id: 1\n---\nid: 2\n---\n",
        "---\n- id: 1\n---\nid: 2\n",
        '{"id": 1}\n---\n{"id": 2}',
        '{"id": 1}\n{"id": 2}\n',
        '{\n"id": 1}\n\n{"id":\n2}',
    ],
)
def test_a_file_holds_one_or_many_objects(tmp_path: Path, text: str) -> None:
    found = read_objects([written(tmp_path, text)])
    assert [(row.number, row.obj) for row in found] == [(1, {"id": 1}), (2, {"id": 2})]


def test_values_become_plain_json(tmp_path: Path) -> None:
    path = written(tmp_path, "applications: {-1: default, 7: Shop}\nsince: 2026-01-02\n")
    (found,) = read_objects([path])
    assert found.obj == {"applications": {"-1": "default", "7": "Shop"}, "since": "2026-01-02"}


def test_a_dash_is_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"id: 1")))
    assert [(row.file, row.obj) for row in read_objects(["-"])] == [("<stdin>", {"id": 1})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no object"),
        ("# nothing\n", "holds no object"),
        ("[1]", "object 1: is a number: must be a client, an integration or"),
        ("- id: 1\n- [1]\n", "object 2: is a list: must be a client, an integration or"),
        ("- id: 1\n- true\n", "object 2: is true or false: must be a client, an integration or"),
        ("- id: 1\n- text\n", "object 2: is a text: must"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_objects([written(tmp_path, text)])


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("id: 123456789012345678901234567890", "1:5", "a number beyond 64 bits"),
        ("id: " + "9" * 5000, "1:5", "a number beyond 64 bits"),
        ("id: 0x1ffffffffffffffff", "1:5", "a number beyond 64 bits"),
        ("id: 1e999", "1:5", "a number beyond 64 bits"),
        ("id: 1\nlimit: .inf", "2:8", "no number that JSON has"),
        ("limit: .NaN", "1:8", "no number that JSON has"),
        ("id: 1\ncount: 010", "2:8", "a number that begins with 0"),
        ("applications: {007: Shop}", "1:16", "a number that begins with 0"),
        ("a: &a [*a]", "1:4", "anchors"),
        ("id: 1\na: *b", "2:4", "aliases"),
        ("&a id: 1", "1:1", "anchors"),
        ("id: 1\n<<: {b: 1}", "2:1", "merge keys"),
        ("id: 1\nname: a\nid: 2", "3:1", "this key stands twice, first in line 1"),
        ("a:\n- b: {c: 1, d: 2, 'c': 3}", "2:19", "stands twice"),
        ("applications: {7: Shop, '7': Store}", "1:25", "stands twice"),
        ("applications: {7: Shop, 0x7: Store}", "1:25", "stands twice"),
        ("[a]: 1", "1:1", "a key must be a text"),
        ("{a: 1}: 1", "1:1", "a key must be a text"),
        ("id: [1\nb: 2", "2:2", "did not find expected ',' or ']'"),
        ("id: 1\n\tname: x", "2:1", "a tab character"),
        ("id: 1\n name: x", "2:6", "mapping values are not allowed"),
        ("a: b: c", "1:5", "mapping values are not allowed"),
        ("name: 'x", "1:9", "unexpected end of stream"),
        ("id: \x00", "1:5", r"U\+0000"),
        ("name: a\u2028b", "1:8", r"U\+2028 must be written as an escape"),
        ("name: \x1b[0m", "1:7", r"U\+001B"),
        ("a: !!bool x", "1:4", "tags"),
        ("a: !!timestamp foo", "1:4", "tags"),
        ("a: ! x", "1:4", "tags"),
        ("a: {!!str b: 1}", "1:5", "tags"),
        ("!!python/object:os.system {}", "1:1", "tags"),
        ("%YAML 1.1\n---\na: 1", "1:1", "YAML 1.2"),
        ("[" * 5000 + "]" * 5000, "1:52", "nested deeper than 50 levels"),
        ("[" * 200_000 + "]" * 200_000, "1:52", "nested deeper than 50 levels"),
        ("- " * 5000 + "x", "1:103", "nested deeper than 50 levels"),
        ("a: " + "{b: " * 5000 + "}" * 5000, "1:204", "nested deeper"),
        ('{"id": 1,\n "id": 2}', "2:2", "this name stands twice, first in line 1"),
        ('[{"a": [{"b": 1}, {"c": 1,\n"c": 1}]}]', "2:1", "stands twice"),
        ('{"id": 1,\n "name" 2}', "2:9", "read as JSON: a colon is missing before this"),
        ('{"id": NaN}', "1:8", "holds NaN"),
        ("[1,\n 99999999999999999999]", "2:2", "beyond 64 bits"),
        ('["\\ud800"]', "1:2", "half of a surrogate pair"),
        ("{a: 1, a: 2}", "1:8", "read as YAML: this key stands twice"),
    ],
)  # fmt: skip
def test_a_malformed_file_is_refused_with_the_place(
    tmp_path: Path, text: str, place: str, problem: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigurationError, match=problem) as caught:
        read_objects([path])
    assert str(caught.value).startswith(f"{path}:{place}: read as ")


def test_a_bomb_of_aliases_is_refused_at_once(tmp_path: Path) -> None:
    rows = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    with pytest.raises(ConfigurationError, match="1:5: read as YAML: anchors"):
        read_objects([written(tmp_path, "\n".join(["a0: &a0 [lol]", *rows]))])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, text) for text in ("NO", "no", "yes", "Yes", "on", "off", "y", "n")),
        *((text, text) for text in ("1:00", "190:20:30", "2026-01-02", "1_000", "0b11", "1e", "=")),
        *((text, text) for text in ("0o8", "0xg", "+", ".", "nUll", "trUe")),
        ("0o10", 8), ("0x1F", 31), ("+5", 5), ("-0", 0), ("0", 0), ("1e3", 1000.0), (".5", 0.5),
        ("18446744073709551615", 2**64 - 1), ("-9223372036854775808", -(2**63)), ("12.", 12.0),
        ("~", None), ("", None), ("null", None), ("NULL", None), ("true", True), ("FALSE", False),
        ("'010'", "010"), ('"no"', "no"), ("'~'", "~"), ('"\\u263a"', "\u263a"),
    ],
)  # fmt: skip
def test_scalars_are_those_of_the_core_schema_of_yaml_1_2(
    tmp_path: Path, text: str, value: object
) -> None:
    (found,) = read_objects([written(tmp_path, f"value: {text}\n")])
    assert found.obj == {"value": value}
    assert type(found.obj["value"]) is type(value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id: 1".encode("utf-16"), "1:1: is UTF-16: save it as UTF-8"),
        ("id: 1\nname: é".encode("latin-1"), "2:7: the byte 0xE9 is no UTF-8"),
        (b'{"a": "\xff"}', "1:8: the byte 0xFF is no UTF-8"),
    ],
)
def test_text_that_is_not_utf_8_is_refused_with_its_place(
    tmp_path: Path, content: bytes, message: str
) -> None:
    refused(tmp_path / "objects.yaml", content, message)


@pytest.mark.parametrize("text", ["id: 1", '{"id": 1}'])
def test_a_byte_order_mark_is_ignored(tmp_path: Path, text: str) -> None:
    path = tmp_path / "objects.yaml"
    path.write_text(text, encoding="utf-8-sig")
    assert [row.obj for row in read_objects([str(path)])] == [{"id": 1}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1,]", "1:3: read as JSON: nothing follows this comma"),
        ("[1, 2", "1:6: read as JSON: the text ends here, before all brackets"),
        ('{"a": 1} {"a": 2}', "1:10: read as JSON: a second value stands here"),
        ('{"a": 1},\n{"a": 2}', "1:9: read as JSON: a second value stands here"),
        ('{"a": 1\n"b": 2}', "2:1: read as JSON: a comma is missing before this"),
        ('{"a": 1, b: 2}', "1:10: read as JSON: a name in double quotes must stand here"),
        ('{"a": "b\nc"}', "1:9: read as JSON: a control character in a text"),
        ('{"a": "b}', "1:7: read as JSON: this text has no closing quote"),
        ('{"a": "\\d"}', "1:8: read as JSON: is no escape that JSON has"),
        ('{"a": nil}', "1:7: read as JSON: a value must stand here"),
        ("[\n// one\n1]", "2:1: read as JSON: JSON has no comments"),
        ('{"a": 1}\n\n{"a": 2', "3:8: read as JSON: the text ends here"),
        ('{"a": 1}\n{"a": 2, "a": 3}', "2:10: read as JSON: this name stands twice"),
        ("id: 1", "1:1: read as JSON: JSON begins with { or .: a file in YAML must not"),
    ],
)
def test_a_json_file_is_json_and_gives_the_error_of_json(
    tmp_path: Path, text: str, message: str
) -> None:
    refused(tmp_path / "answer.JSON", text.encode(), message)


def test_an_error_does_not_quote_the_file(tmp_path: Path) -> None:
    for text in (
        "target:\n  token: fake-key-not-real: [\n",
        "target: {fake-key-not-real: 1, fake-key-not-real: 2}",
        "target: &fake-key-not-real x",
        '{"target": {"token": "fake-key-not-real" 1}}',
    ):
        with pytest.raises(ConfigurationError) as caught:
            read_objects([written(tmp_path, text)])
        assert "fake-key" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.yaml: no such file"):
        read_objects([str(tmp_path / "none.yaml")])


LINES = """\
# a client
client_id: 1111
name: Acme
---
- trigger:
    id: 61
    filters:
      - id: pool
        values: [1,
                 2]
---
triggers:
  - id: 62
    name: x
"""


@pytest.mark.parametrize(
    ("number", "path", "line"),
    [
        (1, "name", 3),
        (1, "cloud", 2),
        (1, "", 2),
        (2, "filters[0].values[1]", 10),
        (2, "filters[0].operator", 8),
        (2, "threshold.count", 5),
        (3, "name", 14),
        (3, "actions", 13),
    ],
)
def test_a_field_has_its_line_and_a_missing_one_that_of_what_is_around_it(
    tmp_path: Path, number: int, path: str, line: int
) -> None:
    assert read_objects([written(tmp_path, LINES)])[number - 1].line_of(path) == line


def test_a_field_of_json_has_its_line(tmp_path: Path) -> None:
    text = '{"body": {"object": [\n {"id": 1,\n  "events": [\n {"event":\n "x"}]}\n]}}'
    (found,) = read_objects([written(tmp_path, text)])
    assert [found.line_of(path) for path in ("id", "events[0].event", "name", "")] == [2, 4, 2, 2]


def test_json_lines_are_one_object_each(tmp_path: Path) -> None:
    lines = ['{"id": 1, "name": "a\u2028b"}', "", ' {"id": 2, "filters": [{"id": "x"}]}']
    found = read_objects([written(tmp_path, "\n".join(lines))])
    assert [one.obj["id"] for one in found] == [1, 2]
    assert [one.line_of("filters[0].id") for one in found] == [1, 3]
    again = read_objects([written(tmp_path, '{"id": 1}\n---\n{"id": 2}')])
    assert [one.obj["id"] for one in again] == [1, 2], "documents of YAML"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["010", "08", "0o10", "1e3", "NO", "~", "1:00", ".inf", "2026-01-02", "<<"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(st.dictionaries(st.text(), JSON_VALUES, min_size=1), min_size=1, max_size=3))
def test_printed_yaml_and_json_are_read_back_unchanged(
    documents: list[dict[str, object]],
) -> None:
    assert list(yaml_values.load_all(yaml_values.dump_all(documents))) == documents
    assert json_values.load_all(json.dumps(documents)) == [documents]
    lines = "\n".join(map(json.dumps, documents))
    assert json_values.load_all(lines) == documents


MARKS = "{}[]:,-#&*!|>'\"%@`\n\t \\?<=~01"
CHANGES = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3), st.sampled_from(MARKS)))


@given(st.sampled_from([LINES, json.dumps({"a": [1, {"b": None}], "c": "d"}, indent=1)]), CHANGES)
def test_any_text_is_read_or_refused_with_its_place(
    text: str, changes: list[tuple[int, int, str]]
) -> None:
    for index, removed, added in changes:
        text = text[:index] + added + text[index + removed :]
    file = FileText("a.yaml", text)
    problem = ""
    try:
        documents = file.documents()
    except ConfigurationError as error:
        problem = str(error)
    else:
        orjson.dumps(documents)
        file.line_of(0, "", "a")
    assert re.fullmatch(r"(a\.yaml:\d+:\d+: read as (YAML|JSON): .+)?", problem)


@pytest.mark.parametrize("path", ["/dev/zero", "-"])
def test_a_file_without_an_end_is_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_app.cli.configuration.file_texts.MOST_BYTES", 1000)
    with Path("/dev/zero").open("rb") as endless:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=endless))
        with pytest.raises(ConfigurationError, match="more than 1,000 bytes: give a file of"):
            read_objects([path])


def test_a_file_as_large_as_it_may_be_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "client.yaml"
    path.write_text("client_id: 1111\n")
    monkeypatch.setattr("stream_app.cli.configuration.file_texts.MOST_BYTES", path.stat().st_size)
    assert len(read_objects([str(path)])) == 1
    path.write_text("client_id: 11111\n")
    with pytest.raises(ConfigurationError, match="holds more than"):
        read_objects([str(path)])
