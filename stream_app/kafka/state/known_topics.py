"""Which topics a role's state is of, and which it is kept in, by their ids.

An offset is no identity: a topic that was deleted and made anew has others at the same offsets.
The id of each source topic is kept in a small compacted topic beside the changelogs. Not with the
group's offsets: the brokers forget those of a topic that is deleted, just when they are needed.
So are the ids of the changelogs: one that is not there any more is no first start, but a state
that is lost. `state reset` deletes all of it together. A state of before there were ids is taken
over as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import orjson
from aiokafka import AIOKafkaProducer

from stream_app.domain.errors import TopicMismatchError
from stream_app.kafka.cluster.admin import Admin, make_topics, partition_counts
from stream_app.kafka.cluster.connection import (
    READ_SECONDS,
    connect_producer,
    connection_options,
    kafka_errors,
)
from stream_app.kafka.cluster.consumers import batches_to_end, close, open_topics
from stream_app.kafka.cluster.groups import GroupView, read_group
from stream_app.kafka.cluster.topic_metadata import topic_metadata
from stream_app.kafka.cluster.topics import BROKER_CLOCK, TopicNames, TopicSpec
from stream_app.kafka.state.changelog_settings import have_stamped

if TYPE_CHECKING:
    from stream_app.settings import Settings


#: What may have become of a topic.
GONE = "has disappeared"
ANEW = "was made anew"


def log_name(app_id: str) -> str:
    """Return the name of the topic that keeps the ids."""
    return f"{app_id}-known-topics-changelog"


def app_id_of(settings: Settings, role: str) -> str:
    """Return the id of a role's app, which its group and its changelogs are named after."""
    return TopicNames(settings.topic_prefix).group(role)


def is_changelog(topic: str, role: str) -> bool:
    """Tell whether a topic, by its full name, is a changelog of a role."""
    return f"stream-app-{role}-" in topic and topic.endswith("-changelog")


def not_the_same(topic: str, role: str) -> TopicMismatchError:
    """Return the error of a topic that has another id than the one that a state knows."""
    if is_changelog(topic, role):
        return state_lost(topic, role, ANEW)
    return made_anew(topic, role)


def made_anew(topic: str, role: str) -> TopicMismatchError:
    """Return the error of a topic that is not the one whose records a state has counted."""
    return TopicMismatchError(
        f"{topic} was made anew: its records are others than those that the state has counted. "
        f"Stop all workers of this role and run 'stream-app state reset {role} --yes'"
    )


def state_lost(changelog: str, role: str, what: str = GONE) -> TopicMismatchError:
    """Return the error of a changelog that is not the one that a state was kept in."""
    return TopicMismatchError(
        f"{changelog} {what}: the state of the {role} that was kept in it is lost. Stop all "
        f"workers of this role and run 'stream-app state reset {role} --yes'"
    )


async def check_changelogs(
    settings: Settings, role: str, changelogs: Sequence[str], topics: Sequence[str]
) -> None:
    """See that the changelogs are those that the state of a role was kept in, before any is made.

    Args:
        settings: where.
        role: whose state.
        changelogs: their full names.
        topics: those source topics, by their full names, that a first start reads from the
            beginning, and so does a start after a reset.

    Raises:
        TopicMismatchError: one has disappeared, or was made anew.
        KafkaUnreachableError: no broker answers.
    """
    changed = await changed_topics(settings, role)
    for changelog in changelogs:
        if changelog in changed:
            raise state_lost(changelog, role, changed[changelog])
    made = {log_name(app_id_of(settings, role)), *changelogs}
    async with Admin(settings) as client:
        if made & (await partition_counts(client)).keys():
            return
        group = await read_group(client, app_id_of(settings, role))
        # Another worker's first start may have made them meanwhile, and read something since.
        if made & (await partition_counts(client)).keys():
            return
    await _require_nothing_read(settings, role, group, topics)


async def _require_nothing_read(
    settings: Settings, role: str, group: GroupView, topics: Sequence[str]
) -> None:
    """See that it is a first start, since there is no changelog at all.

    Raises:
        TopicMismatchError: the role has read its topics before, so it had a state.
    """
    if not any(topic in topics for topic, _ in group.committed):
        return
    consumer = await open_topics(settings, topics)
    try:
        with kafka_errors(settings):
            starts = await consumer.beginning_offsets(list(consumer.assignment()))
    finally:
        await close(consumer)
    for tp, start in sorted(starts.items()):
        at = group.committed.get((tp.topic, tp.partition), start)
        if at > start:
            raise TopicMismatchError(
                f"the {role} has no changelog, but has read {tp.topic} partition {tp.partition} up "
                f"to offset {at - 1}: the state that it kept is lost. Run 'stream-app state reset "
                f"{role} --yes'"
            )


async def check_topics(settings: Settings, role: str, topics: Sequence[str]) -> dict[str, str]:
    """Compare topics with those that the state of a role is of; note those that are not known.

    Args:
        settings: where.
        role: whose state.
        topics: full names of its source topics, and of its changelogs.

    Returns:
        The id of each topic; none where the brokers are too old to tell.

    Raises:
        TopicMismatchError: one was made anew.
        KafkaUnreachableError: no broker answers.
        StreamAppError: the broker refuses the topic that keeps the ids.
    """
    name = log_name(app_id_of(settings, role))
    async with Admin(settings) as client:
        facts = await topic_metadata(client._client, topics)  # noqa: SLF001 - sends our own request
        found = {topic: fact.id for topic, fact in facts.items() if fact.id}
        if not found:
            return {}
        if name not in await partition_counts(client):
            spec = TopicSpec(name, 1, "topic", {"cleanup.policy": "compact", **BROKER_CLOCK})
            await make_topics(client, [spec], settings.kafka.replication_factor)
        await have_stamped(client, [name])
    known = await read_known(settings, name)
    for topic, topic_id in found.items():
        if known.get(topic, topic_id) != topic_id:
            raise not_the_same(topic, role)
    await _write(settings, name, {t: i for t, i in found.items() if t not in known})
    return found


async def changed_topics(settings: Settings, role: str) -> dict[str, str]:
    """Return the topics of a role's state that are not what they were, and what has happened."""
    name = log_name(app_id_of(settings, role))
    async with Admin(settings) as client:
        if name not in await partition_counts(client):
            return {}
        known = await read_known(settings, name)
        facts = await topic_metadata(client._client, list(known))  # noqa: SLF001 - sends our own request
    changed = dict.fromkeys(sorted(known.keys() - facts.keys()), GONE)
    for topic, fact in sorted(facts.items()):
        if fact.id and fact.id != known[topic]:
            changed[topic] = ANEW
    return changed


async def read_known(settings: Settings, name: str) -> dict[str, str]:
    """Return the ids that the topic of this name keeps, by their topics."""
    known: dict[str, str] = {}
    consumer = await open_topics(settings, [name])
    try:
        with kafka_errors(settings):
            async with asyncio.timeout(READ_SECONDS):
                async for batch in batches_to_end(consumer):
                    for record in batch:
                        known[record.key.decode()] = orjson.loads(record.value)["id"]
    finally:
        await close(consumer)
    return known


async def _write(settings: Settings, name: str, ids: Mapping[str, str]) -> None:
    if not ids:
        return
    producer = AIOKafkaProducer(**connection_options(settings), acks="all", enable_idempotence=True)
    await connect_producer(settings, producer)
    try:
        with kafka_errors(settings):
            for topic, topic_id in ids.items():
                value = orjson.dumps({"id": topic_id})
                await producer.send_and_wait(name, value, topic.encode())
    finally:
        await producer.stop()
