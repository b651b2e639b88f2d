"""Files of configured objects: YAML or JSON, one object, a list, several documents.

The answers of the security cloud's API are among them: see `stream_app.domain.api_forms`.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import yaml

from stream_app.cli.yaml_loader import load_all
from stream_app.domain.api_forms import of_client, unwrapped
from stream_app.domain.errors import ConfigurationError
from stream_app.domain.plans import FileObject

if TYPE_CHECKING:
    from collections.abc import Iterable

STDIN = "-"


def read_objects(paths: Iterable[str], client_id: int | None = None) -> list[FileObject]:
    """Read all objects of the files; `-` is stdin. An answer of the API is the objects in it.

    Args:
        paths: of the files.
        client_id: whose triggers and integrations are that do not say it.

    Raises:
        ConfigurationError: a file cannot be read, or holds something that is no object.
    """
    found: list[FileObject] = []
    for path in paths:
        name = "<stdin>" if path == STDIN else path
        found += _objects(name, _content(path))
    if client_id is not None:
        return [replace(item, obj=of_client(item.obj, client_id)) for item in found]
    return found


def _content(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}: give a file that is there") from None


def _objects(name: str, content: bytes) -> list[FileObject]:
    rows: list[object] = []
    for document in _documents(name, content):
        rows += document if isinstance(document, list) else [document]
    rows = [row for row in rows if row is not None]
    if not rows:
        raise ConfigurationError(f"{name}: holds no object: write a client, an integration ...")
    found: list[FileObject] = []
    for place, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise ConfigurationError(
                f"{name}: object {place}: is a {type(row).__name__}: must have named fields"
            )
        try:
            answered = unwrapped(row)
        except ConfigurationError as error:
            raise ConfigurationError(f"{name}: object {place}: {error}") from None
        objects = [row] if answered is None else answered
        found += [
            FileObject(name, number, obj, is_answer=answered is not None)
            for number, obj in enumerate(objects, start=len(found) + 1)
        ]
    return found


def _documents(name: str, content: bytes) -> list[object]:
    """Return the documents as plain JSON values: keys are texts, dates too."""
    try:
        return [orjson.loads(content)]  # first, because JSON may hold tabs, which YAML refuses
    except orjson.JSONDecodeError:
        pass
    try:
        loaded = list(load_all(content))
    except yaml.MarkedYAMLError as error:
        # The error's own text quotes the file, which may hold keys.
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(
            f"{name}: line {line}: neither YAML nor JSON: {error.problem}"
        ) from None
    except (yaml.YAMLError, ValueError):
        raise ConfigurationError(f"{name}: neither YAML nor JSON: must be UTF-8 text") from None
    except (LookupError, AttributeError, TypeError, RecursionError):
        # What the library makes of a tag that its value does not fit, or of endless nesting.
        raise ConfigurationError(
            f"{name}: holds a value that its YAML tag does not fit, or is nested too deep: "
            "leave tags such as !!bool out"
        ) from None
    try:
        plain: list[object] = orjson.loads(orjson.dumps(loaded, option=orjson.OPT_NON_STR_KEYS))
    except (TypeError, RecursionError):
        raise ConfigurationError(
            f"{name}: holds a value that JSON has not (a number beyond 64 bits, a set, a loop)"
        ) from None
    return plain
