"""Schemas of the values of filters, as far as a schema can express the readers' rules."""

from __future__ import annotations

from stream_app.domain.catalog.attack_types import ATTACK_TYPES
from stream_app.domain.catalog.conditions import FILTERS, bad_value_message
from stream_app.domain.catalog.filter_values import (
    CHANGE_TYPES,
    DEFAULT_APPLICATION,
    DEVIATION_TYPES,
    STATUS_CLASSES,
    TARGETS,
)
from stream_app.domain.catalog.numbers import MAX_INTEGER
from stream_app.domain.catalog.roles import ROLE_SPELLINGS, ROLES
from tests.contract.schemas.struct_schemas import Schema
from tests.contract.schemas.text_schemas import BLANKS, any_case, any_case_pattern, text

#: All texts that mean a role, in lower case, each once.
ROLE_TEXTS = tuple(dict.fromkeys((*ROLES, *ROLE_SPELLINGS)))
_STATUS = any_case(STATUS_CLASSES)


def _roles() -> Schema:
    """Return the schema of a role's code or name, with any blanks between its words."""
    names = (any_case_pattern(name).replace(" ", f"[{BLANKS}]+") for name in ROLE_TEXTS)
    return {"type": "string", "pattern": f"^[{BLANKS}]*(?:{'|'.join(names)})[{BLANKS}]*$"}


_VALUES: dict[str, Schema] = {
    "attack_type": any_case(ATTACK_TYPES),
    "pool": {"type": "integer", "minimum": DEFAULT_APPLICATION, "maximum": MAX_INTEGER},
    # No pattern of an address that a person can check: the reader parses it.
    "ip_address": {"type": "string"},
    "domain": {"type": "string", "pattern": f"^[{BLANKS}]*[^/{BLANKS}]+[{BLANKS}]*$"},
    "response_status": {
        "type": ["integer", "string"],
        "minimum": 100,
        "maximum": 599,
        "pattern": _STATUS["pattern"],
    },
    "target": any_case(TARGETS),
    "change_type": any_case((*CHANGE_TYPES, "unused")),
    "pii": text("Kind of sensitive data."),
    "deviation_type": any_case(DEVIATION_TYPES),
    "api_spec_ids": {"type": "integer", "minimum": 1, "maximum": MAX_INTEGER},
    "role": _roles(),
    "hint_tag": text("Id of a counter."),
    "url": text("URL."),
}


def value_schema(filter_id: str) -> Schema:
    """Return the schema of one value of a filter."""
    words = bad_value_message(filter_id, None).removeprefix("must be ")
    rule = FILTERS[filter_id]
    known = _VALUES.get(filter_id, {})
    return {"description": f"{rule.label}: {words}.", "$comment": words, **known}


def unknown_filters() -> list[str]:
    """Return the filters without a schema for their values: there must be none."""
    return [name for name in FILTERS if name not in _VALUES]
