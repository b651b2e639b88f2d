"""Reads YAML that people wrote, by the core schema of YAML 1.2, and writes it.

`NO`, `yes`, `on`, `1:00` and dates are texts. `010` is ten to some readers and eight to others, so
it is an error; so is `.inf`, which JSON does not have. Repeated keys, anchors, aliases, merge keys
and tags are refused. Without aliases a small file cannot expand into a large value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from stream_app.domain.foreign_text.printable import printable, printable_lines

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # pragma: no cover - the library was built without its C part
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

#: Deeper than any object; the API's answers have seven levels.
MAX_DEPTH = 50
_VERSION = (1, 2)
_LEAST, _MOST = -(2**63), 2**64 - 1
_MAX_DIGITS = 20
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
#: First characters of a number; a text that begins otherwise is none.
_NUMERIC = frozenset("+-.0123456789")
INTEGER = re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z")
FLOAT = re.compile(
    r"(?:[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))\Z"
)
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_NO_JSON = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
#: Characters that YAML does not allow, and three that only some readers take for line ends.
_UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)

_INT_TAG, _FLOAT_TAG = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"

#: Called with the path and the line of each object, list and value of a document.
NotePlace = Callable[[str, int], None]


@dataclass
class TextError(Exception):
    """A text that cannot be read: `line` and `column` count from 1.

    `is_syntax`: the text is not of this form at all, rather than refused.
    """

    line: int
    column: int
    problem: str
    is_syntax: bool = False

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.problem}"

    @property
    def place(self) -> tuple[int, int]:
        """Line and column."""
        return self.line, self.column


def load_all(text: str, place: NotePlace | None = None) -> Iterator[Any]:
    """Yield the documents of a text as plain JSON values.

    Args:
        text: without a byte order mark.
        place: called with the line of each path. It is slow, so only errors use it.

    Raises:
        TextError: it is no YAML, or holds something that is refused.
    """
    if found := _UNPRINTABLE.search(text):
        line, column = position(text, found.start())
        problem = f"the character U+{ord(found[0]):04X} must be written as an escape in quotes"
        raise TextError(line, column, problem)
    events = yaml.parse(text, _Loader)
    try:
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if event.version not in (None, _VERSION):
                    raise _error(event, "it is read as YAML 1.2: take `%YAML` out")
                yield _Builder(events, place).value(next(events), "", 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise TextError(line, column, error.problem or "is no YAML", is_syntax=True) from None


def dump_all(documents: Iterable[object]) -> str:
    """Return documents as YAML that `load_all` and readers of YAML 1.1 read back unchanged."""
    text = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    # Such characters are in double quotes, where YAML has the same escapes.
    return printable_lines(text)


def position(text: str, index: int) -> tuple[int, int]:
    """Return line and column of a character."""
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


def _represent_text(dumper: Any, data: str) -> yaml.Node:
    """Return the node of a text, in double quotes if it needs an escape."""
    style = None if printable(data) == data else '"'
    node: yaml.Node = dumper.represent_scalar("tag:yaml.org,2002:str", data, style)
    return node


class _Dumper(yaml.SafeDumper):
    """Quotes each text that YAML 1.1 or 1.2 would read as something else."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's name and way
        first: [
            *yaml.SafeDumper.yaml_implicit_resolvers.get(first, []),
            *((tag, pattern) for tag, pattern in ((_INT_TAG, INTEGER), (_FLOAT_TAG, FLOAT))),
        ]
        for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *_NUMERIC}
    }

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
        """Repeat equal values: `load_all` refuses aliases."""
        return True

    yaml_representers = {  # noqa: RUF012 - PyYAML's name and way
        **yaml.SafeDumper.yaml_representers,
        str: _represent_text,
    }


class _Builder:
    """Makes the value of one document from the parser's events."""

    def __init__(self, events: Iterator[Any], place: NotePlace | None) -> None:
        self._events = events
        self._place = place

    def value(self, event: Any, path: str, depth: int) -> Any:
        """Return the value that begins with an event."""
        if isinstance(event, yaml.AliasEvent):
            raise _error(event, "aliases (`*name`) are refused: write the value itself")
        if event.anchor is not None:
            raise _error(event, "anchors (`&name`) are refused: take it out")
        if event.tag is not None:
            raise _error(event, "tags (`!name`) are refused: take it out")
        if depth > MAX_DEPTH:
            raise _error(event, f"is nested deeper than {MAX_DEPTH} levels")
        if self._place is not None:
            self._place(path, event.start_mark.line + 1)
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._items(path, depth)
        return self._fields(path, depth)

    def _items(self, path: str, depth: int) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self.value(event, f"{path}[{len(found)}]", depth + 1))
        return found

    def _fields(self, path: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        lines: dict[str, int] = {}
        before = f"{path}." if path else ""
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event)
            line = event.start_mark.line + 1
            if key in found:
                raise _error(event, f"this key stands twice, first in line {lines[key]}")
            lines[key] = line
            found[key] = self.value(next(self._events), f"{before}{key}", depth + 1)
            if self._place is not None:
                self._place(f"{before}{key}", line)
        return found

    def _key(self, event: Any) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise _error(event, "a key must be a text or a number")
        if event.anchor is not None or event.tag is not None:
            raise _error(event, "anchors and tags are refused: take it out")
        if event.value == "<<" and event.implicit[0]:
            raise _error(event, "merge keys (`<<`) are refused: write the fields themselves")
        key = _scalar(event)
        return str(key) if type(key) is int else event.value


def _scalar(event: Any) -> Any:
    text = event.value
    if not event.implicit[0]:
        return text  # in quotes, or a block
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _NUMERIC:
        return text
    if _LEADING_ZERO.fullmatch(text):
        problem = "a number that begins with 0 is read in two ways: take the 0 away, or put it in"
        raise _error(event, f"{problem} quotes if it is a text (octal: 0o)")
    if INTEGER.match(text):
        return _integer(event, text)
    if _NO_JSON.fullmatch(text):
        raise _error(event, "is no number that JSON has")
    return _float(event, text) if FLOAT.match(text) else text


def _integer(event: Any, text: str) -> int:
    number = int(text, 0) if len(text) <= _MAX_DIGITS + 1 else _MOST + 1
    if not _LEAST <= number <= _MOST:
        raise _error(event, "is a number beyond 64 bits")
    return number


def _float(event: Any, text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _error(event, "is a number beyond 64 bits")
    return number


def _error(event: Any, problem: str) -> TextError:
    mark = event.start_mark
    return TextError(mark.line + 1, mark.column + 1, problem)
