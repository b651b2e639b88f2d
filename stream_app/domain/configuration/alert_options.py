"""Options that an integration's owner may set on all of its alerts: priority, tags, responders, ...

They are the optional object `alert` of an integration. An option that is not set is not sent, so
the service's default holds. The limits are the service's. What a person writes beyond them is
refused, because a tag that is cut routes nothing; texts of events are cut elsewhere.
"""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from stream_app.domain.configuration.fields import Fields
from stream_app.domain.foreign_text.printable import quoted

ENTITY_LIMIT = 512
SOURCE_LIMIT = 100
TAG_LIMIT = 50
TAGS_LIMIT = 20
RESPONDERS_LIMIT = 50
_RESPONDER = "{type: team, name: On-call}"
#: The field of an integration that holds the options.
ALERT = "alert"
#: Controls, line breaks, lone surrogates, and characters that change the direction of text.
UNSENDABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_SENDABLE = (
    "must have no control characters, line breaks or marks of direction: it is sent as it is"
)


class Priority(StrEnum):
    """The five priorities; a request without one means P3 to the service."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"
    P5 = "P5"


class ResponderType(StrEnum):
    """Who can be made to respond to an alert."""

    TEAM = "team"
    USER = "user"
    ESCALATION = "escalation"
    SCHEDULE = "schedule"


class Responder(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Somebody who is to respond: a type, and either an id or a name (of a user: `username`)."""

    type: ResponderType
    id: str = ""
    name: str = ""
    username: str = ""


class AlertOptions(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What is set on all alerts of an integration; an empty field is not set."""

    priority: Priority | None = None
    tags: tuple[str, ...] = ()
    responders: tuple[Responder, ...] = ()
    entity: str = ""
    source: str = ""


#: No option is set. It is one object: records leave out a default if it is the same object.
NO_OPTIONS = AlertOptions()


def read_alert_options(integration: Fields) -> AlertOptions:
    """Return the options of an integration, and add what breaks a rule to its problems.

    Unknown fields are passed over: a newer version may have written them.
    """
    if integration.obj.get(ALERT) is None:
        return NO_OPTIONS
    fields = integration.child(ALERT, "{priority: P2, tags: [waf]}")
    return AlertOptions(
        priority=_read_priority(fields),
        tags=_read_tags(fields),
        responders=_read_responders(fields),
        entity=_read_text(fields, "entity", ENTITY_LIMIT),
        source=_read_text(fields, "source", SOURCE_LIMIT),
    )


def _read_priority(fields: Fields) -> Priority | None:
    if fields.obj.get("priority") is None:
        return None
    value = fields.choice("priority", tuple(Priority))
    return next((priority for priority in Priority if priority == value), None)


def _read_text(fields: Fields, name: str, limit: int) -> str:
    value = fields.text(name, default="")
    if _length(value) > limit:
        fields.add_problem(name, value, f"must be a text of at most {limit} characters")
    elif UNSENDABLE.search(value):
        fields.add_problem(name, value, _SENDABLE)
    return value


def _read_tags(fields: Fields) -> tuple[str, ...]:
    tags = fields.items("tags", required=False)
    if len(tags) > TAGS_LIMIT:
        fields.add_problem("tags", len(tags), f"must be at most {TAGS_LIMIT} tags")
    found = []
    for index, tag in enumerate(tags):
        if isinstance(tag, str) and tag.strip() and "," not in tag and _length(tag) <= TAG_LIMIT:
            if UNSENDABLE.search(tag):
                fields.add_problem(f"tags[{index}]", tag, _SENDABLE)
            found.append(tag)
            continue
        wanted = f"must be a text of 1 to {TAG_LIMIT} characters without a comma"
        fields.add_problem(f"tags[{index}]", tag, wanted)
    return tuple(found)


def _read_responders(fields: Fields) -> tuple[Responder, ...]:
    responders = tuple(
        map(_read_responder, fields.children("responders", _RESPONDER, required=False))
    )
    if len(responders) > RESPONDERS_LIMIT:
        wanted = f"must be at most {RESPONDERS_LIMIT} responders"
        fields.add_problem("responders", len(responders), wanted)
    return responders


def _read_responder(fields: Fields) -> Responder:
    type_ = fields.choice("type", tuple(ResponderType))
    name = "username" if type_ == ResponderType.USER else "name"
    given = [key for key in ("id", "name", "username") if fields.obj.get(key) is not None]
    if given not in (["id"], [name]):
        fields.add_problem(
            name, given, f"must be given, or id instead of it: one of the two for {quoted(type_)}"
        )
        return Responder(ResponderType.TEAM)
    text = fields.text(given[0])
    if UNSENDABLE.search(text):
        fields.add_problem(given[0], text, _SENDABLE)
    found = next((known for known in ResponderType if known == type_), ResponderType.TEAM)
    return Responder(found, **{given[0]: text})


def _length(text: str) -> int:
    """Return the length in UTF-16 code units, the stricter way to count characters."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
