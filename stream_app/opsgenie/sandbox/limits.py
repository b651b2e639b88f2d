"""What the sandbox refuses in a request, as the service documents it. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

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
    NOTE_LIMIT,
    RESPONDER_TYPES,
)
from stream_app.opsgenie.sandbox.state import IdentifierType
from stream_app.opsgenie.text import length

#: Field -> most UTF-16 units: the stricter of two ways to count the documented "characters".
TEXT_LIMITS = {
    "message": MESSAGE_LIMIT,
    "alias": ALIAS_LIMIT,
    "description": DESCRIPTION_LIMIT,
    "entity": ENTITY_LIMIT,
    "source": SOURCE_LIMIT,
    "user": 100,
    "note": NOTE_LIMIT,
}
#: The fields of a note and of a close, all of them texts.
ACTION_FIELDS = ("user", "note", "source")
#: Field -> (most items, most UTF-16 units of an item).
TEXT_LIST_LIMITS = {"tags": (TAGS_LIMIT, TAG_LIMIT), "actions": (10, 50)}
OBJECT_LIST_LIMITS = {"responders": RESPONDERS_LIMIT, "visibleTo": 50}


def find_action_errors(
    payload: Mapping[str, object], query: Mapping[str, str], *, needs_note: bool
) -> dict[str, str]:
    """Return why each wrong field or query parameter of a note or a close is refused."""
    found: dict[str, str] = {}
    if needs_note and not str(payload.get("note") or "").strip():
        found["note"] = "Note can not be empty."
    found |= _text_errors(payload, ACTION_FIELDS, found)
    if query.get("identifierType", IdentifierType.ID) not in list(IdentifierType):
        found["identifierType"] = f"must be one of {', '.join(IdentifierType)}, or left out"
    return found


def find_errors(payload: Mapping[str, object]) -> dict[str, str]:
    """Return why each wrong field is refused; empty: none is wrong. Unknown fields are accepted."""
    found: dict[str, str] = {}
    if not str(payload.get("message") or "").strip():
        found["message"] = "Message can not be empty."
    found |= _text_errors(payload, TEXT_LIMITS, found)
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


def _text_errors(
    payload: Mapping[str, object], names: Iterable[str], known: Container[str]
) -> dict[str, str]:
    """Return which of these texts are too long or no texts, besides those that are known."""
    return {
        name: f"must be a text of at most {TEXT_LIMITS[name]} characters"
        for name in names
        if name not in known and name in payload and not _is_text(payload[name], TEXT_LIMITS[name])
    }


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
