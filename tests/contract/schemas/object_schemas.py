"""Schemas of what people configure: clients, triggers, integrations, as they are stored.

Hand-written readers decide here, not structs. So the schemas are built from the readers' tables,
and property tests compare the two. What a schema cannot express is in the descriptions.
"""

from __future__ import annotations

from stream_app.domain.catalog.conditions import CONDITIONS, FILTERS, Condition, Presence, Reaction
from stream_app.domain.configuration.alert_options import (
    ENTITY_LIMIT,
    RESPONDERS_LIMIT,
    SOURCE_LIMIT,
    TAG_LIMIT,
    TAGS_LIMIT,
    UNSENDABLE,
    Priority,
    ResponderType,
)
from stream_app.domain.configuration.clients import CLOUDS
from stream_app.domain.configuration.integrations import DEFAULT_API, EVENTS, TYPES
from stream_app.domain.configuration.reactions import TIMED_REACTIONS
from stream_app.domain.configuration.repeat_options import (
    MAX_SECONDS,
    MIN_CLOSE_SECONDS,
    MIN_REPEAT_SECONDS,
    Deduplicate,
)
from stream_app.domain.configuration.triggers import THRESHOLD_OPERATORS
from tests.contract.schemas.filter_values import value_schema
from tests.contract.schemas.struct_schemas import Schema
from tests.contract.schemas.text_schemas import (
    BLANKS,
    choice,
    integer,
    lists,
    objects,
    optional,
    text,
    with_field,
)

_NOTHING: Schema = {"type": "null"}
_CLIENT = "Id of the client that it belongs to."
_STAMP = "Unix milliseconds; `apply` writes it."


def client_schema() -> Schema:
    """Return the schema of a client."""
    names = {
        **objects("Names of its applications by id.", {}),
        "propertyNames": {
            "pattern": "^(-1|[0-9]{1,18})$",
            "$comment": "application ids: -1 (default) or more",
        },
        "additionalProperties": text("Name of the application."),
    }
    properties = {
        "client_id": integer("Id of the client; the record's key.", 1),
        "name": text("Name of the company account; webhook envelopes name the client by it."),
        "cloud": choice("Cloud where the account is registered.", CLOUDS),
        "applications": optional(names),
    }
    return objects("An account in one of the clouds.", properties, ("client_id", "name", "cloud"))


def trigger_schema() -> Schema:
    """Return the schema of a trigger."""
    properties = {
        "id": integer("Id of the trigger; the record's key.", 1),
        "client_id": integer(_CLIENT, 1),
        "name": text("Name that the message tells."),
        "comment": optional({"description": "For people.", "type": "string"}),
        "enabled": {"description": "Whether it counts.", "type": "boolean"},
        "template_id": choice("The condition.", CONDITIONS),
        "filters": optional(lists("Clauses, all of which must hold.", _filter())),
        "threshold": {"description": "When it fires, of conditions that have one."},
        "actions": lists("What happens then.", _action()),
        "enabled_at": optional(integer(_STAMP, 0)),
    }
    required = ("id", "client_id", "name", "enabled", "template_id", "actions")
    found = objects("When enough events come within a period, tell somebody.", properties, required)
    return {**found, "allOf": [_by_condition(*row) for row in CONDITIONS.items()]}


def _by_condition(template_id: str, condition: Condition) -> Schema:
    """Return which filters and reactions a condition allows, and whether it has a threshold."""
    clause = {"properties": {"id": {"enum": list(condition.filters)}}}
    reaction = {"properties": {"id": {"enum": [name.value for name in condition.reactions]}}}
    more: Schema = {
        "properties": {
            "filters": {"items": clause} if condition.filters else {"maxItems": 0},
            "threshold": _threshold(condition),
            "actions": {"items": reaction},
        }
    }
    if condition.threshold is Presence.REQUIRED:
        more["required"] = ["threshold"]
    return {"if": with_field("template_id", {"const": template_id}), "then": more}


