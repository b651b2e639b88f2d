"""The known fields of configured objects at every level, and the check for unknown ones.

A file that a person writes may have no others: with `filter` instead of `filters`, a trigger would
count everything. An answer of the API has further fields, which are passed over and not kept. A
record in Kafka may come from a newer version, so the readers of records pass over unknown fields.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

from stream_app.domain.configuration.alert_options import ALERT, AlertOptions, Responder
from stream_app.domain.configuration.fields import HIDDEN, Problems
from stream_app.domain.configuration.repeat_options import RepeatOptions
from stream_app.domain.errors import UnknownFieldError

#: Field -> the fields of the object or of the listed objects in it; None if it may hold anything.
FieldTree = Mapping[str, "FieldTree | None"]

#: The API's second form of `threshold`; the trigger's reader refuses one that differs.
_THRESHOLDS = "thresholds"
_IDENTITY: FieldTree = {"id": None, "client_id": None, "name": None}
_CREATION: FieldTree = {"created_at": None, "created_by": None}
_ALERT_OPTIONS: FieldTree = {
    **dict.fromkeys(AlertOptions.__struct_fields__),
    **dict.fromkeys(RepeatOptions.__struct_fields__),
    "responders": dict.fromkeys(Responder.__struct_fields__),
}
#: Kind -> its fields in the stored form.
FIELD_TREES: Mapping[str, FieldTree] = {
    "client": {"client_id": None, "name": None, "cloud": None, "applications": None},
    "integration": {
        **_IDENTITY,
        **_CREATION,
        "active": None,
        "type": None,
        "target": {"api": None, "token": None},
        "events": dict.fromkeys(("event", "active", "with_headers")),
        ALERT: _ALERT_OPTIONS,
    },
    "trigger": {
        **_IDENTITY,
        **_CREATION,
        "comment": None,
        "enabled": None,
        "template_id": None,
        "filters": dict.fromkeys(("id", "operator", "values", "required", "allowed_operators")),
        "threshold": dict.fromkeys(("count", "period", "operator", "allowed_operators")),
        _THRESHOLDS: None,
        "actions": {"id": None, "params": dict.fromkeys(("integration_ids", "lock_time"))},
    },
}
#: Without these fields a trigger counts more than was meant; an answer always has them.
_LIMITING_FIELDS = ("filters", "threshold")
#: Fields by which the kind of an object is recognised.
_KIND_FIELDS = ("kind", "trigger", "triggers", "template_id", "target", "events", "name", "cloud")
#: Least similarity of two names, as difflib measures it.
_CLOSE, _VERY_CLOSE = 0.6, 0.8
#: Names that are shown. Any other may be a key in the wrong place: keys have many digits.
_SHOWN_NAME = re.compile(r"(?!(?:[^0-9]*[0-9]){5})[A-Za-z_][A-Za-z0-9_.-]{0,39}")


def note_unknown_fields(
    kind: str, record: Mapping[str, object], problems: Problems, *, is_lenient: bool
) -> None:
    """Add a problem for each unknown field of an object from a file.

    A lenient check is for objects from the API. It reports only unknown fields of `alert`, which
    is our own object, and fields that look like a misspelt filter or threshold that is missing.
    """
    if not is_lenient:
        problems += _unknown(record, FIELD_TREES[kind], "")
        return
    options = record.get(ALERT)
    if kind == "integration" and options is not None:
        problems += _unknown(options, _ALERT_OPTIONS, ALERT)
    missing = [
        name for name in _LIMITING_FIELDS if name in FIELD_TREES[kind] and name not in record
    ]
    for name in record:
        meant = difflib.get_close_matches(name, missing, 1, _VERY_CLOSE)
        if meant and name not in FIELD_TREES[kind]:
            problems.append(UnknownFieldError(_shown(name), f"did you mean {meant[0]}?"))


def known_part(kind: str, record: Mapping[str, object]) -> dict[str, object]:
    """Return an object without its unknown fields."""
    return _known_object(record, FIELD_TREES[kind])


def unknown_paths(kind: str, record: Mapping[str, object]) -> list[str]:
    """Return the paths of an object's unknown fields."""
    return [problem.path for problem in _unknown(record, FIELD_TREES[kind], "")]


def hint_for_unknown_kind(obj: Mapping[str, object]) -> str:
    """Return a hint at a misspelt field in an object of unknown kind; empty if there is none."""
    for name in obj:
        meant = difflib.get_close_matches(str(name), _KIND_FIELDS, 1, _VERY_CLOSE)
        if meant and name not in _KIND_FIELDS:
            return f": {_shown(name)}: did you mean {meant[0]}?"
    return ""


def _unknown(value: object, tree: FieldTree, path: str) -> Iterator[UnknownFieldError]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown(item, tree, f"{path}[{index}]")
    if not isinstance(value, Mapping):
        return  # its reader refuses a wrong type
    for name, inner in value.items():
        before = f"{path}." if path else ""
        if name not in tree:
            yield UnknownFieldError(f"{before}{_shown(name)}", _hint(name, tree))
        elif (known := tree[name]) is not None:
            yield from _unknown(inner, known, f"{before}{name}")


def _hint(name: str, tree: FieldTree) -> str:
    names = [known for known in tree if known != _THRESHOLDS]
    meant = difflib.get_close_matches(name.lower(), names, 1, _CLOSE)
    return f"did you mean {meant[0]}?" if meant else f"use {', '.join(names)}"


def _shown(name: str) -> str:
    return name if _SHOWN_NAME.fullmatch(name) else HIDDEN


def _known_object(value: Mapping[str, object], tree: FieldTree) -> dict[str, object]:
    return {
        name: inner if (known := tree[name]) is None else _known(inner, known)
        for name, inner in value.items()
        if name in tree
    }


def _known(value: object, tree: FieldTree) -> object:
    if isinstance(value, list):
        return [_known(item, tree) for item in value]
    return _known_object(value, tree) if isinstance(value, Mapping) else value
