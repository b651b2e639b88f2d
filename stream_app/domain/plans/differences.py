"""Describes how a change alters the fields of a record: old → new."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.foreign_text.printable import quoted
from stream_app.domain.plans.keys import KEY_PATH, is_secret_name, shown_form
from stream_app.domain.plans.plan import Change

#: How many characters of a long value are shown, and how many of them before the first difference.
_MOST, _BEFORE = 160, 20
#: Fields by which a person tells the objects of a list apart, if no two are equal.
_NAMING_FIELDS = ("event", "id")


@dataclass(frozen=True)
class FieldDifference:
    """A field whose value changes; None: it is not set. A hidden one has no values.

    `added` and `removed` are the items that only one of two lists has.
    """

    path: str
    old: object = None
    new: object = None
    added: Sequence[object] = ()
    removed: Sequence[object] = ()
    is_hidden: bool = False

    def __str__(self) -> str:
        if self.is_hidden:
            text = "changed, and not shown"
        elif self.old is None and self.new is None:
            text = "is null, or not set, which is the same"
        elif self.added or self.removed:
            parts = {"added": self.added, "removed": self.removed}
            text = "; ".join(f"{word} {_items(items)}" for word, items in parts.items() if items)
        else:
            text = _pair(self.old, self.new)
        return f"{self.path}: {text}"

    def as_json(self) -> dict[str, object]:
        """Return the difference for JSON output."""
        values = {"field": self.path, "old": self.old, "new": self.new}
        return values | {"is_hidden": self.is_hidden}


def differences(change: Change) -> Iterator[FieldDifference]:
    """Yield each field that differs, without the values of secret ones."""
    if change.record is None or change.before is None:
        return
    old, new = change.before, change.record
    if change.kind is Kind.INTEGRATION:
        old, new = shown_form(old), shown_form(new)
    left = dict.fromkeys(change.fields)
    for found in _of_objects(old, new, ""):
        path = found.path
        named = next((f for f in change.fields if path == f or path.startswith(f"{f}[")), None)
        if named is None:
            continue
        left.pop(named, None)
        is_hidden = path != KEY_PATH and _is_secret(path)
        yield FieldDifference(path, is_hidden=True) if is_hidden else found
    for path in left:
        # Both are shown alike: two sealed keys, or a `null` in the file and a missing field.
        yield FieldDifference(path, is_hidden=_is_secret(path))


def _is_secret(path: str) -> bool:
    return is_secret_name(path.rpartition(".")[2])


def _of_objects(
    old: Mapping[str, object], new: Mapping[str, object], path: str
) -> Iterator[FieldDifference]:
    for name in sorted(old.keys() | new.keys()):
        yield from _between(old.get(name), new.get(name), f"{path}{name}")


def _between(old: object, new: object, path: str) -> Iterator[FieldDifference]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _of_objects(old, new, f"{path}.")
    elif isinstance(old, list) and isinstance(new, list):
        yield from _of_lists(old, new, path)
    elif old != new or type(old) is not type(new):
        yield FieldDifference(path, old, new)


def _of_lists(old: list[object], new: list[object], path: str) -> Iterator[FieldDifference]:
    """Compare objects of the same name field by field, other items as a whole."""
    before, after = _by_name(old), _by_name(new)
    if before is None or after is None:
        if old != new:
            added = [item for item in new if item not in old]
            removed = [item for item in old if item not in new]
            yield FieldDifference(path, old, new, added, removed)
        return
    for name in after:
        if name in before:
            yield from _between(before[name], after[name], f"{path}[{name}]")
    if list(before) != list(after):
        added = [item for name, item in after.items() if name not in before]
        removed = [item for name, item in before.items() if name not in after]
        yield FieldDifference(path, old, new, added, removed)


def _by_name(items: list[object]) -> dict[str, object] | None:
    """Return the objects of a list by their names; None: one has none, or two have the same."""
    found: dict[str, object] = {}
    for item in items:
        names = [item[n] for n in _NAMING_FIELDS if n in item] if isinstance(item, dict) else []
        if not names or not isinstance(names[0], str) or names[0] in found:
            return None
        found[names[0]] = item
    return found


def _items(items: Sequence[object]) -> str:
    text = ", ".join(map(quoted, items))
    return text if len(text) <= _MOST else f"{len(items):,}: {_part(text, 0)}"


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
