"""Checks all that commands print as JSON against `schemas/commands/`, in every test.

`install()` watches `click.echo` in a process. It is called in the processes that run tests, and in
the one that commands are forked from (`tests/preloaded.py`). A command whose output breaks its
schema then fails, and so does the test.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import jsonschema_rs

from stream_app.cli import cli

FOLDER = Path(__file__).parents[2] / "schemas" / "commands"
ENDING = ".schema.json"
#: How the description of a schema begins: whether a command prints one document or many.
LINES, DOCUMENT = "Each line is ", "One document: "


def schema_file(name: str) -> Path:
    """Return the file with the schema of a command, named as it is typed."""
    return FOLDER / f"{name.replace(' ', '-')}{ENDING}"


def committed(file: Path) -> dict[str, Any]:
    """Return the schema in a file."""
    found: dict[str, Any] = json.loads(file.read_bytes())
    return found


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its name as it is typed."""
    yield " ".join(path), command
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            found = command.get_command(ctx, name)
            assert found is not None
            yield from walk(found, (*path, name))


def check(name: str, text: str, number: int = 1) -> None:
    """Check a line that a command prints with `--json`, the `number`th of them.

    Raises:
        AssertionError: it is no document of the command's schema, or one too many.
    """
    # The validator takes no half of a surrogate pair.
    whole = json.dumps(json.loads(text), ensure_ascii=False).encode(errors="replace")
    found = _validator(name).iter_errors(json.loads(whole))
    errors = [f"{error.instance_path}: {error.message}" for error in found]
    assert not errors, f"stream-app {name} --json breaks schemas/commands: {errors}: {text[:2000]}"
    is_one = committed(schema_file(name))["description"].startswith(DOCUMENT)
    assert number == 1 or not is_one, f"stream-app {name} --json prints several documents"


def install() -> None:
    """Check from now on what commands of this process print with `--json`."""
    if not hasattr(click.echo, "__wrapped__"):
        click.echo = _checked(click.echo)


@functools.cache
def _validator(name: str) -> Any:
    file = schema_file(name)
    return jsonschema_rs.Draft202012Validator(
        committed(file),
        base_uri=file.as_uri(),
        retriever=lambda uri: committed(Path(uri.removeprefix("file://"))),
        validate_formats=True,
    )


@functools.cache
def _names() -> dict[click.Command, str]:
    """Return the names of all commands: a test may call one without those above it."""
    return {command: name for name, command in walk(cli)}


def _checked(echo: Any) -> Any:
    @functools.wraps(echo)
    def checked(message: Any = None, *args: Any, **more: Any) -> None:
        ctx = click.get_current_context(silent=True)
        if ctx is not None and ctx.params.get("as_json") and not more.get("err"):
            number = ctx.meta[ENDING] = ctx.meta.get(ENDING, 0) + 1
            check(_names()[ctx.command], message, number)
        echo(message, *args, **more)

    return checked
