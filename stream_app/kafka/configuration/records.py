"""Records of the `config.*` topics: opening them for reading, reading all, writing some."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from stream_app.domain.configuration.fields import flattened
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.configuration.statuses import parse_status
from stream_app.domain.errors import (
    InvalidObjectError,
    KafkaUnreachableError,
    TopicMismatchError,
    told,
)
from stream_app.domain.text.printable import quoted
from stream_app.kafka.cluster.admin import connection_options, is_refusal, refusal
from stream_app.kafka.cluster.topics import CONFIG_TOPICS, Topic, TopicNames
from stream_app.kafka.configuration.hidden_writes import wait_until_seen
from stream_app.kafka.records.fetched_records import READ_COMMITTED, install, whole_records

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

    from stream_app.domain.configuration.kinds import Stored
    from stream_app.domain.configuration.statuses import IntegrationStatus
    from stream_app.settings import Settings

TOPIC_OF = {
    Kind.CLIENT: Topic.CLIENTS,
    Kind.INTEGRATION: Topic.INTEGRATIONS,
    Kind.TRIGGER: Topic.TRIGGERS,
}
#: Header of a record: the command that wrote it.
ACTOR_HEADER = "x-actor"
CONNECT_SECONDS = 15.0
READ_SECONDS = 60.0
#: So much of a key that is no id is told.
KEY_SHOWN_BYTES = 80
_POLL_MS = 200


async def open_configuration(settings: Settings, topics: Sequence[Topic]) -> AIOKafkaConsumer:
    """Start a consumer at the beginning of topics of the configuration, as `open_named` does.

    Raises:
        TopicMismatchError: one of them has several partitions, or is missing.
    """
    names = TopicNames(settings.topic_prefix)
    consumer = await open_named(settings, [names(topic) for topic in topics])
    counts = Counter(tp.topic for tp in consumer.assignment())
    for topic, count in counts.items():
        if count != 1:
            await close(consumer)
            raise several_partitions(topic, count)
    return consumer


def several_partitions(topic: str, count: int) -> TopicMismatchError:
    """Return the error of a topic of the configuration whose records have no one order."""
    return TopicMismatchError(
        f"topic {topic} has {count} partitions and must have 1: what is in the others is not in "
        "force. Stop the workers, delete the topic, make it with `stream-app topics create`, run "
        "'stream-app state reset detector --yes', and apply its objects again"
    )


async def open_named(
    settings: Settings, topics: Sequence[str], *, isolation_level: str = READ_COMMITTED
) -> AIOKafkaConsumer:
    """Start a consumer that stands at the beginning of all partitions of topics; their full names.

    It belongs to no group: every process reads everything. The caller stops it.

    Raises:
        KafkaUnreachableError: no broker answers.
        TopicMismatchError: a topic is missing.
    """
    with unreachable(settings):
        partitions = await _partitions(settings, topics)
        install()
        consumer = AIOKafkaConsumer(
            **connection_options(settings),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level=isolation_level,
            fetch_max_wait_ms=settings.kafka.fetch_max_wait_ms,
            key_deserializer=whole_records,
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await consumer.start()
            consumer.assign(partitions)
        except BaseException:
            await consumer.stop()
            raise
    return consumer


async def close(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer, whatever has become of its broker.

    Where a connection has just broken, aiokafka cancels a fetch of its own and hands that out as
    if the caller had been cancelled.
    """
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise


async def _partitions(settings: Settings, topics: Sequence[str]) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(**connection_options(settings))
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await admin.start()
            described = await admin.describe_topics(list(topics))
    finally:
        await admin.close()
    found = {row["topic"]: len(row["partitions"]) for row in described if not row["error_code"]}
    for topic in topics:
        if topic not in found:
            raise TopicMismatchError(
                f"topic {topic} is missing: make it with `stream-app topics create`"
            )
    return [
        TopicPartition(name, number) for name, count in found.items() for number in range(count)
    ]


async def end_offsets(
    consumer: AIOKafkaConsumer, timeout_seconds: float
) -> dict[TopicPartition, int]:
    """Return the end offset of each partition, or raise TimeoutError or KafkaError."""
    async with asyncio.timeout(timeout_seconds):
        ends: dict[TopicPartition, int] = await consumer.end_offsets(consumer.assignment())
    return ends


async def batches_to_end(consumer: AIOKafkaConsumer) -> AsyncIterator[list[Any]]:
    """Yield lists of records until the end that the topics have at the call is reached."""
    ends = await end_offsets(consumer, CONNECT_SECONDS)
    while True:
        fetched = await consumer.getmany(timeout_ms=_POLL_MS)
        yield [record for batch in fetched.values() for record in batch]
        positions = {partition: await consumer.position(partition) for partition in ends}
        if all(positions[partition] >= end for partition, end in ends.items()):
            return


