"""The base names of the contract's topics, and the topics that each role reads."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Literal

Role = Literal["detector", "notifier"]


class Topic(StrEnum):
    """Base names; `TopicNames` puts the installation's prefix before them."""

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


class TopicNames:
    """Names of one installation's topics: the prefix and the base names."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix

    def __call__(self, topic: Topic) -> str:
        """Return the full name of `topic`."""
        return f"{self.prefix}{topic}"

    def dead_letters(self, topic: Topic) -> str:
        """Return the full name of the dead-letter topic of `topic`."""
        return f"{self(topic)}.dlq"

    @property
    def dry_run_mark(self) -> str:
        """The name of the empty topic that marks an installation as a dry run."""
        return f"{self.prefix}dry-run"

    def group(self, role: str) -> str:
        """Return the consumer group of a role, which is the id of its Faust app, too."""
        return f"{self.prefix}stream-app-{role}"

    def role_sources(self) -> dict[str, list[str]]:
        """Return the full names of the topics that each role reads."""
        return {role: [self(topic) for topic in topics] for role, topics in ROLE_SOURCES.items()}

    def read_by_workers(self) -> list[str]:
        """Return the full names of all topics that workers read."""
        sources = itertools.chain.from_iterable(ROLE_SOURCES.values())
        return list(dict.fromkeys(self(topic) for topic in (*sources, *VIEW_TOPICS)))
