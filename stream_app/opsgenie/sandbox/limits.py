"""What the sandbox refuses in a "create alert" request, as the service documents it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from stream_app.domain.configuration.alert_options import (
    ENTITY_LIMIT,
    RESPONDERS_LIMIT,
    SOURCE_LIMIT,
    TAG_LIMIT,
    TAGS_LIMIT,
    Priority,
)
from stream_app.opsgenie.payload import (
    ALIAS_LIMIT,
    DESCRIPTION_LIMIT,
    DETAILS_LIMIT,
    MESSAGE_LIMIT,
    RESPONDER_TYPES,
)
from stream_app.opsgenie.text import length

#: Field -> most UTF-16 units: the stricter of two ways to count the documented "characters".
TEXT_LIMITS = {
    "message": MESSAGE_LIMIT,
    "alias": ALIAS_LIMIT,
    "description": DESCRIPTION_LIMIT,
    "entity": ENTITY_LIMIT,
    "source": SOURCE_LIMIT,
    "user": 100,
    "note": 25_000,
}
#: Field -> (most items, most UTF-16 units of an item).
TEXT_LIST_LIMITS = {"tags": (TAGS_LIMIT, TAG_LIMIT), "actions": (10, 50)}
OBJECT_LIST_LIMITS = {"responders": RESPONDERS_LIMIT, "visibleTo": 50}


def find_errors(payload: Mapping[str, object]) -> dict[str, str]:
    """Return why each wrong field is refused; empty: none is wrong. Unknown fields are accepted."""
    found: dict[str, str] = {}
    if not str(payload.get("message") or "").strip():
        found["message"] = "Message can not be empty."
    for name, limit in TEXT_LIMITS.items():
        if name in payload and not _is_text(payload[name], limit):
            found.setdefault(name, f"must be a text of at most {limit} characters")
    for name, (count, limit) in TEXT_LIST_LIMITS.items():
        if name in payload and not _is_text_list(payload[name], count, limit):
            found[name] = f"must be at most {count} texts of at most {limit} characters each"
    for name, count in OBJECT_LIST_LIMITS.items():
        if name in payload and not _is_responder_list(payload[name], count):
            found[name] = (
                f"must be at most {count} objects with a type of {', '.join(RESPONDER_TYPES)}"
            )
    if "details" in payload and not _is_details(payload["details"]):
        found["details"] = (
            f"must be an object of texts, at most {DETAILS_LIMIT} characters with its names"
        )
    if "priority" in payload and payload["priority"] not in list(Priority):
        found["priority"] = f"must be one of {', '.join(Priority)}, or left out"
    return found


def _is_text(value: object, limit: int) -> bool:
    return isinstance(value, str) and length(value) <= limit


def _is_text_list(value: object, count: int, limit: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= count
        and all(_is_text(item, limit) for item in value)
    )


def _is_responder_list(value: object, count: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= count
        and all(isinstance(item, dict) and item.get("type") in RESPONDER_TYPES for item in value)
    )


def _is_details(value: object) -> bool:
    return (
        isinstance(value, dict)
        and all(isinstance(item, str) for item in value.values())
        and sum(length(name) + length(item) for name, item in value.items()) <= DETAILS_LIMIT
    )
