"""The base names of the contract's topics, and the topics that each role reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Literal

Role = Literal["detector", "notifier"]


class Topic(StrEnum):
    """Base names; `kafka.cluster.topics.TopicNames` puts the installation's prefix before them."""

    ATTACKS = "events.attacks"
    HITS = "events.hits"
    INCIDENTS = "events.incidents"
    ACCOUNT = "events.account"
    TRIGGERS = "config.triggers"
    INTEGRATIONS = "config.integrations"
    CLIENTS = "config.clients"
    STATUS = "status.integrations"
    COUNTS = "counts"
    ALERTS = "alerts"
    DELIVERIES = "deliveries"
    RESULTS = "delivery-results"


EVENT_TOPICS = (Topic.ATTACKS, Topic.HITS, Topic.INCIDENTS)
CONFIG_TOPICS = (Topic.CLIENTS, Topic.TRIGGERS, Topic.INTEGRATIONS)
#: Topics whose number of partitions a state depends on: the counts of a trigger are summed in the
#: partition of its id, and the configuration has one order. All others may get more partitions.
FIXED_TOPICS = (Topic.COUNTS, *CONFIG_TOPICS)
#: Topics that a worker keeps in memory: the configuration, and the integrations' statuses.
VIEW_TOPICS = (*CONFIG_TOPICS, Topic.STATUS)
#: Topics whose records may be refused; these go to `<topic>.dlq`.
DEAD_LETTER_SOURCES = (*EVENT_TOPICS, Topic.ACCOUNT, Topic.ALERTS, Topic.DELIVERIES)
#: Topic kept in memory -> the name of its objects, in the configuration and in metrics.
VIEW_KINDS = {
    Topic.CLIENTS: "clients",
    Topic.TRIGGERS: "triggers",
    Topic.INTEGRATIONS: "integrations",
    Topic.STATUS: "statuses",
}
#: Role -> topics that its agents read, on whose partitions its state depends.
ROLE_SOURCES: Mapping[Role, tuple[Topic, ...]] = {
    "detector": (*EVENT_TOPICS, Topic.ACCOUNT, Topic.COUNTS, *CONFIG_TOPICS),
    "notifier": (Topic.ALERTS, Topic.DELIVERIES, Topic.RESULTS),
}


def prefixes_of(names: Collection[str]) -> list[str]:
    """Return the prefixes of the installations whose topics are among a cluster's."""
    known = frozenset(names)
    prefixes = (
        name.removesuffix(Topic.TRIGGERS) for name in known if name.endswith(Topic.TRIGGERS)
    )
    needed = (Topic.INTEGRATIONS, Topic.ALERTS, Topic.DELIVERIES)
    return sorted(p for p in prefixes if all(f"{p}{topic}" in known for topic in needed))
