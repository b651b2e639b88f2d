"""The live configuration of a worker: clients, triggers, integrations and their statuses.

Every worker reads all of the `config.*` topics and `status.integrations` to their end before it
is ready, and follows them from then on. A record that cannot be used takes its object out of the
view, because what stood there before is no longer what its owner wants; the reader itself goes
on. While Kafka is away the last view stays.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from stream_app.domain.configuration.client_names import shared_names
from stream_app.domain.configuration.clients import Client, parse_client
from stream_app.domain.configuration.fields import (
    MAX_CLIENT_BYTES,
    MAX_OBJECT_BYTES,
    Problems,
    note_other_id,
    raise_first,
)
from stream_app.domain.configuration.integrations import Integration, parse_integration
from stream_app.domain.configuration.statuses import (
    IntegrationStatus,
    is_disabled_by_system,
    parse_status,
)
from stream_app.domain.configuration.triggers import Trigger, parse_trigger
from stream_app.domain.errors import (
    InvalidObjectError,
    KafkaUnreachableError,
    TopicMismatchError,
)
from stream_app.domain.topics import VIEW_KINDS
from stream_app.kafka.cluster.topic_facts import topic_facts
from stream_app.kafka.cluster.topics import VIEW_TOPICS, Topic, TopicNames
from stream_app.kafka.configuration.not_evaluated import NotEvaluated
from stream_app.kafka.configuration.records import (
    batches_to_end,
    end_offsets,
    id_of_key,
    open_configuration,
    several_partitions,
    shown_key,
    unreachable,
)
from stream_app.kafka.records.fetch_states import fetched
from stream_app.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aiokafka import AIOKafkaConsumer, TopicPartition
    from faust.types import TP

    from stream_app.kafka.records.fetch_states import Fetched
    from stream_app.metrics import Metrics
    from stream_app.settings import Settings

log = get_logger(__name__)

ConfigObject = Client | Trigger | Integration | IntegrationStatus
CLIENTS, TRIGGERS = "clients", "triggers"
#: What a record may have beyond its object: when and by which command it was written.
STAMPS_BYTES = 4096
PROBE_SECONDS = 2.0
PROBE_TIMEOUT_SECONDS = 5.0
_POLL_MS = 1000
#: Most records that are taken in at a time: 5,000 triggers keep the event loop for 0.13 s.
_POLL_RECORDS = 1000
_RETRY_SECONDS = 1.0


class Configuration:
    """What is configured, by id. The dicts are replaced, not changed: one may be kept and read.

    `version` grows with each batch of changes. `trigger_offsets` holds the offset in
    `config.triggers` of the record that set, spoiled or deleted a trigger; `trigger_position` is
    the next offset of that topic to be read.
    """

    def __init__(self) -> None:
        self.clients: dict[int, Client] = {}
        self.triggers: dict[int, Trigger] = {}
        self.integrations: dict[int, Integration] = {}
        self.statuses: dict[int, IntegrationStatus] = {}
        #: Integrations whose newest record cannot be used: they are not deleted.
        self.invalid_integrations: frozenset[int] = frozenset()
        #: Integrations whose newest record deletes them. The topic keeps it: see `topic_specs`.
        self.deleted_integrations: frozenset[int] = frozenset()
        self.version = 0
        self.trigger_offsets: dict[int, int] = {}
        self.trigger_position = 0

    def count_disabled(self) -> int:
        """Return how many integrations the system has disabled."""
        known, statuses = self.integrations, self.statuses.values()
        return sum(s.id in known and is_disabled_by_system(known[s.id], s) for s in statuses)

    def is_usable(self, integration: Integration) -> bool:
        """Tell whether alerts go to an integration: active, and not disabled by the system."""
        status = self.statuses.get(integration.id)
        return integration.active and not is_disabled_by_system(integration, status)


class RecordApplier:
    """Brings records of the `config.*` topics into a `Configuration`. Knows no Kafka client."""

    def __init__(self, settings: Settings) -> None:
        self.configuration = Configuration()
        names = TopicNames(settings.topic_prefix)
        self._kinds = {names(topic): kind for topic, kind in VIEW_KINDS.items()}
        self._parsers: dict[str, Callable[[dict[str, object]], Any]] = {
            CLIENTS: parse_client,
            TRIGGERS: partial(parse_trigger, allowed_periods=settings.detector.allowed_periods),
            "integrations": parse_integration,
            "statuses": parse_status,
        }
        self._invalid: dict[str, set[bytes]] = {kind: set() for kind in VIEW_KINDS.values()}
        self._deleted: dict[str, set[bytes]] = {kind: set() for kind in VIEW_KINDS.values()}
        #: When each kind was last changed, in Unix ms, as its newest record says; 0: not known.
        self._changed_ms = dict.fromkeys(VIEW_KINDS.values(), 0)
        self._metrics: Metrics | None = None
        self._not_evaluated = NotEvaluated()
        #: Clients whose name another one keeps, and which: told once.
        self._shared_names: dict[int, int] = {}

    def report_to(self, metrics: Metrics) -> None:
        """Show figures from here on: all that there is has been taken in."""
        self._metrics = metrics
        for kind in VIEW_KINDS.values():
            self._count(kind)

    def apply(self, records: Iterable[Any]) -> None:
        """Take the records in, in order, as one change of the view."""
        by_kind: dict[str, list[Any]] = {}
        for record in records:
            by_kind.setdefault(self._kinds[record.topic], []).append(record)
        for kind, batch in by_kind.items():
            objects = dict(getattr(self.configuration, kind))
            for record in batch:
                self._take(kind, record, objects)
            setattr(self.configuration, kind, objects)
            newest = max(record.timestamp for record in batch)
            self._changed_ms[kind] = max(self._changed_ms[kind], newest)
            if kind == TRIGGERS:
                offsets = {id_of_key(record.key): record.offset for record in batch}
                self.configuration.trigger_offsets = self.configuration.trigger_offsets | {
                    number: offset for number, offset in offsets.items() if number is not None
                }
                self.configuration.trigger_position = batch[-1].offset + 1
                self._not_evaluated.note(objects)
            if kind == CLIENTS:
                self._note_names(objects)
            self._count(kind)
        self._note_integrations()
        self.configuration.version += 1

    def forget(self, topic: str) -> None:
        """Drop the objects of a topic that was made anew and is about to be read again."""
        kind = self._kinds[topic]
        setattr(self.configuration, kind, {})
        self._invalid[kind].clear()
        self._deleted[kind].clear()
        self._changed_ms[kind] = 0
        if kind == TRIGGERS:
            self.configuration.trigger_offsets = {}
            self.configuration.trigger_position = 0
            self._not_evaluated.note({})
        self._count(kind)
        self._note_integrations()
        self.configuration.version += 1

    def _note_integrations(self) -> None:
        invalid, deleted = self._invalid["integrations"], self._deleted["integrations"]
        self.configuration.invalid_integrations = _ids(invalid)
        self.configuration.deleted_integrations = _ids(deleted)

    def _note_names(self, clients: dict[int, Client]) -> None:
        """Tell of clients that get no events by their name, since another one has it."""
        shared = shared_names({number: client.name for number, client in clients.items()})
        for number, keeper in shared.items():
            if self._shared_names.get(number) != keeper:
                log.warning(
                    "client_name_shared",
                    client_id=number,
                    kept_by=keeper,
                    reason="events that name it are the other's: apply it with another name",
                )
        self._shared_names = shared

    def _take(self, kind: str, record: Any, objects: dict[int, Any]) -> None:
        object_id = id_of_key(record.key)
        if object_id is not None:
            objects.pop(object_id, None)
        self._invalid[kind].discard(record.key or b"")
        self._deleted[kind].discard(record.key or b"")
        if record.value is None:
            self._deleted[kind].add(record.key or b"")
            return
        try:
            if object_id is None:
                raise _no_id(record.key)
            objects[object_id] = self._parsed(kind, object_id, record.value)
        except InvalidObjectError as error:
            self._invalid[kind].add(record.key or b"")
            log.warning(
                "config_record_invalid",
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                id=object_id,
                reason=str(error),
            )

    def _parsed(self, kind: str, object_id: int, value: bytes) -> ConfigObject:
        most = MAX_CLIENT_BYTES if kind == CLIENTS else MAX_OBJECT_BYTES
        if len(value) > most + STAMPS_BYTES:
            raise InvalidObjectError("bytes", len(value), f"must be at most {most}")
        try:
            obj = orjson.loads(value)
        except orjson.JSONDecodeError:
            raise InvalidObjectError("value", f"{len(value)} bytes", "is no JSON") from None
        if not isinstance(obj, dict):
            raise InvalidObjectError("value", f"{len(value)} bytes", "is no JSON object")
        parsed: ConfigObject = self._parsers[kind](obj)
        problems: Problems = []
        own_id = parsed.client_id if isinstance(parsed, Client) else parsed.id
        note_other_id(object_id, own_id, problems)
        raise_first(problems)
        return parsed

    def _count(self, kind: str) -> None:
        if self._metrics is None:
            return
        objects = getattr(self.configuration, kind)
        self._metrics.config_objects.labels(kind).set(len(objects))
        if kind == TRIGGERS:
            self._metrics.triggers_active.set(sum(t.enabled for t in objects.values()))
            self._not_evaluated.report(self._metrics)
        self._metrics.config_invalid.labels(kind).set(len(self._invalid[kind]))
        self._metrics.config_applied.labels(kind).set(self._changed_ms[kind] / 1000 or None)


def _no_id(key: bytes | None) -> InvalidObjectError:
    return InvalidObjectError(shown_key(key), key, "must be the object's id as text", is_told=True)


class ConfigurationReader:
    """Keeps a `Configuration` up to date. All on one event loop; start it once."""

    def __init__(self, settings: Settings, metrics: Metrics | None = None) -> None:
        self._settings = settings
        self._metrics = metrics
        self._applier = RecordApplier(settings)
        self.configuration = self._applier.configuration
        self._consumer: AIOKafkaConsumer | None = None
        self._next: dict[TopicPartition, int] = {}
        self._ids: dict[str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._subscribers: list[Callable[[Configuration], None]] = []
        self._changed = asyncio.Event()
        self._is_read = False
        self._error: str | None = None

    @property
    def is_ready(self) -> bool:
        """Whether everything has been read once and the topics are being followed."""
        return self._is_read and bool(self._tasks) and not any(t.done() for t in self._tasks)

    @property
    def last_error(self) -> str | None:
        """Why the view may be out of date; None while Kafka answers."""
        return self._error

    def fetched(self) -> dict[TP, Fetched] | None:
        """Return how far each partition is fetched; None: they are not read."""
        return None if self._consumer is None else fetched(self._consumer)

    async def start(self) -> None:
        """Read the topics to the end that they have now, and follow them from there.

        Raises:
            KafkaUnreachableError: no broker answers.
            TopicMismatchError: a topic is missing.
        """
        self._consumer = await open_configuration(self._settings, VIEW_TOPICS)
        try:
            await self._read_to_end(self._consumer)
        except BaseException:
            await self.stop()
            raise
        self._is_read = True
        if self._metrics is not None:
            self._applier.report_to(self._metrics)
        self._tasks = [
            asyncio.create_task(self._follow(self._consumer), name="configuration-follow"),
            asyncio.create_task(self._probe(self._consumer), name="configuration-probe"),
        ]
        found = self.configuration
        log.info(
            "configuration_read",
            clients=len(found.clients),
            triggers=len(found.triggers),
            integrations=len(found.integrations),
        )

    async def stop(self) -> None:
        """Stop following; the view stays as it is."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    def subscribe(self, callback: Callable[[Configuration], None]) -> None:
        """Have `callback` called on the loop after each batch of changes."""
        self._subscribers.append(callback)

    async def catch_up(self, timeout_seconds: float) -> bool:
        """Wait until all that the topics hold at the call has been read.

        Returns:
            Whether that happened within the time.

        Raises:
            KafkaUnreachableError: Kafka does not say how far the topics go.
        """
        if self._consumer is None:
            return False
        try:
            ends = await end_offsets(self._consumer, timeout_seconds)
        except (KafkaError, OSError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise KafkaUnreachableError(f"the configuration's end is unknown: {reason}") from error
        try:
            async with asyncio.timeout(timeout_seconds):
                while any(self._next[partition] < end for partition, end in ends.items()):
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def _read_to_end(self, consumer: AIOKafkaConsumer) -> None:
        async for batch in batches_to_end(consumer):
            self._apply(batch)
        for partition in consumer.assignment():
            # Beyond the last record when the topic ends in records that compaction removed.
            self._next[partition] = await consumer.position(partition)
            if partition.topic == TopicNames(self._settings.topic_prefix)(Topic.TRIGGERS):
                self.configuration.trigger_position = self._next[partition]
        with unreachable(self._settings):
            self._ids = await self._topic_ids(consumer)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            try:
                fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
            except (KafkaError, OSError) as error:
                self._lose(error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            for partition, batch in fetched.items():
                if batch[0].offset < self._next[partition]:
                    self._restart(partition)
                self._next[partition] = batch[-1].offset + 1
            self._apply([record for batch in fetched.values() for record in batch])
            await self._pass_over(consumer)

    async def _pass_over(self, consumer: AIOKafkaConsumer) -> None:
        """Go on behind what is no record.

        It is the end of a transaction, or one that was aborted, or a batch that cannot be read.
        """
        for partition, place in list(self._next.items()):
            # It would wait for a position where there is none.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0):
                    position = await consumer.position(partition)
                if position > place:
                    self._next[partition] = position
                    if partition.topic == TopicNames(self._settings.topic_prefix)(Topic.TRIGGERS):
                        self.configuration.trigger_position = position
                    self._changed.set()
                    self._changed.clear()

    async def _probe(self, consumer: AIOKafkaConsumer) -> None:
        """Notice outages, which a consumer without a group does not report, and new topics."""
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            known = dict(self._next)
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                    ids = await self._topic_ids(consumer)
                ends = await end_offsets(consumer, PROBE_TIMEOUT_SECONDS)
            except (KafkaError, OSError, TimeoutError, TopicMismatchError) as error:
                self._lose(error)
                continue
            if self._error is not None:
                self._error = None
                log.info("configuration_followed_again")
            for partition, end in ends.items():
                # One that was made anew may go as far as the one before, or further.
                is_other = ids[partition.topic] != self._ids.get(partition.topic)
                if is_other or end < known[partition]:
                    self._restart(partition)
                    consumer.seek(partition, 0)
                    self._notify()
            self._ids = ids

    async def _topic_ids(self, consumer: AIOKafkaConsumer) -> dict[str, str]:
        """Return the ids of the topics.

        Raises:
            KafkaError: the broker doesn't tell them, or one of them does not exist.
            TopicMismatchError: one of them has got more partitions.
        """
        topics = sorted({partition.topic for partition in self._next})
        facts = await topic_facts(consumer._client, topics)  # noqa: SLF001 - sends our own request
        if missing := [topic for topic in topics if topic not in facts]:
            raise UnknownTopicOrPartitionError(f"topic {', '.join(missing)} has disappeared")
        for topic, fact in facts.items():
            if len(fact.leaders) > 1:
                raise several_partitions(topic, len(fact.leaders))
        return {topic: fact.id for topic, fact in facts.items()}

    def _restart(self, partition: TopicPartition) -> None:
        log.warning("config_topic_restarted", topic=partition.topic, position=self._next[partition])
        self._next[partition] = 0
        self._applier.forget(partition.topic)

    def _lose(self, error: Exception) -> None:
        reason = f"Kafka does not answer: {str(error) or type(error).__name__}"
        if isinstance(error, UnknownTopicOrPartitionError | TopicMismatchError):
            reason = str(error)
        if self._error is None:
            log.warning("configuration_not_followed", reason=reason)
        self._error = reason

    def _apply(self, records: list[Any]) -> None:
        if records:
            self._applier.apply(records)
            self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed.clear()
        for callback in self._subscribers:
            try:
                callback(self.configuration)
            except Exception:
                log.exception("configuration_subscriber_failed")


def _ids(keys: Iterable[bytes]) -> frozenset[int]:
    """Return the ids that keys hold; what holds none is nobody's."""
    return frozenset(number for key in keys if (number := id_of_key(key)) is not None)
