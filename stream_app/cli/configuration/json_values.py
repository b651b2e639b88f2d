"""Reads JSON that people wrote; a name that stands twice in an object is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NoReturn

import orjson

from stream_app.cli.configuration.yaml_values import MAX_DEPTH, NotePlace, TextError, position

_LEAST, _MOST = -(2**63), 2**64 - 1
_MAX_DIGITS = 20
_BLANKS = " \t\r\n"


class _RepeatedNameError(ValueError):
    """An object has a name twice."""


def load(text: str) -> Any:
    """Return the value of a text.

    Raises:
        TextError: it is no JSON, or holds something that is refused.
    """
    try:
        found = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
        orjson.dumps(found)  # refuses halves of surrogate pairs
    except json.JSONDecodeError as error:
        raise TextError(error.lineno, error.colno, error.msg, is_syntax=True) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise _placed(text, error) from None
    return found


def lines_of(text: str) -> list[tuple[int, str]]:
    """Return the numbered lines of JSON Lines: each begins an object, and the first one is whole.

    It is empty for any other text.
    """
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip(_BLANKS)]
    if len(lines) < 2 or not all(line.lstrip(_BLANKS).startswith("{") for _, line in lines):  # noqa: PLR2004 - a single one is a document
        return []
    try:
        json.loads(lines[0][1])
    except (ValueError, RecursionError):
        return []
    return lines


def load_line(number: int, line: str) -> Any:
    """Return the value of one of several lines.

    Raises:
        TextError: it is no JSON, or holds something that is refused.
    """
    try:
        return load(line)
    except TextError as error:
        raise replace(error, line=number, is_syntax=False) from None


def locate(text: str, place: NotePlace) -> None:
    """Report the line of each value of a text that is JSON."""
    _Walker(text, place).walk(_skip(text, 0), "", 0)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _RepeatedNameError
    return found


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS or not _LEAST <= int(digits) <= _MOST:
        raise ValueError("holds a number beyond 64 bits")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError("holds a number beyond 64 bits")
    return number


def _constant(name: str) -> NoReturn:
    raise ValueError(f"holds {name}, which is no number that JSON has")


def _placed(text: str, error: Exception) -> TextError:
    """Return an error with its place, found by reading the text again, more slowly."""
    walker = _Walker(text, None)
    try:
        walker.walk(_skip(text, 0), "", 0)
    except TextError as placed:
        return placed
    except json.JSONDecodeError as placed:
        return TextError(placed.lineno, placed.colno, placed.msg)
    except (ValueError, IndexError):
        pass
    return TextError(*position(text, walker.index), str(error) or "cannot be read")


class _Walker:
    """Walks through JSON value by value; `index` is the current position."""

    def __init__(self, text: str, place: NotePlace | None) -> None:
        self._text = text
        self._place = place
        self.index = 0
        self._seen_index, self._seen_line = 0, 1

    def walk(self, index: int, path: str, depth: int) -> int:
        """Check the value that begins at an index; return where it ends."""
        self.index = index
        text = self._text
        if depth > MAX_DEPTH:
            raise self._error(index, f"is nested deeper than {MAX_DEPTH} levels")
        if self._place is not None:
            self._place(path, self._line(index))
        if text[index] == "{":
            return self._fields(index + 1, path, depth)
        if text[index] == "[":
            return self._items(index + 1, path, depth)
        if text[index] == '"':
            value, end = scanstring(text, index + 1, True)
            self._check_surrogates(value, index)
            return int(end)
        decoder = json.JSONDecoder(parse_int=_integer, parse_float=_float, parse_constant=_constant)
        return decoder.raw_decode(text, index)[1]

    def _fields(self, index: int, path: str, depth: int) -> int:
        text = self._text
        seen: dict[str, int] = {}
        index = _skip(text, index)
        while text[index] != "}":
            start = index = _skip(text, index + (text[index] == ","))
            name, index = scanstring(text, index + 1, True)
            self._check_surrogates(name, start)
            line = self._line(start)
            if name in seen:
                problem = f"this name stands twice, first in line {seen[name]}"
                raise self._error(start, problem)
            seen[name] = line
            inner = f"{path}.{name}" if path else name
            index = _skip(text, self.walk(_skip(text, _skip(text, index) + 1), inner, depth + 1))
            if self._place is not None:
                self._place(inner, line)
        return index + 1

    def _items(self, index: int, path: str, depth: int) -> int:
        text = self._text
        count = 0
        index = _skip(text, index)
        while text[index] != "]":
            index = _skip(text, index + (text[index] == ","))
            index = _skip(text, self.walk(index, f"{path}[{count}]", depth + 1))
            count += 1
        return index + 1

    def _check_surrogates(self, value: str, index: int) -> None:
        if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
            raise self._error(index, "holds half of a surrogate pair, which is no character")

    def _line(self, index: int) -> int:
        """Return the line of an index; it is fast when indexes come in rising order."""
        if index < self._seen_index:
            return self._text.count("\n", 0, index) + 1
        self._seen_line += self._text.count("\n", self._seen_index, index)
        self._seen_index = index
        return self._seen_line

    def _error(self, index: int, problem: str) -> TextError:
        return TextError(*position(self._text, index), problem)


def _skip(text: str, index: int) -> int:
    while index < len(text) and text[index] in _BLANKS:
        index += 1
    return index
