"""Names with invisible characters are refused: names that look the same must be the same.

People read names, events name their client, and names route alerts. They are checked when a person
writes them: those that are stored already stay in force.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping

from stream_app.domain.configuration.fields import Problems
from stream_app.domain.configuration.integrations import ENV_PREFIX, FILE_PREFIX
from stream_app.domain.errors import InvalidObjectError
from stream_app.domain.foreign_text.printable import is_shapeless

#: Control and format characters, lone surrogates, and separators of lines and paragraphs.
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: They separate and join letters of Persian and Indian scripts, and combine emoji into one.
_JOINERS = "\u200c\u200d"
_MOST_NAMED = 3


def trimmed(record: dict[str, object]) -> dict[str, object]:
    """Return an object without the line breaks that YAML's `|` leaves at the end of names.

    White space around its key is removed, too.
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


def note_invisible_characters(record: Mapping[str, object], problems: Problems) -> None:
    """Add a problem for each of an object's names that has invisible characters."""
    known = {problem.path for problem in problems}
    for path, text in _names(record):
        if path not in known and (found := invisible_characters(text)):
            listed = ", ".join(map(_code_and_name, found[:_MOST_NAMED]))
            what = f"{listed}, …" if len(found) > _MOST_NAMED else listed
            problems.append(
                InvalidObjectError(path, text, f"has characters that nobody sees: take out {what}")
            )


def invisible_characters(text: str) -> list[str]:
    """Return the invisible characters of a text, each once."""
    found: dict[str, None] = {}
    for place, character in enumerate(text):
        if character.isascii() and character.isprintable():
            continue
        if character in _JOINERS:
            # Between two letters that are not ASCII its effect is visible.
            neighbours = (text[place - 1 : place], text[place + 1 : place + 2])
            is_visible = not any(map(str.isascii, neighbours))
        else:
            is_visible = unicodedata.category(character) not in _INVISIBLE_CATEGORIES
        if not is_visible or is_shapeless(character):
            found[character] = None
    return list(found)


def _code_and_name(character: str) -> str:
    code = f"U+{ord(character):04X}"
    name = unicodedata.name(character, "")
    return f"{code} ({name.lower()})" if name else code


def _names(record: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield (path, text) of each field that names something or routes an alert."""
    texts = [("name", record.get("name"))]
    if isinstance(applications := record.get("applications"), Mapping):
        texts += [(f"applications.{number}", name) for number, name in applications.items()]
    if isinstance(alert := record.get("alert"), Mapping):
        texts += [(f"alert.{option}", alert.get(option)) for option in ("entity", "source")]
        texts += _listed("alert.tags", alert.get("tags"))
        texts += _listed("alert.responders", alert.get("responders"))
    target = record.get("target")
    token = target.get("token") if isinstance(target, Mapping) else None
    if isinstance(token, str) and token.startswith((ENV_PREFIX, FILE_PREFIX)):
        texts.append(("target.token", token))
    yield from ((path, text) for path, text in texts if isinstance(text, str))


def _listed(path: str, items: object) -> Iterator[tuple[str, object]]:
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, Mapping):
            yield from ((f"{path}[{index}].{key}", text) for key, text in item.items())
        else:
            yield f"{path}[{index}]", item
