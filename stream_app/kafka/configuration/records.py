"""Records of the `config.*` topics: reading all of them, and writing some."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from stream_app.domain.configuration.api_objects import stored_form
from stream_app.domain.configuration.kinds import Kind, Stored
from stream_app.domain.configuration.statuses import IntegrationStatus, parse_status
from stream_app.domain.errors import InvalidObjectError, TopicMismatchError
from stream_app.domain.foreign_text.printable import quoted
from stream_app.domain.formats import format_headers
from stream_app.kafka.cluster.connection import (
    CONNECT_SECONDS,
    READ_SECONDS,
    connection_options,
    kafka_errors,
)
from stream_app.kafka.cluster.consumers import batches_to_end, close, open_topics
from stream_app.kafka.cluster.topics import CONFIG_TOPICS, Topic, TopicNames
from stream_app.kafka.configuration.hidden_writes import wait_until_seen
from stream_app.settings import Settings

TOPIC_OF = {
    Kind.CLIENT: Topic.CLIENTS,
    Kind.INTEGRATION: Topic.INTEGRATIONS,
    Kind.TRIGGER: Topic.TRIGGERS,
}
#: Header of a record: the command that wrote it.
ACTOR_HEADER = "x-actor"
#: Most bytes of a key that a message shows.
KEY_SHOWN_BYTES = 80


async def open_configuration(settings: Settings, topics: Sequence[Topic]) -> AIOKafkaConsumer:
    """Start a consumer at the beginning of configuration topics, as `open_topics` does.

    Raises:
        TopicMismatchError: one of them has several partitions, or is missing.
    """
    names = TopicNames(settings.topic_prefix)
    consumer = await open_topics(settings, [names(topic) for topic in topics])
    counts = Counter(tp.topic for tp in consumer.assignment())
    for topic, count in counts.items():
        if count != 1:
            await close(consumer)
            raise several_partitions(topic, count)
    return consumer


def several_partitions(topic: str, count: int) -> TopicMismatchError:
    """Return the error for a configuration topic whose records have no single order."""
    return TopicMismatchError(
        f"topic {topic} has {count} partitions and must have 1: what is in the others is not in "
        "force. Stop the workers, delete the topic, make it with `stream-app topics create`, run "
        "'stream-app state reset detector --yes', and apply its objects again"
    )


class UnusableRecords:
    """Records that cannot stand for an object, for example because their key is no id."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, bytes | None], str] = {}

    def note(self, record: Any, problem: str) -> None:
        """Note a record, in place of an earlier one with the same key."""
        place = f"{record.topic} partition {record.partition}, offset {record.offset}"
        self._found[record.topic, record.key] = f"{place}: {problem}"

    def forget(self, record: Any) -> None:
        """Drop what is noted of a key, because a later record replaces or deletes it."""
        self._found.pop((record.topic, record.key), None)

    def __iter__(self) -> Iterator[str]:
        """Yield where each record is, and what is wrong with it."""
        return iter(self._found.values())


async def read_stored(settings: Settings, unusable: UnusableRecords | None = None) -> Stored:
    """Return all configured objects as they are stored; note the other records in `unusable`.

    Raises:
        KafkaUnreachableError: no broker answers.
        TopicMismatchError: a topic is missing.
    """
    names = TopicNames(settings.topic_prefix)
    kinds = {names(topic): kind for kind, topic in TOPIC_OF.items()}
    stored: Stored = {kind: {} for kind in Kind}
    for record in await read_records(settings, CONFIG_TOPICS):
        _store(stored[kinds[record.topic]], record, unusable or UnusableRecords())
    return stored


