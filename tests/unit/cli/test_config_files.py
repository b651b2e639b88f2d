from __future__ import annotations

import io
from pathlib import Path

import pytest

from stream_app.cli.config_files import read_objects
from stream_app.domain.errors import ConfigurationError


def written(folder: Path, text: str) -> str:
    path = folder / "objects.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    "text",
    [
        '[{"id": 1}, {"id": 2}]',
        '[\n\t{"id": 1},\n\t{"id": 2}\n]',
        "- id: 1\n- id: 2\n",
        "id: 1\n---\nid: 2\n---\n",
        "---\n- id: 1\n---\nid: 2\n",
        '{"id": 1}\n---\n{"id": 2}',
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
        ("[1]", "object 1: is a int: must have named fields"),
        ("- id: 1\n- text\n", "object 2: is a str"),
        ("id: 123456789012345678901234567890", "beyond 64 bits"),
        ("a: &a [*a]", "a value that JSON has not"),
        ("id: [1\nb: 2", "line 2: neither YAML nor JSON"),
        ("id: \x00", "must be UTF-8 text"),
        ("a: !!bool x", "YAML tag does not fit"),
        ("a: !!timestamp foo", "YAML tag does not fit"),
        ('a: !!int ""', "YAML tag does not fit"),
        ("[" * 5000 + "]" * 5000, "nested too deep"),
        ("[" * 200_000 + "]" * 200_000, "nested too deep"),
        ("- " * 5000 + "x", "nested too deep"),
        ("!!python/object:os.system {}", "line 1: neither YAML nor JSON"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_objects([written(tmp_path, text)])


def test_an_error_does_not_quote_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_objects([written(tmp_path, "target:\n  token: fake-key-not-real: [\n")])
    assert "fake-key" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.yaml: No such file"):
        read_objects([str(tmp_path / "none.yaml")])
