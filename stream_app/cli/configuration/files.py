"""Files of configured objects: YAML or JSON, one object, a list, several documents.

The answers of the security cloud's API are among them: see `stream_app.domain.plans.api_answers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from stream_app.cli.configuration.file_texts import FileText, read_file
from stream_app.domain.errors import ConfigurationError, InvalidObjectError
from stream_app.domain.foreign_text.printable import kind_of_value
from stream_app.domain.plans.api_answers import unwrap_answer, with_client
from stream_app.domain.plans.file_object import FileObject


def read_objects(paths: Iterable[str], client_id: int | None = None) -> list[FileObject]:
    """Read all objects of the files; `-` is stdin. An answer of the API is the objects in it.

    Args:
        paths: of the files.
        client_id: client of the triggers and integrations that do not name one.

    Raises:
        ConfigurationError: a file cannot be read, or holds something that is no object.
    """
    found: list[FileObject] = []
    for path in paths:
        found += _objects(read_file(path), client_id)
    return found


def _objects(file: FileText, client_id: int | None) -> Iterator[FileObject]:
    rows = [
        (document, place, row)
        for document, value in enumerate(file.documents())
        for place, row in (
            ((f"[{index}]", row) for index, row in enumerate(value))
            if isinstance(value, list)
            else [("", value)]
        )
        if row is not None
    ]
    if not rows:
        raise ConfigurationError(
            f"{file.name}: holds no object: write a client, an integration or a trigger into it"
        )
    count = 0
    for number, (document, place, row) in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise ConfigurationError(
                f"{file.where(document, place)}: object {number}: is {kind_of_value(row)}: must be "
                "a client, an integration or a trigger, with named fields"
            )
        try:
            answered = unwrap_answer(row)
        except InvalidObjectError as error:
            where = file.where(document, place, error.path)
            raise ConfigurationError(f"{where}: object {number}: {error}") from None
        is_answer = answered is not None
        for inner, obj in [("", row)] if answered is None else answered:
            count += 1
            line_of = partial(file.line_of, document, ".".join(filter(None, (place, inner))))
            whose = obj if client_id is None else with_client(obj, client_id)
            yield FileObject(file.name, count, whose, is_answer=is_answer, line_of=line_of)
