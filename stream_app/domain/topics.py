"""The topics of the contract by their base names, and which role reads them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

Role = Literal["detector", "notifier"]


class Topic(StrEnum):
    """Base names; `kafka.topics.TopicNames` puts the installation's prefix before them."""

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
#: What a worker keeps a view of: the configuration, and what the system has made of it.
VIEW_TOPICS = (*CONFIG_TOPICS, Topic.STATUS)
#: Topics whose records can be refused and then go to `<topic>.dlq`.
DEAD_LETTER_SOURCES = (*EVENT_TOPICS, Topic.ACCOUNT, Topic.ALERTS, Topic.DELIVERIES)
#: Topic of the view -> what it holds: its attribute there, and a label of the metrics.
VIEW_KINDS = {
    Topic.CLIENTS: "clients",
    Topic.TRIGGERS: "triggers",
    Topic.INTEGRATIONS: "integrations",
    Topic.STATUS: "statuses",
}
#: Role -> the topics whose records its agents take, and whose partitions its state depends on.
ROLE_SOURCES: Mapping[Role, tuple[Topic, ...]] = {
    "detector": (*EVENT_TOPICS, Topic.ACCOUNT, Topic.COUNTS, *CONFIG_TOPICS),
    "notifier": (Topic.ALERTS, Topic.DELIVERIES, Topic.RESULTS),
}
