"""The ids of the topics that a role's state was made from, and of those that it is kept in.

The formats of the states are kept with them: see `state_formats.py`.

An offset does not identify a record: a topic that was deleted and made anew has other records at
the same offsets. So the id of each source topic is kept in a small compacted topic beside the
changelogs. It is not kept with the group's offsets, because the brokers forget those when the topic
is deleted, which is just when they are needed. The ids of the changelogs are kept, too: a changelog
that is missing then means a lost state, not a first start. `state reset` deletes all of this
together. A state from before ids were kept is accepted as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer

from stream_app.domain.errors import TopicMismatchError
from stream_app.kafka.cluster.admin import Admin, partition_counts
from stream_app.kafka.cluster.connection import (
    READ_SECONDS,
    connect_producer,
    connection_options,
    kafka_errors,
)
from stream_app.kafka.cluster.consumers import batches_to_end, reading
from stream_app.kafka.cluster.groups import GroupView, read_group
from stream_app.kafka.cluster.topic_creation import make_topics
from stream_app.kafka.cluster.topic_metadata import topic_metadata
from stream_app.kafka.cluster.topics import BROKER_CLOCK, TopicNames, TopicSpec
from stream_app.kafka.state.changelog_settings import ensure_broker_clock
from stream_app.kafka.state.state_formats import (
    KnownTopic,
    encode_known,
    ids_topic,
    known_topics,
    own_format,
    require_known_states,
)

if TYPE_CHECKING:
    from stream_app.settings import Settings


#: What may have happened to a topic.
GONE = "has disappeared"
ANEW = "was made anew"


def app_id_of(settings: Settings, role: str) -> str:
    """Return the id of a role's app. Its consumer group and its changelogs are named after it."""
    return TopicNames(settings.topic_prefix).group(role)


def is_changelog(topic: str, role: str) -> bool:
    """Tell whether the full name of a topic is that of a role's changelog."""
    return f"stream-app-{role}-" in topic and topic.endswith("-changelog")


def id_mismatch(topic: str, role: str) -> TopicMismatchError:
    """Return the error for a topic whose id is not the known one."""
    if is_changelog(topic, role):
        return state_lost(topic, role, ANEW)
    return TopicMismatchError(
        f"{topic} was made anew: its records are others than those that the state has counted. "
        f"Stop all workers of this role and run 'stream-app state reset {role} --yes'"
    )


def state_lost(changelog: str, role: str, what: str = GONE) -> TopicMismatchError:
    """Return the error for a changelog that has disappeared or was made anew."""
    return TopicMismatchError(
        f"{changelog} {what}: the state of the {role} that was kept in it is lost. Stop all "
        f"workers of this role and run 'stream-app state reset {role} --yes'"
    )


async def check_changelogs(
    settings: Settings, role: str, changelogs: Sequence[str], topics: Sequence[str]
) -> None:
    """Check that a role's changelogs still hold its state, before missing ones are made.

    Args:
        settings: of the installation.
        role: the one that keeps the state.
        changelogs: their full names.
        topics: full names of the source topics that are read from the beginning at a first start
            and after a reset.

    Raises:
        TopicMismatchError: a changelog has disappeared, or was made anew.
        NewerFormatError: a newer version keeps one of the states.
        KafkaUnreachableError: no broker answers.
    """
    changed = await changed_topics(settings, role, require_states=True)
    for changelog in changelogs:
        if changelog in changed:
            raise state_lost(changelog, role, changed[changelog])
    made = {ids_topic(app_id_of(settings, role)), *changelogs}
    async with Admin(settings) as client:
        if await partition_counts(client, made):
            return
        group = await read_group(client, app_id_of(settings, role))
        # Meanwhile another worker may have started for the first time, made them, and read events.
        if await partition_counts(client, made):
            return
    await _require_nothing_read(settings, role, group, topics)


