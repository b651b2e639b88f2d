"""Rules of notices beyond the types of their fields: a kind, a client, a risk."""

from __future__ import annotations

from stream_app.domain.catalog.issue_risks import ISSUE_BODIES, RISK_FIELDS, RISKS, risk_of_kind
from stream_app.domain.notices.subscriptions import ISSUE_KINDS, KNOWN_KINDS
from tests.contract.schemas.struct_schemas import Schema
from tests.contract.schemas.text_schemas import any_case, with_field


def notice_rules() -> list[Schema]:
    """Return the rules, for an `allOf`."""
    without = sorted(kind for kind in ISSUE_KINDS if not risk_of_kind(kind))
    return [
        {"properties": {"details": {"required": ["notification_type"], **_kind()}}},
        {"if": _of_kind(KNOWN_KINDS), "then": _names_a_client()},
        {"if": _of_kind(without), "then": _has_risk()},
    ]


def _kind() -> Schema:
    kind = {
        "description": "What has happened, such as `delete_user`; one that nobody knows is "
        "counted, and reaches nobody.",
        "type": "string",
        "minLength": 1,
    }
    return {"properties": {"notification_type": kind}}


def _of_kind(kinds: object) -> Schema:
    names = sorted(kinds) if isinstance(kinds, frozenset) else kinds
    kind = {"properties": {"notification_type": {"enum": names}}}
    return {"properties": {"details": {"required": ["notification_type"], **kind}}}


def _names_a_client() -> Schema:
    name: Schema = {"type": "string", "minLength": 1}
    details = {"required": ["client_name"], "properties": {"client_name": name}}
    return {
        "anyOf": [
            {"required": ["client_id"], "properties": {"client_id": {"type": "integer"}}},
            {"properties": {"details": details}},
        ],
        "$comment": "a notice that says whose it is, by client_id or details.client_name",
    }


def _has_risk() -> Schema:
    """Return the rule of `details`: one of the fields that may hold a risk has one that is known.

    A kind that names the risk itself needs none. Where none is known, what there is is told.
    """
    places = [(body, field) for body in ISSUE_BODIES for field in RISK_FIELDS]
    risk = any_case(RISKS)
    known = [
        with_field(body, {"type": "object", **with_field(field, risk)}) for body, field in places
    ]
    said = [with_field(body, {"type": "object", "required": [field]}) for body, field in places]
    each = [{"properties": {body: {"properties": {field: risk}}}} for body, field in places]
    body, field = places[0]
    missing = with_field(body, {"type": "object", "required": [field]})
    unknown: Schema = {"if": {"anyOf": said}, "then": {"allOf": each}, "else": missing}
    return {"properties": {"details": {"if": {"anyOf": known}, "else": unknown}}}
