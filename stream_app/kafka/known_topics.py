"""Which topics a role's state is of, by their ids.

An offset is no identity: a topic that was deleted and made anew has others at the same offsets.
The id of each source topic is kept in a small compacted topic beside the changelogs. Not with the
group's offsets: the brokers forget those of a topic that is deleted, just when they are needed.
`state reset` deletes it together with the changelogs. A state of before there were ids is taken
over as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import orjson
from aiokafka import AIOKafkaProducer

from stream_app.domain.errors import TopicMismatchError
from stream_app.kafka.admin import Admin, connection_options, make_topics, partition_counts
from stream_app.kafka.config_records import (
    READ_SECONDS,
    batches_to_end,
    close,
    connect_producer,
    open_named,
    unreachable,
)
from stream_app.kafka.topic_facts import topic_facts
from stream_app.kafka.topics import TopicSpec

if TYPE_CHECKING:
    from stream_app.settings import Settings


def log_name(app_id: str) -> str:
    """Return the name of the topic that keeps the ids."""
    return f"{app_id}-known-topics-changelog"


def made_anew(topic: str, role: str) -> TopicMismatchError:
    """Return the error of a topic that is not the one whose records a state has counted."""
    return TopicMismatchError(
        f"{topic} was made anew: its records are others than those that the state has counted. "
        f"Stop all workers of this role and run 'stream-app state reset {role} --yes'"
    )


async def check_topics(settings: Settings, role: str, topics: Sequence[str]) -> dict[str, str]:
    """Compare topics with those that the state of a role is of; note those that are not known.

    Returns:
        The id of each topic; none where the brokers are too old to tell.

    Raises:
        TopicMismatchError: one was made anew.
        KafkaUnreachableError: no broker answers.
        StreamAppError: the broker refuses the topic that keeps the ids.
    """
    name = log_name(f"{settings.topic_prefix}stream-app-{role}")
    async with Admin(settings) as client:
        facts = await topic_facts(client._client, topics)  # noqa: SLF001 - sends our own request
        found = {topic: fact.id for topic, fact in facts.items() if fact.id}
        if not found:
            return {}
        if name not in await partition_counts(client):
            spec = TopicSpec(name, 1, "topic", {"cleanup.policy": "compact"})
            await make_topics(client, [spec], settings.kafka.replication_factor)
    known = await read_known(settings, name)
    for topic, topic_id in found.items():
        if known.get(topic, topic_id) != topic_id:
            raise made_anew(topic, role)
    await _write(settings, name, {t: i for t, i in found.items() if t not in known})
    return found


async def topics_made_anew(settings: Settings, app_id: str) -> list[str]:
    """Return the source topics that are not those that the state of an app is of."""
    name = log_name(app_id)
    async with Admin(settings) as client:
        if name not in await partition_counts(client):
            return []
        known = await read_known(settings, name)
        facts = await topic_facts(client._client, list(known))  # noqa: SLF001 - sends our own request
    return sorted(t for t, fact in facts.items() if fact.id and fact.id != known[t])


async def read_known(settings: Settings, name: str) -> dict[str, str]:
    """Return the ids that the topic of this name keeps, by their topics."""
    known: dict[str, str] = {}
    consumer = await open_named(settings, [name])
    try:
        with unreachable(settings):
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
        with unreachable(settings):
            for topic, topic_id in ids.items():
                value = orjson.dumps({"id": topic_id})
                await producer.send_and_wait(name, value, topic.encode())
    finally:
        await producer.stop()
