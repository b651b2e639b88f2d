"""Names with characters that nobody sees: two that look the same would be two.

A name is what a person reads, what events name their client by, and what routes an alert. It is
judged where a person writes it: what is stored already stays in force.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from stream_app.domain.configuration.integrations import ENV, FILE
from stream_app.domain.errors import InvalidObjectError
from stream_app.domain.foreign_text.printable import is_shapeless

if TYPE_CHECKING:
    from stream_app.domain.configuration.fields import Problems

#: Controls, what only formats, halves of surrogate pairs, and ends of lines.
_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: They part and join letters of Persian and of India, and make one emoji of several.
_JOINERS = "\u200c\u200d"
_SHOWN = 3


def trimmed(record: dict[str, object]) -> dict[str, object]:
    """Return an object without the line break that YAML's `|` leaves at the end of a name.

    A key has no white space around it either.
    """
    found = dict(record)
    if isinstance(name := record.get("name"), str):
        found["name"] = name.rstrip("\r\n")
    if isinstance(names := record.get("applications"), Mapping):
        found["applications"] = {
            number: text.rstrip("\r\n") if isinstance(text, str) else text
            for number, text in names.items()
        }
    target = record.get("target")
    if isinstance(target, Mapping) and isinstance(token := target.get("token"), str):
        found["target"] = {**target, "token": token.strip()}
    return found


def note_invisible(record: Mapping[str, object], problems: Problems) -> None:
    """Add a problem for each name of an object with characters that nobody sees."""
    known = {problem.path for problem in problems}
    for path, text in _names(record):
        if path not in known and (found := invisible(text)):
            listed = ", ".join(map(_named, found[:_SHOWN]))
            what = f"{listed}, …" if len(found) > _SHOWN else listed
            problems.append(
                InvalidObjectError(path, text, f"has characters that nobody sees: take out {what}")
            )


def invisible(text: str) -> list[str]:
    """Return the characters of a text that nobody sees, each once."""
    found: dict[str, None] = {}
    for place, character in enumerate(text):
        if character.isascii() and character.isprintable():
            continue
        if character in _JOINERS:
            around = text[place - 1 : place] + text[place + 1 : place + 2]
            is_seen = len(around) == len("ab") and not any(map(str.isascii, around))
        else:
            is_seen = unicodedata.category(character) not in _CATEGORIES
        if not is_seen or is_shapeless(character):
            found[character] = None
    return list(found)


def _named(character: str) -> str:
    code = f"U+{ord(character):04X}"
    name = unicodedata.name(character, "")
    return f"{code} ({name.lower()})" if name else code


def _names(record: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield path and text of what names something, or routes an alert."""
    texts = [("name", record.get("name"))]
    for field, names in (("applications", ()), ("alert", ("entity", "source"))):
        inner = record.get(field)
        if isinstance(inner, Mapping):
            texts += [(f"{field}.{key}", inner.get(key)) for key in names or inner]
    if isinstance(alert := record.get("alert"), Mapping):
        texts += _listed("alert.tags", alert.get("tags"))
        texts += _listed("alert.responders", alert.get("responders"))
    target = record.get("target")
    token = target.get("token") if isinstance(target, Mapping) else None
    if isinstance(token, str) and token.startswith((ENV, FILE)):
        texts.append(("target.token", token))
    yield from ((path, text) for path, text in texts if isinstance(text, str))


def _listed(path: str, items: object) -> Iterator[tuple[str, object]]:
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, Mapping):
            yield from ((f"{path}[{index}].{key}", text) for key, text in item.items())
        else:
            yield f"{path}[{index}]", item
