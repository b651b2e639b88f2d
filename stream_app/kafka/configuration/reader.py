"""Keeps a worker's view of the configuration up to date.

Every worker reads all `config.*` topics and `status.integrations` to their end before it is ready,
and follows them from then on. While Kafka is away, the last view remains.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from faust.types import TP

from stream_app.domain.errors import KafkaUnreachableError, StreamAppError, TopicMismatchError
from stream_app.domain.formats import require_known_formats
from stream_app.kafka.cluster.connection import kafka_errors
from stream_app.kafka.cluster.consumers import batches_to_end, close, end_offsets
from stream_app.kafka.cluster.topic_metadata import topic_metadata
from stream_app.kafka.cluster.topics import VIEW_TOPICS, Topic, TopicNames
from stream_app.kafka.configuration.records import open_configuration, several_partitions
from stream_app.kafka.configuration.view import Configuration, RecordApplier
from stream_app.kafka.records.fetch_states import Fetched, fetched
from stream_app.logs import get_logger
from stream_app.metrics import Metrics
from stream_app.settings import Settings

log = get_logger(__name__)

PROBE_SECONDS = 2.0
PROBE_TIMEOUT_SECONDS = 5.0
_POLL_MS = 1000
#: Most records that are applied at a time: 5,000 triggers hold the event loop for 0.13 s.
_POLL_RECORDS = 1000
_RETRY_SECONDS = 1.0


class ConfigurationReader:
    """Keeps a `Configuration` up to date, all on one event loop. Start it once."""

    def __init__(self, settings: Settings, metrics: Metrics | None = None) -> None:
        self._settings = settings
        self._metrics = metrics
        self._applier = RecordApplier(settings)
        self.configuration = self._applier.configuration
        self._consumer: AIOKafkaConsumer | None = None
        self._triggers_topic = TopicNames(settings.topic_prefix)(Topic.TRIGGERS)
        #: The offset to read next, by partition.
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
    def failure(self) -> StreamAppError | None:
        """Why the topics are not followed any more; None while they are, or if nobody knows."""
        ended = [task for task in self._tasks if task.done() and not task.cancelled()]
        errors = (task.exception() for task in ended)
        return next((error for error in errors if isinstance(error, StreamAppError)), None)

    @property
    def last_error(self) -> str | None:
        """Why the view may be out of date; None while Kafka answers."""
        return self._error

    def fetched(self) -> dict[TP, Fetched] | None:
        """Return how far each partition is fetched; None if they are not read."""
        return None if self._consumer is None else fetched(self._consumer)

    async def start(self) -> None:
        """Read the topics to their current ends, and follow them from there.

        Raises:
            KafkaUnreachableError: no broker answers.
            TopicMismatchError: a topic is missing.
            NewerFormatError: a newer version has written a record.
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
            await close(consumer)

    def subscribe(self, callback: Callable[[Configuration], None]) -> None:
        """Call `callback` on the loop after each batch of changes."""
        self._subscribers.append(callback)

    async def catch_up(self, timeout_seconds: float) -> bool:
        """Wait until everything that the topics hold now has been read; tell whether it has.

        Raises:
            KafkaUnreachableError: Kafka does not tell the ends of the topics.
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
        async with kafka_errors(self._settings):
            self._apply([one async for batch in batches_to_end(consumer) for one in batch])
        for partition in consumer.assignment():
            # This is beyond the last record if compaction has removed the newest ones.
            self._set_position(partition, await consumer.position(partition))
        async with kafka_errors(self._settings):
            self._ids = await self._topic_ids(consumer)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            try:
                batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
            except (KafkaError, OSError) as error:
                self._note_outage(error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            for partition, batch in batches.items():
                if batch[0].offset < self._next[partition]:
                    self._restart(partition)
                self._next[partition] = batch[-1].offset + 1
            self._apply([record for batch in batches.values() for record in batch])
            await self._skip_gaps(consumer)

    async def _skip_gaps(self, consumer: AIOKafkaConsumer) -> None:
        """Skip offsets without records.

        These are markers of transactions, aborted records, and batches that cannot be read.
        """
        for partition, place in list(self._next.items()):
            # Without a position yet, `position` would wait for one.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0):
                    position = await consumer.position(partition)
                if position > place:
                    self._set_position(partition, position)
                    self._changed.set()
                    self._changed.clear()

    def _set_position(self, partition: TopicPartition, position: int) -> None:
        self._next[partition] = position
        if partition.topic == self._triggers_topic:
            self.configuration.trigger_position = position

    async def _probe(self, consumer: AIOKafkaConsumer) -> None:
        """Notice new topics, and outages, which a consumer without a group does not report."""
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            known = dict(self._next)
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                    ids = await self._topic_ids(consumer)
                ends = await end_offsets(consumer, PROBE_TIMEOUT_SECONDS)
            except (KafkaError, OSError, TimeoutError, TopicMismatchError) as error:
                self._note_outage(error)
                continue
            if self._error is not None:
                self._error = None
                log.info("configuration_followed_again")
            for partition, end in ends.items():
                # A topic that was made anew may be as long as the one before, or longer.
                is_other = ids[partition.topic] != self._ids.get(partition.topic)
                if is_other or end < known[partition]:
                    self._restart(partition)
                    consumer.seek(partition, 0)
                    self._notify()
            self._ids = ids

    async def _topic_ids(self, consumer: AIOKafkaConsumer) -> dict[str, str]:
        """Return the ids of the topics.

        Raises:
            KafkaError: the broker does not tell them, or a topic does not exist.
            TopicMismatchError: a topic has got more partitions.
        """
        topics = sorted({partition.topic for partition in self._next})
        facts = await topic_metadata(consumer._client, topics)  # noqa: SLF001 - sends our own request
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

    def _note_outage(self, error: Exception) -> None:
        reason = f"Kafka does not answer: {str(error) or type(error).__name__}"
        if isinstance(error, UnknownTopicOrPartitionError | TopicMismatchError):
            reason = str(error)
        if self._error is None:
            log.warning("configuration_not_followed", reason=reason)
        self._error = reason

    def _apply(self, records: list[Any]) -> None:
        if records:
            for record in records:
                require_known_formats(record.topic, record.partition, [record])
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
