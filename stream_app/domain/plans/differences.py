"""Describes how a change alters the fields of a record: old → new."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import TYPE_CHECKING

from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.foreign_text.printable import quoted
from stream_app.domain.plans.keys import KEY_PATH, is_secret_name, shown_form

if TYPE_CHECKING:
    from stream_app.domain.plans.plan import Change

#: How many characters of a long value are shown, and how many of them before the first difference.
_MOST, _BEFORE = 160, 20
_NOT_SHOWN = "changes, and is not shown"


def difference_lines(change: Change) -> Iterator[str]:
    """Yield a line for each field that differs; the values of a secret field are not shown."""
    if change.record is None or change.before is None:
        return
    old, new = change.before, change.record
    if change.kind is Kind.INTEGRATION:
        old, new = shown_form(old), shown_form(new)
    left = dict.fromkeys(change.fields)
    for path, before, after in _differences(old, new, ""):
        named = next((f for f in change.fields if path == f or path.startswith(f"{f}[")), None)
        if named is None:
            continue
        left.pop(named, None)
        is_secret = path != KEY_PATH and is_secret_name(path.rpartition(".")[2])
        yield f"{path}: {_NOT_SHOWN if is_secret else _pair(before, after)}"
    for path in left:
        # Both are shown alike: two sealed keys, or a `null` in the file and a missing field.
        is_secret = is_secret_name(path.rpartition(".")[2])
        yield f"{path}: {_NOT_SHOWN if is_secret else 'is null, or not set, which is the same'}"


def _differences(
    old: Mapping[str, object], new: Mapping[str, object], path: str
) -> Iterator[tuple[str, object, object]]:
    for name in sorted(old.keys() | new.keys()):
        yield from _between(old.get(name), new.get(name), f"{path}{name}")


def _between(old: object, new: object, path: str) -> Iterator[tuple[str, object, object]]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _differences(old, new, f"{path}.")
    elif isinstance(old, list) and isinstance(new, list) and _is_of_objects(old, new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _between(before, after, f"{path}[{index}]")
    elif old != new or type(old) is not type(new):
        yield path, old, new


def _is_of_objects(old: list[object], new: list[object]) -> bool:
    """Return whether lists are compared item by item; lists of ids and values are shown whole."""
    return len(old) == len(new) and all(isinstance(item, dict) for item in (*old, *new))


def _pair(old: object, new: object) -> str:
    before, after = quoted(old), quoted(new)
    if max(len(before), len(after)) > _MOST:
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, after)))  # noqa: B905 - one may be longer
        begin = max(0, same - _BEFORE)
        before, after = _part(before, begin), _part(after, begin)
    return f"{before} → {after}"


def _part(text: str, begin: int) -> str:
    end = begin + _MOST
    return ("…" if begin else "") + text[begin:end] + ("…" if len(text) > end else "")
