"""Where recorded events may be copied to: an installation that will page nobody for them.

A dry run (see `dry_run`) may always be the target. Any other installation may only be one before
its workers have read anything. Once a group of its workers has members or offsets it is live, even
while all of them are stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from stream_app.domain.errors import StreamAppError, TopicMismatchError, UsageError
from stream_app.domain.foreign_text.printable import quoted
from stream_app.domain.topics import Role
from stream_app.kafka.brokers.admin_client import ClusterAdminClient
from stream_app.kafka.cluster.admin import Admin, partition_counts
from stream_app.kafka.cluster.groups import read_group
from stream_app.kafka.cluster.topic_configs import topic_configs
from stream_app.kafka.cluster.topics import CONFIG_TOPICS, Topic, TopicNames
from stream_app.settings import Settings

_LARGEST = "max.message.bytes"


@dataclass(frozen=True)
class Target:
    """The installation that is copied to.

    `partitions` and `largest_bytes` (of one batch of records) describe its topics.
    """

    prefix: str
    is_dry_run: bool
    partitions: Mapping[Topic, int]
    largest_bytes: Mapping[Topic, int]

    def name(self, topic: Topic) -> str:
        """Return the full name of a topic."""
        return TopicNames(self.prefix)(topic)


async def find_target(settings: Settings, prefix: str, topics: Sequence[Topic]) -> Target:
    """Return the installation that `topics` are copied to.

    Raises:
        UsageError: it is the one that is read.
        TopicMismatchError: a topic does not exist, or configuration may not be copied there.
        StreamAppError: it is live.
    """
    if prefix == settings.topic_prefix:
        raise UsageError(
            f"--to-prefix {quoted(prefix)} is the installation that is read: its own events would "
            "count twice; name another one, or set STREAM_APP_TOPIC_PREFIX to the one to be read"
        )
    names = TopicNames(prefix)
    async with Admin(settings) as client:
        asked = [*map(names, topics), names.dry_run_mark]
        counts = await partition_counts(client, asked)
        is_dry_run = names.dry_run_mark in counts
        _check_topics(prefix, [names(topic) for topic in topics], counts, is_dry_run=is_dry_run)
        if not is_dry_run:
            _check_configuration(prefix, topics)
            await _check_not_live(client, prefix)
        configs = await topic_configs(client, {names(topic): (_LARGEST,) for topic in topics})
    partitions = {topic: counts[names(topic)] for topic in topics}
    largest = {topic: int(configs[names(topic)][_LARGEST]) for topic in topics}
    return Target(prefix, is_dry_run, partitions, largest)


def _check_topics(
    prefix: str, wanted: Sequence[str], counts: Mapping[str, int], *, is_dry_run: bool
) -> None:
    missing = [name for name in wanted if name not in counts]
    if missing:
        mode = "" if is_dry_run else "STREAM_APP_DRY_RUN=true "
        raise TopicMismatchError(
            f"topic {', '.join(missing)} does not exist: make the topics with "
            f"`STREAM_APP_TOPIC_PREFIX={prefix} {mode}stream-app topics create`"
        )


def _check_configuration(prefix: str, topics: Sequence[Topic]) -> None:
    if set(topics) & set(CONFIG_TOPICS):
        raise TopicMismatchError(
            f"{quoted(prefix)} is no dry run: the configuration, whose integrations would page "
            "people, is copied only to one, made with STREAM_APP_DRY_RUN=true; else use "
            "`stream-app apply`"
        )


async def _check_not_live(client: ClusterAdminClient, prefix: str) -> None:
    for role in get_args(Role):
        group = TopicNames(prefix).group(role)
        view = await read_group(client, group)
        if view.members or view.committed:
            members = len(view.members)
            state = f"has {members} members" if members else "has read its topics before"
            raise StreamAppError(
                f"{quoted(prefix)} is a live installation: the group {group} {state}, so what "
                "these events trigger would page people. Copy them to a dry run: set "
                "STREAM_APP_DRY_RUN=true and a new STREAM_APP_TOPIC_PREFIX, and run `stream-app "
                "topics create`"
            )
