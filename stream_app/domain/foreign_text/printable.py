r"""Foreign text made fit to be looked at: what a terminal would obey or hide becomes visible.

Names, ids, summaries, headers, reasons and errors of services are written by strangers, and a
terminal is a program that runs what it is sent. All that reaches one goes through `printable`:
control characters, what turns the direction of a text around, what has no shape, and heaps of
combining marks are shown as the escapes of a string, as `\x1b` and `\u202e`.

Doing it twice is the same as doing it once, so a layer need not know whether another has done it.
The price: a name with a backslash, an x and two digits in it looks as an escape does. JSON output
tells them apart.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from types import UnionType

#: What Python counts as printable, and is seen by nobody: fillers, joiners, selectors, the blank
#: of Braille. Of the combining marks those without a shape.
_SHAPELESS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0d\uffa0"
    "\U0001d159\U000e0100-\U000e01ef]"
)
#: Marks on one letter: Hebrew, Thai and Vietnamese have at most three.
_MOST_MARKS = 4
_MARKS = frozenset({"Mn", "Me"})
#: How deep a value is shown: one of an alias in YAML may hold itself.
_DEEPEST = 20
#: Kinds of values in a person's words; true is a number, too.
_KINDS: tuple[tuple[type | UnionType, str], ...] = (
    (bool, "true or false"),
    (int | float, "a number"),
    (str, "a text"),
    (Mapping, "an object"),
    (list | tuple, "a list"),
)


def printable(text: str) -> str:
    """Return text as one line in which each character is seen, and none does anything."""
    if text.isascii() and text.isprintable():
        return text
    return _visible(text, _as_escape)


def is_shapeless(character: str) -> bool:
    """Tell whether a character is one that Python counts as printable, and nobody sees."""
    return _SHAPELESS.match(character) is not None


def printable_lines(text: str) -> str:
    """Return text of several lines: the line feeds stay, nothing else that acts does."""
    return "\n".join(map(printable, text.split("\n")))


def printable_json(document: str) -> str:
    """Return a JSON document that means the same, with nothing in it that acts on a terminal."""
    return "\n".join(_visible(line, _as_json_escape) for line in document.split("\n"))


def quoted(value: object) -> str:
    """Return a value as a person writes it in a file, texts in quotes."""
    return _written(value, 0)


def kind_of_value(value: object) -> str:
    """Return what a value of a file is, in a person's words and with its article."""
    found = (words for kind, words in _KINDS if isinstance(value, kind))
    return next(found, "nothing" if value is None else "of another kind")


def value_text(value: object) -> str:
    """Return a value as a person writes it in a file, a text as it is."""
    return printable(value) if isinstance(value, str) else _written(value, 0)


def _written(value: object, depth: int) -> str:
    match value:
        case None:
            text = "null" if depth else "not set"
        case bool():
            text = "true" if value else "false"
        case str():
            mark = '"' if "'" in value and '"' not in value else "'"
            text = f"{mark}{printable(value)}{mark}"
        case Mapping() | list() | tuple() if depth == _DEEPEST:
            text = "…"
        case Mapping():
            items = (
                f"{_written(k, depth + 1)}: {_written(v, depth + 1)}" for k, v in value.items()
            )
            text = f"{{{', '.join(items)}}}"
        case list() | tuple():
            text = f"[{', '.join(_written(item, depth + 1) for item in value)}]"
        case _:
            text = printable(str(value))
    return text


def _visible(text: str, escape: Callable[[str], str]) -> str:
    # At the beginning a mark would land on what stands before the text.
    shown, marks = [], _MOST_MARKS
    for character in text:
        if not character.isprintable() or is_shapeless(character):
            shown.append(escape(character))
            marks = _MOST_MARKS
        elif unicodedata.category(character) not in _MARKS:
            shown.append(character)
            marks = 0
        else:
            shown.append(character if marks < _MOST_MARKS else escape(character))
            marks += 1
    return "".join(shown)


def _as_escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _as_json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(rf"\u{units[i : i + 4]}" for i in range(0, len(units), 4))
