"""What a notice must have beyond the types of its fields: what it is, whose, and which risk."""

from __future__ import annotations

from stream_app.contract.structs import Schema
from stream_app.contract.texts import any_case
from stream_app.domain.subscriptions import ISSUE_KINDS, KNOWN_KINDS, RISKS

_OBJECT: Schema = {"type": "object"}
#: What the code takes for a risk that is not there.
_NO_RISK: Schema = {"enum": [None, "", 0, False, [], {}]}
_RISK = any_case(RISKS)


def notice_rules() -> list[Schema]:
    """Return the rules, for an `allOf`."""
    with_risk = sorted(kind for kind in ISSUE_KINDS if _risk_of(kind))
    without = sorted(ISSUE_KINDS - set(with_risk))
    return [
        {"properties": {"details": {"required": ["notification_type"], **_kind()}}},
        {"if": _of_kind(KNOWN_KINDS), "then": _names_a_client()},
        {"if": _of_kind(without), "then": _issue(needs_risk=True)},
        {"if": _of_kind(with_risk), "then": _issue(needs_risk=False)},
    ]


def _kind() -> Schema:
    kind = {
        "description": "What has happened, such as `delete_user`; one that nobody knows is "
        "counted, and reaches nobody.",
        "type": "string",
        "minLength": 1,
    }
    return {"properties": {"notification_type": kind}}


def _risk_of(kind: str) -> bool:
    return kind.partition("vuln_")[2] in RISKS


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


def _issue(*, needs_risk: bool) -> Schema:
    """Return the rule of `details`: the first of its two bodies that is an object has the risk."""
    body = _body(needs_risk=needs_risk)
    neither: Schema = _with("security_issue", _OBJECT) if needs_risk else {}
    older = {
        "if": _with("vuln", _OBJECT),
        "then": {"properties": {"vuln": body}},
        "else": neither,
    }
    newer = {
        "if": _with("security_issue", _OBJECT),
        "then": {"properties": {"security_issue": body}},
        "else": older,
    }
    return {"properties": {"details": newer}}


def _body(*, needs_risk: bool) -> Schema:
    threat: Schema
    if needs_risk:
        threat = _with("threat", _RISK)
        threat = {
            "if": _with("threat", {"not": _NO_RISK}),
            "then": threat,
            "else": _with("risk", _RISK),
        }
    else:
        threat = {"properties": {"threat": {"if": {"not": _NO_RISK}, "then": _RISK}}}
    return {
        "if": _with("risk", {"not": _NO_RISK}),
        "then": _with("risk", _RISK),
        "else": threat,
    }


def _with(name: str, schema: Schema) -> Schema:
    return {"required": [name], "properties": {name: schema}}
