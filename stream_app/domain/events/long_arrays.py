"""Long JSON arrays, cut into pieces of whole elements, none of which takes long to find."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import NamedTuple

#: A piece has no more elements, and is no longer (unless it is one element).
MAX_ELEMENTS = 500
MAX_PIECE_BYTES = 128 * 1024
#: Levels that are skipped by one look. What is nested deeper is walked through.
_LEVELS = 64
#: Brackets of what is walked through between two pauses.
_BRACKETS = 20_000

_PLAIN = rb'[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+"'


def _nested(levels: int) -> bytes:
    inner = rb"(?:%b)*+" % _PLAIN
    for _ in range(levels):
        inner = rb"(?:%b|[\[{]%b[\]}])*+" % (_PLAIN, inner)
    return inner


#: Every quantifier keeps what it has taken: no text makes this try anything twice.
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

    `None` is a pause in a search that takes long. The text must be a valid one.
    """
    start = _blank(text, start)
    while text[start : start + 1] != b"]":
        found = _ELEMENTS.match(text, start, start + MAX_PIECE_BYTES)
        end = found.end() if found else (yield from _long_element(text, start))
        has_comma = text[end - 1 : end] == b","
        yield ElementRange(start, end - has_comma)
        start = _blank(text, end)


def _blank(text: bytes, start: int) -> int:
    """Return where the white space ends that begins at `start`, if any does."""
    found = _BLANK.match(text, start)
    return found.end() if found else start


def _long_element(text: bytes, start: int) -> Generator[None, None, int]:
    """Return the end of an element that is too long or too deep, with the comma behind it."""
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
