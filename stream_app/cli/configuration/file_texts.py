"""The text of a file that a person wrote: its documents, and the line of each field.

Every error names file, line and column. No error quotes the file, which may hold keys.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from stream_app.cli.configuration import json_values, yaml_values
from stream_app.cli.configuration.yaml_values import TextError, position
from stream_app.domain.errors import ConfigurationError

STDIN = "-"
#: Ten times a file of 10,000 triggers. A device or a wrong file may never end.
MOST_BYTES = 64 * 1024 * 1024
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_BOM = b"\xef\xbb\xbf"


def read_file(path: str) -> FileText:
    """Return the text of a file; `-` is stdin.

    Raises:
        ConfigurationError: it cannot be read, is too large, or is not UTF-8.
    """
    name = "<stdin>" if path == STDIN else path
    if not path:
        raise ConfigurationError("the name of a file is empty: is a variable of the shell unset?")
    try:
        if path == STDIN and sys.stdin is None:
            raise ConfigurationError(f"{name}: is closed: give a file, or something on stdin")
        if path == STDIN:
            content = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: {_unreadable(error)}") from None
    if len(content) > MOST_BYTES:
        raise ConfigurationError(
            f"{path}: holds more than {MOST_BYTES:,} bytes: give a file of objects, or split it"
        )
    if content.startswith(_UTF_16):
        raise ConfigurationError(f"{name}:1:1: is UTF-16: save it as UTF-8")
    content = content.removeprefix(_BOM)
    try:
        return FileText(name, content.decode())
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        line, column = position(before, len(before))
        byte = content[error.start]
        raise ConfigurationError(
            f"{name}:{line}:{column}: the byte 0x{byte:02X} is no UTF-8 here: save "
            "the file as UTF-8"
        ) from None


def _unreadable(error: OSError) -> str:
    """Return why a file cannot be read, and what to do."""
    if isinstance(error, FileNotFoundError):
        return "no such file: give one that is there"
    if isinstance(error, IsADirectoryError):
        return "is a folder: give the files in it"
    return f"cannot be read: {error.strerror}"


@dataclass
class FileText:
    """A file in YAML, JSON or JSON Lines.

    A file named `.json` is JSON. Any other text that begins as JSON is tried as JSON first, since
    JSON may hold what YAML refuses (tabs, pairs of escapes). JSON may have several values, each on
    lines of its own.
    """

    name: str
    text: str = field(repr=False)
    _is_json: bool = field(default=False, init=False)

    def documents(self) -> list[object]:
        """Return the documents as plain JSON values.

        Raises:
            ConfigurationError: it is neither YAML nor JSON, or holds something that is refused.
        """
        text, is_json_file = self.text, self.name.lower().endswith(".json")
        if not text.strip():
            return []
        as_json: TextError | None = None
        if is_json_file or text.lstrip()[:1] in ("[", "{"):
            try:
                found = json_values.load_all(text)
            except TextError as error:
                as_json = error
                if not error.is_syntax or is_json_file:
                    raise self._refused("JSON", error) from None
            else:
                self._is_json = True
                return found
        try:
            return list(yaml_values.load_all(text))
        except TextError as error:
            if as_json is not None and json_values.is_meant(text):
                raise self._refused("JSON", as_json) from None
            raise self._refused("YAML", error) from None

    def where(self, document: int, place: str, path: str = "") -> str:
        """Return the name of the file with the line of a field of an object, for a message."""
        line = self.line_of(document, place, path)
        return self.name if line is None else f"{self.name}:{line}"

    def _refused(self, form: str, error: TextError) -> ConfigurationError:
        return ConfigurationError(
            f"{self.name}:{error.line}:{error.column}: read as {form}: {error.problem}"
        )

    def line_of(self, document: int, place: str, path: str) -> int | None:
        """Return the line of a field of an object, or of the nearest value around it.

        Args:
            document: its number, from 0.
            place: path of the object in it.
            path: of the field in the object, which may be wrapped as a trigger.
        """
        lines = self._lines[document] if document < len(self._lines) else {}
        bases = (place, f"{place}.trigger" if place else "trigger")
        while path:
            for base in bases:
                if (line := lines.get(f"{base}.{path}" if base else path)) is not None:
                    return line
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return lines.get(place)

    @cached_property
    def _lines(self) -> list[dict[str, int]]:
        """The line of each path, for each document. It is slow, so only errors ask for it."""
        if self._is_json:
            return json_values.locate_all(self.text)
        lines: list[dict[str, int]] = []
        document: dict[str, int] = {}
        for _ in yaml_values.load_all(self.text, document.__setitem__):
            lines.append(document.copy())
            document.clear()
        return lines
