"""The topics of the contract: their names, keys, partitions and clean-up.

Source: the project's design, section "The contract". Producers and readers of a topic find its
key here, too; `schemas/README.md` describes their records.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stream_app.domain.events.model import EventKind
from stream_app.domain.topics import (
    CONFIG_TOPICS,
    DEAD_LETTER_SOURCES,
    EVENT_TOPICS,
    VIEW_TOPICS,
    Topic,
    TopicNames,
)

if TYPE_CHECKING:
    from stream_app.settings import Settings

__all__ = [
    "CONFIG_TOPICS",
    "COPIES_OF_A_WRITE",
    "DEAD_LETTER_SOURCES",
    "ENOUGH_COPIES",
    "EVENT_TOPICS",
    "MIN_INSYNC",
    "VIEW_TOPICS",
    "Topic",
    "TopicNames",
    "TopicProblem",
    "TopicSpec",
    "copies_config",
    "equal_pair",
    "topic_specs",
]

DAY_MS = 24 * 3600 * 1000
#: Triggers may still name an integration that is deleted, and a worker must tell it from one that
#: never existed. So its tombstone, which holds only the id, stays for ten years.
DELETED_DAYS = 3650


@dataclass(frozen=True)
class TopicSpec:
    """How a topic must be made; `config` holds Kafka's topic settings."""

    name: str
    partitions: int
    key: str
    config: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TopicProblem:
    """What is wrong with a topic, and the command that mends it."""

    topic: str
    problem: str
    remedy: str


def equal_pair(settings: Settings) -> tuple[str, str]:
    """Return the names of the two topics that must have the same number of partitions."""
    names = settings.names
    return names(Topic.DELIVERIES), names(Topic.RESULTS)


def _delete_after(days: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(days * DAY_MS)}


#: Windows close and states expire by record times. They must be the brokers', since the wrong clock
#: of one producer would close everyone's windows.
BROKER_CLOCK = {"message.timestamp.type": "LogAppendTime"}
#: Kafka's default: room for the whole of a refused or rendered record, and for the headers.
LARGE_RECORDS = {"max.message.bytes": "1048588"}


MIN_INSYNC = "min.insync.replicas"
#: From this many copies on, a write needs two: the loss of a broker then loses no acknowledged
#: write, and the restart of one stops none.
ENOUGH_COPIES = 3
COPIES_OF_A_WRITE = 2


def copies_config(copies: int) -> dict[str, str]:
    """Return the setting of a new topic of so many copies; below three, the cluster's applies."""
    return {MIN_INSYNC: str(COPIES_OF_A_WRITE)} if copies >= ENOUGH_COPIES else {}


def topic_specs(settings: Settings) -> list[TopicSpec]:
    """Return every topic of the installation, as `topics create` makes them."""
    names, many = settings.names, settings.partitions
    events = {**_delete_after(7), **BROKER_CLOCK}
    month = {**_delete_after(30), **BROKER_CLOCK}
    large = {**month, **LARGE_RECORDS}
    compact = {"cleanup.policy": "compact"}
    remembering = {**compact, "delete.retention.ms": str(DELETED_DAYS * DAY_MS)}
    rows: list[tuple[Topic, int, str, dict[str, str]]] = [
        (Topic.ATTACKS, many, "any", events),
        (Topic.HITS, many, "any", events),
        (Topic.INCIDENTS, many, "any", events),
        (Topic.ACCOUNT, many, "client id", events),
        (Topic.TRIGGERS, 1, "trigger id", compact),
        (Topic.INTEGRATIONS, 1, "integration id", remembering),
        (Topic.CLIENTS, 1, "client id", compact),
        (Topic.STATUS, 1, "integration id", compact),
        (Topic.COUNTS, many, "none", {**_delete_after(2), **BROKER_CLOCK}),
        (Topic.ALERTS, many, "client id", large),
        (Topic.DELIVERIES, many, "integration id", large),
        (Topic.RESULTS, many, "integration id", month),
    ]
    specs = [TopicSpec(names(topic), n, key, config) for topic, n, key, config in rows]
    specs += [
        TopicSpec(
            names.dead_letters(topic), many, "as the source", {**_delete_after(30), **LARGE_RECORDS}
        )
        for topic in DEAD_LETTER_SOURCES
    ]
    if settings.dry_run:
        specs.insert(0, TopicSpec(settings.names.dry_run_mark, 1, "none", compact))
    return specs


#: Kind of event -> its topic.
TOPIC_OF_KIND = {
    EventKind.ATTACKS: Topic.ATTACKS,
    EventKind.HITS: Topic.HITS,
    EventKind.INCIDENTS: Topic.INCIDENTS,
}
