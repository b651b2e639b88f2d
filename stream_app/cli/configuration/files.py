"""Files of configured objects: YAML or JSON, one object, a list, several documents.

The answers of the security cloud's API are among them: see `stream_app.domain.plans.api_answers`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from stream_app.cli.configuration.file_texts import FileText
from stream_app.domain.errors import ConfigurationError
from stream_app.domain.plans.api_answers import of_client, unwrapped
from stream_app.domain.plans.plan import FileObject
from stream_app.domain.text.printable import kind_of_value

STDIN = "-"
#: A file of 10,000 triggers has a tenth of it; a device or a wrong file may never end.
MOST_BYTES = 64 * 1024 * 1024


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
        found += _objects(FileText(name, _content(path)))
    if client_id is not None:
        return [replace(item, obj=of_client(item.obj, client_id)) for item in found]
    return found


def _content(path: str) -> bytes:
    try:
        if path == STDIN:
            content = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}: give a file that is there") from None
    if len(content) > MOST_BYTES:
        raise ConfigurationError(
            f"{path}: holds more than {MOST_BYTES:,} bytes: give a file of objects, or split it"
        )
    return content


def _objects(file: FileText) -> Iterator[FileObject]:
    rows = [
        (number, place, row)
        for number, document in enumerate(file.documents())
        for place, row in _rows(document)
        if row is not None
    ]
    if not rows:
        raise ConfigurationError(
            f"{file.name}: holds no object: write a client, an integration ..."
        )
    count = 0
    for number, (document, place, row) in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise ConfigurationError(
                f"{file.name}: object {number}: is {kind_of_value(row)}: must have named fields"
            )
        try:
            answered = unwrapped(row)
        except ConfigurationError as error:
            raise ConfigurationError(f"{file.name}: object {number}: {error}") from None
        is_answer = answered is not None
        places = [place] if answered is None else _answer_places(row, place, len(answered))
        for obj, inner in zip([row] if answered is None else answered, places, strict=True):
            count += 1
            line_of = partial(file.line_of, document, inner)
            yield FileObject(file.name, count, obj, is_answer=is_answer, line_of=line_of)


def _rows(document: object) -> Iterator[tuple[str, object]]:
    """Yield the objects of a document, with their paths in it."""
    if isinstance(document, list):
        yield from ((f"[{index}]", row) for index, row in enumerate(document))
    else:
        yield "", document


def _answer_places(answer: dict[str, object], place: str, count: int) -> list[str]:
    """Return the paths of the objects of an answer."""
    before = f"{place}." if place else ""
    if "triggers" in answer:
        return [f"{before}triggers[{index}]" for index in range(count)]
    body = answer.get("body")
    if isinstance(body, dict) and isinstance(body.get("object"), list):
        return [f"{before}body.object[{index}]" for index in range(count)]
    return [f"{before}body.object"]