async def _require_nothing_read(
    settings: Settings, role: str, group: GroupView, topics: Sequence[str]
) -> None:
    """Check that a role without any changelog starts for the first time.

    Raises:
        TopicMismatchError: the role has read its topics before, so it had a state.
    """
    if not any(topic in topics for topic, _ in group.committed):
        return
    async with reading(settings, topics) as consumer:
        starts = await consumer.beginning_offsets(list(consumer.assignment()))
    for tp, start in sorted(starts.items()):
        at = group.committed.get((tp.topic, tp.partition), start)
        if at > start:
            raise TopicMismatchError(
                f"the {role} has no changelog, but has read {tp.topic} partition {tp.partition} up "
                f"to offset {at - 1}: the state that it kept is lost. Run 'stream-app state reset "
                f"{role} --yes'"
            )


async def check_topic_ids(settings: Settings, role: str, topics: Sequence[str]) -> dict[str, str]:
    """Compare the ids of topics with the known ones of a role's state, and keep the new ones.

    The formats in which this version keeps the states are kept, too.

    Args:
        settings: of the installation.
        role: the one that keeps the state.
        topics: full names of the role's source topics and changelogs.

    Returns:
        The id of each topic; empty if the brokers are too old to tell.

    Raises:
        TopicMismatchError: a topic was made anew.
        NewerFormatError: a newer version has begun to keep one of the states.
        KafkaUnreachableError: no broker answers.
        StreamAppError: the broker refuses the topic that keeps the ids.
    """
    app_id = app_id_of(settings, role)
    name = ids_topic(app_id)
    async with Admin(settings) as client:
        facts = await topic_metadata(client.kafka, topics)
        found = {topic: fact.id for topic, fact in facts.items() if fact.id}
        if not found:
            return {}
        if not await partition_counts(client, [name]):
            spec = TopicSpec(name, 1, "topic", {"cleanup.policy": "compact", **BROKER_CLOCK})
            await make_topics(client, [spec], settings.kafka.replication_factor)
        await ensure_broker_clock(client, [name])
    known = await _read_known(settings, name)
    require_known_states(known, app_id)
    own = {topic: KnownTopic(number, own_format(topic, app_id)) for topic, number in found.items()}
    for topic, fact in own.items():
        if topic in known and known[topic].id != fact.id:
            raise id_mismatch(topic, role)
    await _write_known(settings, name, {t: fact for t, fact in own.items() if known.get(t) != fact})
    return found


async def changed_topics(
    settings: Settings, role: str, *, require_states: bool = False
) -> dict[str, str]:
    """Return the topics of a role's state that are gone or made anew, and which of the two.

    Raises:
        NewerFormatError: a newer version keeps one of the states, and `require_states` is set.
    """
    app_id = app_id_of(settings, role)
    name = ids_topic(app_id)
    async with Admin(settings) as client:
        if not await partition_counts(client, [name]):
            return {}
        known = await _read_known(settings, name)
        if require_states:
            require_known_states(known, app_id)
        facts = await topic_metadata(client.kafka, list(known))
    changed = dict.fromkeys(sorted(known.keys() - facts.keys()), GONE)
    for topic, fact in sorted(facts.items()):
        if fact.id and fact.id != known[topic].id:
            changed[topic] = ANEW
    return changed


async def _read_known(settings: Settings, name: str) -> dict[str, KnownTopic]:
    """Return what the topic of this name keeps of each topic."""
    known: dict[str, KnownTopic] = {}
    async with reading(settings, [name]) as consumer, asyncio.timeout(READ_SECONDS):
        async for batch in batches_to_end(consumer):
            known |= known_topics(batch)
    return known


async def _write_known(settings: Settings, name: str, known: Mapping[str, KnownTopic]) -> None:
    if not known:
        return
    producer = AIOKafkaProducer(**connection_options(settings), acks="all", enable_idempotence=True)
    await connect_producer(settings, producer)
    try:
        async with kafka_errors(settings):
            for topic, fact in known.items():
                await producer.send_and_wait(name, encode_known(fact), topic.encode())
    finally:
        await producer.stop()
