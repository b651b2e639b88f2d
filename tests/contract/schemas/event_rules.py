"""Rules of events beyond the types of their fields: a client, older names, the envelope."""

from __future__ import annotations

from stream_app.domain.events.model import TIME_FIELDS, EventKind
from stream_app.domain.events.shapes import NEW_HITS
from tests.contract.schemas.struct_schemas import Schema
from tests.contract.schemas.text_schemas import with_field

_SET: Schema = {"not": {"type": "null"}}
#: Of texts and lists: an empty one says nothing, so an older name is read.
_FILLED: Schema = {"not": {"enum": [None, "", []]}}
_NAME: Schema = {"type": "string", "minLength": 1}
_OBJECT: Schema = {"type": "object"}
_TEXT: Schema = {"type": ["string", "null"]}
_TEXTS: Schema = {"type": ["string", "array", "null"], "items": {"type": "string"}}
_INTEGER: Schema = {"type": ["integer", "null"]}
_INTEGERS: Schema = {"type": ["integer", "array", "null"], "items": {"type": "integer"}}
_SECONDS: Schema = {
    "type": ["number", "string", "null"],
    "if": {"type": "string"},
    "then": {"pattern": "^-?[0-9]{1,15}([.][0-9]{1,9})?$", "$comment": "a number of seconds"},
}


def event_rules(kind: EventKind) -> list[Schema]:
    """Return the rules of a kind, for an `allOf`."""
    flat = [_flat_client(), *_older_names(kind)]
    text: Schema = {"type": "string"}
    if kind is not EventKind.HITS:
        envelope = _in_details({**_OBJECT, **with_field("notification_type", text)})
        words = "no envelope: only that of a hit is documented"
        return [*flat, {"not": envelope, "$comment": words}]
    about = {"anyOf": [with_field("notification_type", text), with_field("hit", _OBJECT)]}
    envelope = _in_details({**_OBJECT, **about})
    return [{"if": envelope, "then": _enveloped(), "else": {"allOf": flat}}]


def _flat_client() -> Schema:
    ways = [with_field("client_id", _SET), with_field("client_name", _NAME)]
    return {
        "anyOf": ways,
        "$comment": "an event that says whose it is, by client_id or client_name",
    }


def _older_names(kind: EventKind) -> list[Schema]:
    """Return the rules of older names: each is read where no name before it says anything.

    Those of applications are not among them: what cannot be read there counts as missing.
    """
    time = _unless([with_field(TIME_FIELDS[kind], _SET)], "time", _SECONDS)
    found = [
        time,
        _unless([with_field("host", _FILLED)], "domain", _TEXT),
        _unless([with_field("type", _FILLED)], "attack_type", _TEXT),
    ]
    if kind is EventKind.HITS:
        addresses = [with_field("remote_addr4", _FILLED), with_field("remote_addr6", _FILLED)]
        statuses = [with_field("response_status", _SET), with_field("statuscode", _SET)]
        address, status = _TEXT, _INTEGER
    else:
        addresses = [with_field("remote_addrs", _FILLED)]
        statuses = [with_field("response_statuses", _FILLED), with_field("statuscode", _FILLED)]
        address, status = _TEXTS, _INTEGERS
    return [
        *found,
        _unless(addresses, "ip", address),
        _unless(statuses[:1], "statuscode", status),
        _unless(statuses, "status_code", status),
    ]


def _unless(others: list[Schema], name: str, schema: Schema) -> Schema:
    found = others[0] if len(others) == 1 else {"anyOf": others}
    return {"if": found, "else": {"properties": {name: schema}}}


def _enveloped() -> Schema:
    hit = {**_OBJECT, "allOf": _older_names(EventKind.HITS)}
    details = {
        "required": ["notification_type", "hit"],
        "properties": {"notification_type": {"const": NEW_HITS}, "hit": hit},
    }
    ways = [
        with_field("client_id", _SET),
        with_field("client_name", _NAME),
        _in_details(with_field("hit", with_field("client_id", _SET))),
        _in_details(with_field("hit", with_field("client_name", _NAME))),
        _in_details(with_field("client_name", _NAME)),
    ]
    words = "an envelope that says whose it is, by client_id or client_name"
    return {"properties": {"details": details}, "anyOf": ways, "$comment": words}


def _in_details(schema: Schema) -> Schema:
    return with_field("details", schema)