def _threshold(condition: Condition) -> Schema:
    if condition.threshold is Presence.FORBIDDEN:
        return _NOTHING
    step = condition.period_step_seconds
    period = integer(
        "Length of a window, seconds; one of those that the installation allows (1, 60, 3600 and "
        "86400 unless it is set otherwise)."
        if step is None
        else f"Length of a window, seconds; a multiple of {step}.",
        1,
    )
    properties = {
        "count": integer("It fires when more events than this fall into one window.", 0),
        "period": period if step is None else {**period, "multipleOf": step},
        "operator": optional(choice("How they are compared.", THRESHOLD_OPERATORS)),
    }
    found = objects("When it fires.", properties, ("count", "period"))
    return optional(found) if condition.threshold is Presence.ALLOWED else found


def _filter() -> Schema:
    operators = dict.fromkeys(name for rule in FILTERS.values() for name in rule.operators)
    properties = {
        "id": choice("What is compared.", FILTERS),
        "operator": choice("`eq`: any of the values matches; `ne`: none does.", operators),
        "values": lists("Values; none: the filter lets everything through.", {}),
    }
    found = objects("One clause.", properties, ("id", "operator", "values"))
    return {**found, "allOf": [_by_filter(name) for name in FILTERS]}


def _by_filter(name: str) -> Schema:
    more = {
        "operator": {"enum": list(FILTERS[name].operators)},
        "values": {"items": value_schema(name)},
    }
    return {"if": with_field("id", {"const": name}), "then": {"properties": more}}


def _action() -> Schema:
    properties: Schema = {
        "id": choice(
            "What is done; only notifications are sent from here.",
            [name.value for name in Reaction],
        ),
        "params": {"description": "What it needs; of some reactions nothing."},
    }
    found = objects("One reaction.", properties, ("id",))
    return {**found, "allOf": [_by_reaction(reaction) for reaction in Reaction]}


def _by_reaction(reaction: Reaction) -> Schema:
    """Return what a reaction needs."""
    ids = lists("Ids of integrations of the same client.", integer("Id of an integration.", 1))
    lock = integer("How long an address stays on the list, seconds.", 0)
    more: Schema
    if reaction is Reaction.SEND_NOTIFICATION:
        params = objects("Whom it notifies.", {"integration_ids": ids}, ("integration_ids",))
        more = {"properties": {"params": params}, "required": ["params"]}
    elif reaction in TIMED_REACTIONS:
        params = objects("For how long.", {"lock_time": lock}, ("lock_time",))
        more = {"properties": {"params": params}, "required": ["params"]}
    else:
        none = {"type": ["object", "null"], "additionalProperties": _NOTHING}
        more = {"properties": {"params": none}}
    return {"if": with_field("id", {"const": reaction.value}), "then": more}


def integration_schema() -> Schema:
    """Return the schema of an integration."""
    events = objects(
        "One subscription.",
        {
            "event": choice("What is told.", EVENTS),
            "active": {"description": "Whether it is selected.", "type": "boolean"},
        },
        ("event", "active"),
    )
    properties = {
        "id": integer("Id of the integration; the record's key.", 1),
        "client_id": integer(_CLIENT, 1),
        "name": text("Name for people."),
        "active": {"description": "Whether it gets alerts.", "type": "boolean"},
        "type": choice("The service.", TYPES),
        "target": _target(),
        "events": lists("Which notices are wanted.", events),
        "alert": optional(_alert_options()),
        "updated_at": optional(integer(_STAMP, 0)),
        "epoch": optional(integer(f"Raised by each new target and each enabling. {_STAMP}", 0)),
        "enabled_at": optional(integer(_STAMP, 0)),
    }
    required = ("id", "client_id", "name", "active", "type", "target", "events")
    return objects("Where alerts are posted.", properties, required)


