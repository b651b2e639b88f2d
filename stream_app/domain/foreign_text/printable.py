r"""Foreign text made safe to show: characters that a terminal obeys or hides become visible.

Strangers write names, ids, summaries, headers, reasons and errors of services, and a terminal
carries out what it is sent. So all text for a terminal goes through `printable`, which shows some
characters as escapes such as `\x1b` and `\u202e`: control characters, those that change the
direction of text, those without a shape, and combining marks beyond a few on one letter.

Applying it twice changes nothing, so a layer need not know whether another one has applied it. The
price: a name that contains a backslash, an x and two digits looks like an escape. JSON output
tells them apart.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from types import UnionType

#: Characters that Python counts as printable and nobody sees: fillers, joiners, selectors, the
#: blank of Braille, and combining marks without a shape.
_SHAPELESS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0d\uffa0"
    "\U0001d159\U000e0100-\U000e01ef]"
)
#: Most combining marks shown on one letter: Hebrew, Thai and Vietnamese have at most three.
_MOST_MARKS = 4
_MARK_CATEGORIES = frozenset({"Mn", "Me"})
_PLAIN_NAME = re.compile(r"-?[A-Za-z0-9_]+")
#: How deep a value is shown: through an alias in YAML it may contain itself.
_DEEPEST = 20
#: Types of values in a person's words. The order matters: Python's booleans are numbers, too.
_KINDS: tuple[tuple[type | UnionType, str], ...] = (
    (bool, "true or false"),
    (int | float, "a number"),
    (str, "a text"),
    (Mapping, "an object"),
    (list | tuple, "a list"),
)


def printable(text: str) -> str:
    """Return text as one line in which every character is visible, and none acts on a terminal."""
    if text.isascii() and text.isprintable():
        return text
    return _visible(text, _as_escape)


def is_shapeless(character: str) -> bool:
    """Tell whether nobody sees a character, though Python counts it as printable."""
    return _SHAPELESS.match(character) is not None


def printable_lines(text: str) -> str:
    """Return text of several lines made printable; only its line feeds stay."""
    return "\n".join(map(printable, text.split("\n")))


def printable_json(document: str) -> str:
    """Return an equal JSON document in which nothing acts on a terminal."""
    return "\n".join(_visible(line, _as_json_escape) for line in document.split("\n"))


def quoted(value: object) -> str:
    """Return a value as a person would write it in a file, with texts in quotes."""
    return _written(value, 0)


def kind_of_value(value: object) -> str:
    """Return the type of a value from a file in a person's words, with an article."""
    found = (words for kind, words in _KINDS if isinstance(value, kind))
    return next(found, "nothing" if value is None else "of another kind")


def value_text(value: object) -> str:
    """Return a value as a person would write it in a file, with texts unquoted."""
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
            items = (f"{_name_written(k)}: {_written(v, depth + 1)}" for k, v in value.items())
            text = f"{{{', '.join(items)}}}"
        case list() | tuple():
            text = f"[{', '.join(_written(item, depth + 1) for item in value)}]"
        case _:
            text = printable(str(value))
    return text


def _name_written(name: object) -> str:
    """Return the name of a field, without quotes where a file needs none."""
    text = str(name)
    return text if _PLAIN_NAME.fullmatch(text) else _written(text, 0)


def _visible(text: str, escape: Callable[[str], str]) -> str:
    # A mark at the beginning would land on the character before the text.
    shown, marks = [], _MOST_MARKS
    for character in text:
        if not character.isprintable() or is_shapeless(character):
            shown.append(escape(character))
            marks = _MOST_MARKS
        elif unicodedata.category(character) not in _MARK_CATEGORIES:
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
