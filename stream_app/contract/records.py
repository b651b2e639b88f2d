"""The records of the contract: the topic and the schema of each.

`make schemas` writes the files of `schemas/` from the code, and a test compares the two. A wheel
has copies of them beside this module.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson

from stream_app.domain.events.model import EventKind
from stream_app.kafka.cluster.topics import DEAD_LETTER_SOURCES, Topic

Schema = dict[str, Any]

#: Name under `$defs` of one object's schema, if a record's value may hold several objects.
ONE = "One"
_IN_WHEEL = Path(__file__).parent / "schemas"
_IN_CHECKOUT = Path(__file__).parents[2] / "schemas"


class RecordName(StrEnum):
    """The records; the schema of each is `schemas/<name>.schema.json`."""

    ATTACK = "attack"
    HIT = "hit"
    INCIDENT = "incident"
    NOTICE = "notice"
    CLIENT = "client"
    TRIGGER = "trigger"
    INTEGRATION = "integration"
    INTEGRATION_STATUS = "integration-status"
    COUNT = "count"
    ALERT = "alert"
    DELIVERY = "delivery"
    DELIVERY_RESULT = "delivery-result"
    DEAD_LETTER = "dead-letter"


#: The topic of each record; dead letters have one for each source.
TOPICS: dict[RecordName, Topic] = {
    RecordName.ATTACK: Topic.ATTACKS,
    RecordName.HIT: Topic.HITS,
    RecordName.INCIDENT: Topic.INCIDENTS,
    RecordName.NOTICE: Topic.ACCOUNT,
    RecordName.CLIENT: Topic.CLIENTS,
    RecordName.TRIGGER: Topic.TRIGGERS,
    RecordName.INTEGRATION: Topic.INTEGRATIONS,
    RecordName.INTEGRATION_STATUS: Topic.STATUS,
    RecordName.COUNT: Topic.COUNTS,
    RecordName.ALERT: Topic.ALERTS,
    RecordName.DELIVERY: Topic.DELIVERIES,
    RecordName.DELIVERY_RESULT: Topic.RESULTS,
}
#: Record -> the kind of its events.
EVENT_KINDS: dict[RecordName, EventKind] = {
    RecordName.ATTACK: EventKind.ATTACKS,
    RecordName.HIT: EventKind.HITS,
    RecordName.INCIDENT: EventKind.INCIDENTS,
}
#: Records whose value may hold several objects, in an array or one a line.
IN_PARTS = frozenset({*EVENT_KINDS, RecordName.NOTICE})


def record_of(topic: str, prefix: str) -> RecordName | None:
    """Return the record of a topic by its full name; None: the installation has no such topic."""
    source = topic.removesuffix(".dlq")
    names = {f"{prefix}{base}": name for name, base in TOPICS.items()}
    if source != topic:
        sources = {f"{prefix}{base}" for base in DEAD_LETTER_SOURCES}
        return RecordName.DEAD_LETTER if source in sources else None
    return names.get(topic)


def part_schema(name: RecordName) -> Schema:
    """Return the schema of one object of a record."""
    folder = _IN_WHEEL if _IN_WHEEL.is_dir() else _IN_CHECKOUT
    whole: Schema = orjson.loads((folder / f"{name}.schema.json").read_bytes())
    if name not in IN_PARTS:
        return whole
    definitions = whole["$defs"]
    one = definitions.pop(ONE)
    return {"$schema": whole["$schema"], **one, "$defs": definitions}