def _target() -> Schema:
    token = {
        "description": "The key, sealed by `apply`, or where it is kept; never in the clear.",
        "type": "string",
        "pattern": "^(?:sealed:v1:[A-Za-z0-9_=-]+"
        rf"|env:STREAM_APP_KEY_(?!DIR$)[A-Z0-9_]+|file:[^{BLANKS}]+)$",
        "$comment": "sealed, or env:STREAM_APP_KEY_<CLIENT>_<NAME>, or file:<client>/<name>: write "
        "the integration with `stream-app apply`, which seals a key",
    }
    api = text(f"Address; only of the services' own hosts. Missing: {DEFAULT_API}.")
    properties = {"api": optional(api), "token": token}
    return objects("Where to, and with which key.", properties, ("token",))


#: `UNSENDABLE` in the words of a schema's expressions; no JSON text has lone surrogates.
UNSENDABLE_TEXT = UNSENDABLE.pattern.strip("[]").removesuffix(r"\ud800-\udfff")


def _alert_options() -> Schema:
    tag = {
        "description": "A tag.",
        "type": "string",
        "maxLength": TAG_LIMIT,
        "pattern": f"^[^,]*[^,{BLANKS}][^,]*$",
        "$comment": f"a text of 1 to {TAG_LIMIT} characters without a comma",
    }
    tags = {**lists("Tags of each alert.", tag), "maxItems": TAGS_LIMIT}
    responders = {**lists("Who is to respond.", _responder()), "maxItems": RESPONDERS_LIMIT}
    sent = {
        "type": "string",
        "pattern": f"^[^{UNSENDABLE_TEXT}]*$",
        "$comment": "no controls, line breaks or marks of direction",
    }
    entity: Schema = {"description": "What the alert is about.", **sent}
    source: Schema = {"description": "Where it comes from.", **sent}
    properties = {
        "priority": optional(choice("Priority; missing: the service's default.", Priority)),
        "tags": optional(tags),
        "responders": optional(responders),
        "entity": optional({**entity, "maxLength": ENTITY_LIMIT}),
        "source": optional({**source, "maxLength": SOURCE_LIMIT}),
        "deduplicate": optional(
            choice(
                "What is one alert: each fired window, or a whole episode. Missing: window.",
                Deduplicate,
            )
        ),
        **_repeats(),
    }
    found = objects(
        "What is set on all its alerts. Lengths are in UTF-16 units, which a schema cannot count: "
        "an emoji is two.",
        properties,
    )
    of_episodes = with_field("deduplicate", {"const": Deduplicate.EPISODE.value})
    return {**found, "if": of_episodes, "else": {"properties": dict.fromkeys(_repeats(), _NOTHING)}}


def _repeats() -> dict[str, Schema]:
    """Return the options that only an integration with episodes has."""
    repeat = integer(
        "Least time between two requests of an episode. Missing: each window makes one.",
        MIN_REPEAT_SECONDS,
    )
    close = integer(
        "Silence after which the alert is closed: longer than `repeat_seconds` and than the period "
        "of each trigger that names the integration. Missing: it is not closed.",
        MIN_CLOSE_SECONDS,
    )
    notes = "Whether each repeat leaves a note on the open alert. Missing: it does."
    return {
        "repeat_seconds": optional({**repeat, "maximum": MAX_SECONDS}),
        "close_after_seconds": optional({**close, "maximum": MAX_SECONDS}),
        "repeat_notes": optional({"description": notes, "type": "boolean"}),
    }


def _responder() -> Schema:
    found = objects("Somebody.", {"type": choice("Who can respond.", ResponderType)}, ("type",))
    user = with_field("type", {"const": ResponderType.USER.value})
    return {**found, "if": user, "then": _named("username"), "else": _named("name")}


def _named(name: str) -> Schema:
    """Return that one of `id` and a name is given, and nothing else."""
    names = ("id", "name", "username")
    ways = [
        {
            "required": [given],
            "properties": {other: _NOTHING for other in names if other != given}
            | {given: text("Who it is.")},
        }
        for given in ("id", name)
    ]
    return {"oneOf": ways, "$comment": f"given by id or {name}, and by one of them only"}
