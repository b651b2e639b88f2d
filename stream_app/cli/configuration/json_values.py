"""Reads JSON that people wrote; a name that stands twice in an object is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NoReturn

import orjson

from stream_app.cli.configuration.yaml_values import MAX_DEPTH, NotePlace, TextError, position

_LEAST, _MOST = -(2**63), 2**64 - 1
_MAX_DIGITS = 20
_BLANKS = " \t\r\n"
_BEGINS = re.compile(r'[\s\[{]*"')
_NEXT_DOCUMENT = re.compile(r"^---", re.MULTILINE)
_TRAILING_COMMA = "nothing follows this comma: take it out"
#: How the library's messages begin -> our words.
_WORDS = {
    "Expecting ','": "a comma is missing before this, or the bracket is of the wrong kind",
    "Expecting ':'": "a colon is missing before this",
    "Expecting property name": "a name in double quotes must stand here",
    "Expecting value": "a value must stand here, a text in double quotes",
    "Illegal trailing comma": _TRAILING_COMMA,
    "Unterminated string": "this text has no closing quote",
    "Invalid \\": "is no escape that JSON has: a backslash is written as \\\\",
    "Extra data": "a second value stands here: put several into a list, or each on its own line",
}


class _RepeatedNameError(ValueError):
    """An object has a name twice."""


def load_all(text: str) -> list[Any]:
    """Return the values of a text: one, or several that each begin a line.

    Raises:
        TextError: it is no JSON, or holds something that is refused.
    """
    decoder = json.JSONDecoder(
        object_pairs_hook=_object,
        parse_int=_integer,
        parse_float=_float,
        parse_constant=_constant,
    )
    found: list[Any] = []
    index = _skip(text, 0)
    try:
        while index < len(text) or not found:
            value, end = decoder.raw_decode(text, index)
            found.append(value)
            index = _begin_of_next(text, end)
        orjson.dumps(found)  # refuses halves of surrogate pairs
    except json.JSONDecodeError as error:
        index, problem = _syntax_problem(text, error)
        raise TextError(*position(text, index), problem, is_syntax=True) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise _placed(text, error) from None
    return found


def locate_all(text: str) -> list[dict[str, int]]:
    """Return the line of each path, for each value of a text that is JSON."""
    lines: list[dict[str, int]] = []
    document: dict[str, int] = {}
    for _ in _Walker(text, document.__setitem__).walk_all():
        lines.append(document.copy())
        document.clear()
    return lines


def _begin_of_next(text: str, end: int) -> int:
    """Return where the value after another begins, which must be on another line."""
    index = _skip(text, end)
    if index < len(text) and "\n" not in text[end:index]:
        raise json.JSONDecodeError("Extra data", text, index)
    return index


def is_meant(text: str) -> bool:
    """Tell whether a text that is no JSON was meant to be: the first thing in brackets is quoted.

    `{name: x}` is YAML, and so are several documents.
    """
    return _BEGINS.match(text) is not None and _NEXT_DOCUMENT.search(text) is None


def _syntax_problem(text: str, error: json.JSONDecodeError) -> tuple[int, str]:
    """Return the place of an error of syntax, and what is wrong, in our words."""
    if error.msg.startswith("Invalid control character"):
        return error.pos, "a control character in a text must be an escape, such as \\n or \\t"
    index = _skip(text, error.pos)
    if index == len(text):
        return index, "the text ends here, before all brackets and quotes are closed"
    before = text[:index].rstrip(_BLANKS)
    if text[index] in "]}" and before.endswith(","):
        return len(before) - 1, _TRAILING_COMMA
    if text.startswith(("//", "/*", "#"), index):
        return index, "JSON has no comments: take it out"
    if not before:
        return index, "JSON begins with { or [: a file in YAML must not be named .json"
    found = (words for begin, words in _WORDS.items() if error.msg.startswith(begin))
    return index, next(found, "is no JSON")


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
        for _ in walker.walk_all():
            pass
    except TextError as placed:
        return placed
    except json.JSONDecodeError as placed:
        return TextError(*position(text, placed.pos), _syntax_problem(text, placed)[1])
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

    def walk_all(self) -> Iterator[None]:
        """Check the values of the text; yield after each."""
        index = _skip(self._text, 0)
        while index < len(self._text):
            index = _skip(self._text, self.walk(index, "", 0))
            yield

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
