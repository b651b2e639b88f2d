"""The fields of configured objects, at every level, and what a file may not have beside them.

A file that a person writes is held to them: `filter` for `filters` would be a trigger that counts
everything. An answer of the API has fields of its own, which are passed over and not kept. A
record in Kafka may be of a newer version, so the readers of records pass over what they don't know.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

from stream_app.domain.configuration.alert_options import ALERT, AlertOptions, Responder
from stream_app.domain.configuration.fields import HIDDEN, Problems
from stream_app.domain.errors import UnknownFieldError

#: Names of fields, and what stands in them: an object or objects in a list, or anything (None).
FieldTree = Mapping[str, "FieldTree | None"]

#: The API's second form of `threshold`. One that says something else is told by its reader.
_REPEATED = "thresholds"
_WHOSE: FieldTree = {"id": None, "client_id": None, "name": None}
_MADE: FieldTree = {"created_at": None, "created_by": None}
_OPTIONS: FieldTree = {
    **dict.fromkeys(AlertOptions.__struct_fields__),
    "responders": dict.fromkeys(Responder.__struct_fields__),
}
#: By kind, in the form that `flattened` gives.
FIELD_TREES: Mapping[str, FieldTree] = {
    "client": {"client_id": None, "name": None, "cloud": None, "applications": None},
    "integration": {
        **_WHOSE,
        **_MADE,
        "active": None,
        "type": None,
        "target": {"api": None, "token": None},
        "events": dict.fromkeys(("event", "active", "with_headers")),
        ALERT: _OPTIONS,
    },
    "trigger": {
        **_WHOSE,
        **_MADE,
        "comment": None,
        "enabled": None,
        "template_id": None,
        "filters": dict.fromkeys(("id", "operator", "values", "required", "allowed_operators")),
        "threshold": dict.fromkeys(("count", "period", "operator", "allowed_operators")),
        _REPEATED: None,
        "actions": {"id": None, "params": dict.fromkeys(("integration_ids", "lock_time"))},
    },
}
#: Without these a trigger counts more than was meant; an answer always has them.
_DECISIVE = ("filters", "threshold")
#: What tells of which kind an object is.
_TELLING = ("kind", "trigger", "triggers", "template_id", "target", "events", "name", "cloud")
_CLOSE, _VERY_CLOSE = 0.6, 0.8
#: What is no such name may be a key in the wrong place, and is not shown: keys have many digits.
_NAME = re.compile(r"(?!(?:[^0-9]*[0-9]){5})[A-Za-z_][A-Za-z0-9_.-]{0,39}")


def note_unknown_fields(
    kind: str, record: Mapping[str, object], problems: Problems, *, is_lenient: bool
) -> None:
    """Add the fields that nobody knows to the problems of an object from a file.

    In what comes from the API only those of `alert` are, which is this project's own, and one that
    reads like a slip for a field that decides what is counted, and which is not there.
    """
    if not is_lenient:
        problems += _unknown(record, FIELD_TREES[kind], "")
        return
    options = record.get(ALERT)
    if kind == "integration" and options is not None:
        problems += _unknown(options, _OPTIONS, ALERT)
    missing = [name for name in _DECISIVE if name in FIELD_TREES[kind] and name not in record]
    for name in record:
        meant = difflib.get_close_matches(name, missing, 1, _VERY_CLOSE)
        if meant and name not in FIELD_TREES[kind]:
            problems.append(UnknownFieldError(_shown(name), f"did you mean {meant[0]}?"))


def known_part(kind: str, record: Mapping[str, object]) -> dict[str, object]:
    """Return an object without the fields that nobody knows."""
    return _known_object(record, FIELD_TREES[kind])


def unknown_paths(kind: str, record: Mapping[str, object]) -> list[str]:
    """Return where an object has fields that nobody knows."""
    return [problem.path for problem in _unknown(record, FIELD_TREES[kind], "")]


def hint_of_no_kind(obj: Mapping[str, object]) -> str:
    """Return what may have been meant in an object that is of no kind; empty when nothing."""
    for name in obj:
        meant = difflib.get_close_matches(str(name), _TELLING, 1, _VERY_CLOSE)
        if meant and name not in _TELLING:
            return f": {_shown(name)}: did you mean {meant[0]}?"
    return ""


def _unknown(value: object, shape: FieldTree, path: str) -> Iterator[UnknownFieldError]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown(item, shape, f"{path}[{index}]")
    if not isinstance(value, Mapping):
        return  # of a wrong type, which its reader tells
    for name, inner in value.items():
        before = f"{path}." if path else ""
        if name not in shape:
            yield UnknownFieldError(f"{before}{_shown(name)}", _hint(name, shape))
        elif (known := shape[name]) is not None:
            yield from _unknown(inner, known, f"{before}{name}")


def _hint(name: str, shape: FieldTree) -> str:
    names = [known for known in shape if known != _REPEATED]
    meant = difflib.get_close_matches(name.lower(), names, 1, _CLOSE)
    return f"did you mean {meant[0]}?" if meant else f"use {', '.join(names)}"


def _shown(name: str) -> str:
    return name if _NAME.fullmatch(name) else HIDDEN


def _known_object(value: Mapping[str, object], shape: FieldTree) -> dict[str, object]:
    return {
        name: inner if (known := shape[name]) is None else _known(inner, known)
        for name, inner in value.items()
        if name in shape
    }


def _known(value: object, shape: FieldTree) -> object:
    if isinstance(value, list):
        return [_known(item, shape) for item in value]
    return _known_object(value, shape) if isinstance(value, Mapping) else value