async def read_statuses(
    settings: Settings, unusable: UnusableRecords | None = None
) -> dict[int, IntegrationStatus]:
    """Return the statuses of integrations by their id; note the other records in `unusable`.

    Raises:
        KafkaUnreachableError: no broker answers.
        TopicMismatchError: the topic is missing.
    """
    objects: dict[int, dict[str, object]] = {}
    for record in await read_records(settings, (Topic.STATUS,)):
        _store(objects, record, unusable or UnusableRecords())
    statuses = {}
    for number, obj in objects.items():
        with contextlib.suppress(InvalidObjectError):
            statuses[number] = parse_status(obj)
    return statuses


async def read_records(settings: Settings, topics: Sequence[Topic]) -> list[Any]:
    """Return all records of configuration topics that are kept.

    Raises:
        KafkaUnreachableError: no broker answers.
        TopicMismatchError: a topic is missing.
    """
    consumer = await open_configuration(settings, topics)
    try:
        async with kafka_errors(settings), asyncio.timeout(READ_SECONDS):
            return [r async for batch in batches_to_end(consumer) for r in batch]
    finally:
        await close(consumer)


def _store(objects: dict[int, dict[str, object]], record: Any, unusable: UnusableRecords) -> None:
    unusable.forget(record)
    object_id, value = id_of_key(record.key), record.value
    if object_id is None:
        if value is not None:
            unusable.note(record, f"{shown_key(record.key)}: must be the object's id as text")
        return
    objects.pop(object_id, None)
    if value is None:
        return
    try:
        obj = orjson.loads(value)
    except orjson.JSONDecodeError:
        obj = None
    if isinstance(obj, dict):
        objects[object_id] = stored_form(obj)
    else:
        unusable.note(record, f"{shown_key(record.key)}: its value is no JSON object")


def shown_key(key: bytes | None) -> str:
    """Return a record's key for a message, cut short if it is long."""
    if key is None:
        return "no key"
    cut = f"… of {len(key):,} bytes" if len(key) > KEY_SHOWN_BYTES else ""
    return f"key {quoted(key[:KEY_SHOWN_BYTES].decode(errors='backslashreplace'))}{cut}"


def id_of_key(key: bytes | None) -> int | None:
    """Return the id that a record's key holds as text; None if it holds none."""
    text = (key or b"").decode("latin-1")
    return (
        int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(2**63)) else None
    )


async def write_records(
    settings: Settings,
    records: Iterable[tuple[Kind, int, dict[str, object] | None]],
    *,
    actor: str,
    cleared: Iterable[int] = (),
) -> None:
    """Write records in their order, and wait until the broker has acknowledged all of them.

    Consecutive records of one topic are sent together. The next topic's records wait for their
    acknowledgement, because a reader of a trigger must be able to find its integrations.

    Args:
        settings: those of the installation.
        records: None for an object is a tombstone, which deletes it.
        actor: the command that writes them.
        cleared: integrations whose status is deleted afterwards.

    Raises:
        KafkaUnreachableError: a record was not acknowledged. The topics before it are written, and
            perhaps a part of its own; running the same command again writes the rest.
        HiddenWriteError: all records are written, but workers cannot see them yet.
    """
    names = TopicNames(settings.topic_prefix)
    rows = [
        (TOPIC_OF[kind], number, None if obj is None else orjson.dumps(obj))
        for kind, number, obj in records
    ]
    rows += [(Topic.STATUS, number, None) for number in cleared]
    own = (ACTOR_HEADER, actor.encode())
    written: dict[tuple[str, int], int] = {}
    async with kafka_errors(settings):
        producer = AIOKafkaProducer(
            **connection_options(settings), acks="all", enable_idempotence=True
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await producer.start()
            for topic, group in itertools.groupby(rows, key=itemgetter(0)):
                headers = [own, *format_headers(topic)]
                sent = [
                    await producer.send(
                        names(topic), key=str(number).encode(), value=value, headers=headers
                    )
                    for _, number, value in group
                ]
                for place in await asyncio.gather(*sent):
                    written[place.topic, place.partition] = place.offset
            await wait_until_seen(settings, producer.client, written)
        finally:
            await producer.stop()
