"""Text of a file that a person wrote: its documents, and the lines on which things stand.

Every error names file, line and column. No error quotes the file, which may hold keys.
"""

from __future__ import annotations

from functools import cached_property

from stream_app.cli.configuration import json_values, yaml_values
from stream_app.cli.configuration.yaml_values import TextError, position
from stream_app.domain.errors import ConfigurationError

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_BOM = b"\xef\xbb\xbf"


class FileText:
    """A file in YAML or JSON.

    A name in `.json` is JSON. Otherwise what begins as JSON is read as that first, since JSON may
    hold what YAML refuses (tabs, pairs of escapes).
    """

    def __init__(self, name: str, content: bytes) -> None:
        self.name = name
        self._text = _decoded(name, content)
        self._is_json = False

    def documents(self) -> list[object]:
        """Return the documents as plain JSON values.

        Raises:
            ConfigurationError: it is neither YAML nor JSON, or says something that is refused.
        """
        if not self._text.strip():
            return []
        try:
            return self._documents()
        except _FormError as error:
            raise ConfigurationError(f"{self.name}: {error}") from None

    def _documents(self) -> list[object]:
        as_json: _FormError | None = None
        if self.name.lower().endswith(".json") or self._text.lstrip()[:1] in ("[", "{"):
            try:
                found = [json_values.load(self._text)]
            except TextError as error:
                as_json = _FormError("JSON", error)
                if not error.is_syntax or self.name.lower().endswith(".json"):
                    raise as_json from None
            else:
                self._is_json = True
                return found
        try:
            return list(yaml_values.load_all(self._text))
        except TextError as error:
            as_yaml = _FormError("YAML", error)
            # The one that got further says more.
            is_further = as_json is not None and as_json.place >= as_yaml.place
            if as_json is not None and error.is_syntax and is_further:
                raise as_json from None
            raise as_yaml from None

    def line_of(self, document: int, place: str, path: str) -> int | None:
        """Return the line of a field of an object, or of the nearest thing around it.

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
        """Lines of everything, by path, of each document; made only when an error needs them."""
        if self._is_json:
            found: dict[str, int] = {}
            json_values.locate(self._text, found.__setitem__)
            return [found]
        lines: list[dict[str, int]] = []
        document: dict[str, int] = {}
        for _ in yaml_values.load_all(self._text, document.__setitem__):
            lines.append(document.copy())
            document.clear()
        return lines


class _FormError(Exception):
    """A text is not of a form, or refused."""

    def __init__(self, form: str, error: TextError) -> None:
        super().__init__(
            f"line {error.line}, column {error.column}: read as {form}: {error.problem}"
        )
        self.place = (error.line, error.column)


def _decoded(name: str, content: bytes) -> str:
    """Return the text of a file.

    Raises:
        ConfigurationError: it is not UTF-8.
    """
    if content.startswith(_UTF_16):
        raise ConfigurationError(f"{name}: line 1, column 1: is UTF-16: save it as UTF-8")
    content = content.removeprefix(_BOM)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        line, column = position(before, len(before))
        byte = content[error.start]
        raise ConfigurationError(
            f"{name}: line {line}, column {column}: the byte 0x{byte:02X} is no UTF-8 here: save "
            "the file as UTF-8"
        ) from None
