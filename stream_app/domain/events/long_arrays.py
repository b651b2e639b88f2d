"""Cuts long JSON arrays into pieces of whole elements, in short steps."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import NamedTuple

#: Most elements and bytes of a piece. A single element may be longer.
MAX_ELEMENTS = 500
MAX_PIECE_BYTES = 128 * 1024
#: Levels of nesting that the expression skips. Deeper ones are walked through.
_LEVELS = 64
#: Brackets between two pauses of that walk.
_BRACKETS = 20_000

_PLAIN = rb'[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+"'


def _nested(levels: int) -> bytes:
    inner = rb"(?:%b)*+" % _PLAIN
    for _ in range(levels):
        inner = rb"(?:%b|[\[{]%b[\]}])*+" % (_PLAIN, inner)
    return inner


#: Every quantifier is possessive, so no text makes the expression backtrack.
_ELEMENTS = re.compile(
    rb'(?:(?:[^"\[\]{},]++|"(?:[^"\\]++|\\.)*+"|[\[{]%b[\]}])++(?:,|(?=\]))){1,%d}+'
    % (_nested(_LEVELS), MAX_ELEMENTS),
    re.DOTALL,
)
_BRACKET = re.compile(rb"(?:%b)*+([\[{]|[\]}])" % _PLAIN, re.DOTALL)
_SCALAR = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[^"\[\]{},]++', re.DOTALL)
_COMMA = re.compile(rb"[ \t\r\n]*+,")
_BLANK = re.compile(rb"[ \t\r\n]*+")


class ElementRange(NamedTuple):
    """Whole elements of an array, from `start` up to `end`, without the comma behind them."""

    start: int
    end: int


def cut(text: bytes, start: int) -> Iterator[ElementRange | None]:
    """Yield the pieces of the array whose first bracket stands before `start`.

    `None` is a pause in a long search. The text must be valid JSON.
    """
    start = _blank(text, start)
    while text[start : start + 1] != b"]":
        found = _ELEMENTS.match(text, start, start + MAX_PIECE_BYTES)
        end = found.end() if found else (yield from _long_element(text, start))
        has_comma = text[end - 1 : end] == b","
        yield ElementRange(start, end - has_comma)
        start = _blank(text, end)


def _blank(text: bytes, start: int) -> int:
    """Return the end of the white space at `start`, if there is any."""
    found = _BLANK.match(text, start)
    return found.end() if found else start


def _long_element(text: bytes, start: int) -> Generator[None, None, int]:
    """Return the end of an element that is too long or too deep, including its comma."""
    scalar = _SCALAR.match(text, start)
    end = scalar.end() if scalar else (yield from _end_of_nested(text, start))
    comma = _COMMA.match(text, end)
    return comma.end() if comma else end


def _end_of_nested(text: bytes, start: int) -> Generator[None, None, int]:
    depth = 0
    for number, found in enumerate(_BRACKET.finditer(text, start), 1):
        depth += 1 if found[1] in b"[{" else -1
        if not depth:
            return found.end()
        if not number % _BRACKETS:
            yield
    return len(text)
