"""What an event must have beyond the types of its fields: a client, and an envelope that is one."""

from __future__ import annotations

from stream_app.contract.structs import Schema
from stream_app.domain.event_shapes import NEW_HITS
from stream_app.domain.events import TIME_FIELDS, EventKind

_SET: Schema = {"not": {"type": "null"}}
_NAME: Schema = {"type": "string", "minLength": 1}
_OBJECT: Schema = {"type": "object"}
_SECONDS: Schema = {
    "if": {"type": "string"},
    "then": {"pattern": "^-?[0-9]{1,15}([.][0-9]{1,9})?$", "$comment": "a number of seconds"},
}


def event_rules(kind: EventKind) -> list[Schema]:
    """Return the rules of a kind, for an `allOf`."""
    flat = [_flat_client(), _time(kind)]
    if kind is not EventKind.HITS:
        envelope = _in_details({**_OBJECT, **_with("notification_type", _SET)})
        words = "no envelope: only that of a hit is documented"
        return [*flat, {"not": envelope, "$comment": words}]
    about = {"anyOf": [_with("notification_type", _SET), _with("hit", _SET)]}
    envelope = _in_details({**_OBJECT, **about})
    return [{"if": envelope, "then": _enveloped(kind), "else": {"allOf": flat}}]


def _flat_client() -> Schema:
    ways = [_with("client_id", _SET), _with("client_name", _NAME)]
    return {
        "anyOf": ways,
        "$comment": "an event that says whose it is, by client_id or client_name",
    }


def _time(kind: EventKind) -> Schema:
    """Return the rule of the older time: it is read where the present one is missing."""
    return {
        "if": _with(TIME_FIELDS[kind], _SET),
        "else": {"properties": {"time": _SECONDS}},
    }


def _enveloped(kind: EventKind) -> Schema:
    hit = {**_OBJECT, **_time(kind)}
    details = {
        "required": ["notification_type", "hit"],
        "properties": {"notification_type": {"const": NEW_HITS}, "hit": hit},
    }
    ways = [
        _with("client_id", _SET),
        _in_details(_with("hit", _with("client_id", _SET))),
        _in_details(_with("client_name", _NAME)),
    ]
    words = "an envelope that says whose it is, by client_id or details.client_name"
    return {"properties": {"details": details}, "anyOf": ways, "$comment": words}


def _in_details(schema: Schema) -> Schema:
    return _with("details", schema)


def _with(name: str, schema: Schema) -> Schema:
    return {"required": [name], "properties": {name: schema}}
