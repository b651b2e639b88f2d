"""The records of the contract, and the topic of each."""

from __future__ import annotations

from enum import StrEnum

from stream_app.domain.events.model import EventKind
from stream_app.kafka.cluster.topics import DEAD_LETTER_SOURCES, Topic


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