class Refused:
    """Records that stand for no object, whatever is in them: their key is no id, for example."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, bytes | None], str] = {}

    def note(self, record: Any, problem: str) -> None:
        """Note a record, in the place of one with the same key before."""
        place = f"{record.topic} partition {record.partition}, offset {record.offset}"
        self._found[record.topic, record.key] = f"{place}: {problem}"

    def forget(self, record: Any) -> None:
        """Note that a later record of the same key is in force, or deletes it."""
        self._found.pop((record.topic, record.key), None)

    def __iter__(self) -> Iterator[str]:
        """Yield where each is, and what is wrong with it."""
        return iter(self._found.values())


async def read_stored(settings: Settings, refused: Refused | None = None) -> Stored:
    """Return all configured objects as they are stored; records that are no objects are left out.

    These are noted in `refused`.

    Raises:
        KafkaUnreachableError: no broker answers.
        TopicMismatchError: a topic is missing.
    """
    names = TopicNames(settings.topic_prefix)
    kinds = {names(topic): kind for kind, topic in TOPIC_OF.items()}
    stored: Stored = {kind: {} for kind in Kind}
    for record in await _read_all(settings, CONFIG_TOPICS):
        _store(stored[kinds[record.topic]], record, refused or Refused())
    return stored


async def read_statuses(
    settings: Settings, refused: Refused | None = None
) -> dict[int, IntegrationStatus]:
    """Return what the system has made of integrations, by their id.

    Records that say nothing of any are noted in `refused`.

    Raises:
        KafkaUnreachableError: no broker answers.
        TopicMismatchError: the topic is missing.
    """
    objects: dict[int, dict[str, object]] = {}
    for record in await _read_all(settings, (Topic.STATUS,)):
        _store(objects, record, refused or Refused())
    statuses = {}
    for number, obj in objects.items():
        with contextlib.suppress(InvalidObjectError):
            statuses[number] = parse_status(obj)
    return statuses


async def _read_all(settings: Settings, topics: Sequence[Topic]) -> list[Any]:
    consumer = await open_configuration(settings, topics)
    try:
        with unreachable(settings):
            async with asyncio.timeout(READ_SECONDS):
                return [r async for batch in batches_to_end(consumer) for r in batch]
    finally:
        await close(consumer)


def _store(objects: dict[int, dict[str, object]], record: Any, refused: Refused) -> None:
    refused.forget(record)
    object_id, value = id_of_key(record.key), record.value
    if object_id is None:
        if value is not None:
            refused.note(record, f"{shown_key(record.key)}: must be the object's id as text")
        return
    objects.pop(object_id, None)
    if value is None:
        return
    try:
        obj = orjson.loads(value)
    except orjson.JSONDecodeError:
        obj = None
    if isinstance(obj, dict):
        objects[object_id] = flattened(obj)
    else:
        refused.note(record, f"{shown_key(record.key)}: its value is no JSON object")


def shown_key(key: bytes | None) -> str:
    """Return a record's key for a message: it may be as long as its topic takes."""
    if key is None:
        return "no key"
    cut = f"… of {len(key):,} bytes" if len(key) > KEY_SHOWN_BYTES else ""
    return f"key {quoted(key[:KEY_SHOWN_BYTES].decode(errors='backslashreplace'))}{cut}"


def id_of_key(key: bytes | None) -> int | None:
    """Return the id that a record's key holds as text; None when it holds none."""
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
    """Write records in their order; done when the broker has acknowledged all of them.

    Records of one topic that follow each other are under way together; the next topic's wait for
    their acknowledgement, because who reads a trigger must be able to find its integrations.

    Args:
        settings: where.
        records: None for an object is a tombstone, which deletes it.
        actor: the command that writes them.
        cleared: integrations whose status is deleted after that.

    Raises:
        KafkaUnreachableError: a record was not acknowledged; those of the topics before it are
            written, of its own topic some may be, and the same command again writes the rest.
        WithheldError: all of them are written, but workers cannot see them yet.
    """
    names = TopicNames(settings.topic_prefix)
    rows = [
        (names(TOPIC_OF[kind]), number, None if obj is None else orjson.dumps(obj))
        for kind, number, obj in records
    ]
    rows += [(names(Topic.STATUS), number, None) for number in cleared]
    headers = [(ACTOR_HEADER, actor.encode())]
    written: dict[tuple[str, int], int] = {}
    with unreachable(settings):
        producer = AIOKafkaProducer(
            **connection_options(settings), acks="all", enable_idempotence=True
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await producer.start()
            for topic, group in itertools.groupby(rows, key=itemgetter(0)):
                sent = [
                    await producer.send(
                        topic, key=str(number).encode(), value=value, headers=headers
                    )
                    for _, number, value in group
                ]
                for place in await asyncio.gather(*sent):
                    written[place.topic, place.partition] = place.offset
            await wait_until_seen(settings, producer.client, written)
        finally:
            await producer.stop()


async def connect_producer(settings: Settings, producer: AIOKafkaProducer) -> None:
    """Start a producer; one that could not be started is stopped.

    Raises:
        KafkaUnreachableError: no broker answers in time.
    """
    try:
        with unreachable(settings):
            async with asyncio.timeout(CONNECT_SECONDS):
                await producer.start()
    except BaseException:
        await producer.stop()
        raise


@contextlib.contextmanager
def unreachable(settings: Settings) -> Iterator[None]:
    """Turn the driver's errors into one that says what to do.

    Raises:
        KafkaUnreachableError: no broker answers.
        StreamAppError: one refuses, for example a record that is too large.
    """
    servers = settings.kafka.bootstrap_servers or "the embedded Kafka"
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        if is_refusal(error):
            raise refusal(servers, error) from error
        raise KafkaUnreachableError(
            f"{servers}: {told(error)}: is the broker up, and is "
            "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS right?"
        ) from error
