"""The Faust app of a role: its settings, its batched topics, and how it ends.

The reason for a setting stands beside it. By default Faust reads environment variables without a
prefix, so that the `WEB_PORT` of a Kubernetes service link would break it: hence `env_prefix`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import faust
from faust.transport.producer import ProducerBuffer
from faust.types import TP

from stream_app.domain.formats import format_headers, with_format
from stream_app.domain.topics import Role, Topic
from stream_app.kafka.cluster.broker_clock import BrokerClock
from stream_app.kafka.cluster.topics import DEAD_LETTER_SOURCES, TopicNames
from stream_app.kafka.dead_letters.truncation import OversizedRecords
from stream_app.kafka.dead_letters.writing import unreadable_dead_letter
from stream_app.kafka.engine.batched_sends import PartitionName, SendPolicy, send_batches
from stream_app.kafka.engine.consumer import BatchingTransport
from stream_app.kafka.engine.flush import FlushLimits
from stream_app.kafka.engine.flush_loop import FlushLoop
from stream_app.kafka.engine.lost_batches import LostBatches
from stream_app.kafka.engine.ownership import Ownership
from stream_app.kafka.engine.snapshots import Snapshots
from stream_app.kafka.engine.stage import Stage
from stream_app.kafka.records.unreadable_batches import UnreadableBatch
from stream_app.kafka.sign_in.faust_credentials import KafkaSignIn
from stream_app.kafka.sign_in.sign_in import sign_in
from stream_app.kafka.state.packed_table import PackedTable
from stream_app.kafka.state.recovery import BulkTables
from stream_app.kafka.state.send import Send
from stream_app.kafka.state.state_formats import StateFormats
from stream_app.kafka.state.state_table import StateTable

if TYPE_CHECKING:
    from stream_app.settings import Settings

#: Longest time that a rebalance or a stop waits for flushes in flight.
SETTLE_SECONDS = 3.0
#: Time between heartbeats: a fraction of the shortest session timeout that the settings allow.
HEARTBEAT_SECONDS = 0.5
#: How the workers name themselves to the brokers. Workers before version 0.3.0 do so otherwise,
#: and do not know the client of the pulse: an event of it would be a dead letter.
CLIENT_ID = "stream-app"
#: Batches that may wait in an agent's queue. `buffer_bytes` bounds their size long before that.
MAX_WAITING_BATCHES = 4096


class AppService(Protocol):
    """Runs beside the agents: it starts before them and stops before them."""

    async def start(self) -> None:
        """Start; no partition is assigned yet."""

    async def stop(self) -> None:
        """Stop within the time that it was given; the consumer and the producer still work."""


class StreamApp(faust.App):
    """A Faust app whose agents take record batches and keep their state in `StateTable`s."""

    # By default mode names the logger after this module, and its chatter would look like ours.
    logger = logging.getLogger("faust.stream_app")

    def __init__(self, role: Role, settings: Settings, bootstrap_servers: str) -> None:
        kafka = settings.kafka
        self.role = role
        self.settings = settings
        self.batched_topics: set[str] = set()
        self.clock = BrokerClock()
        self.buffer_bytes = settings.detector.buffer_bytes
        self.fetch_max_wait_ms = kafka.fetch_max_wait_ms
        #: Each table adds itself.
        self.state_tables: list[StateTable[Any]] = []
        self.flush_loops: list[FlushLoop] = []
        self.state_formats: StateFormats | None = None
        #: Set when the worker ends: agents take no further batch.
        self.is_stopping = False
        self.services: list[AppService] = [
            Snapshots(self, settings.kafka.snapshot_interval_seconds)
        ]
        self._known_topics: set[str] = set()
        names = TopicNames(settings.topic_prefix)
        #: Full name of a topic -> the headers that say in which format this version writes to it.
        self._formats = {names(topic): format_headers(topic) for topic in Topic}
        self.oversized_records = OversizedRecords(names)
        #: Full name of a topic -> full name of its dead letters' topic.
        self._dead_letters = {names(t): names.dead_letters(t) for t in DEAD_LETTER_SOURCES}
        #: Resolved when the app cannot go on; the process then ends with this error.
        self.failure: asyncio.Future[BaseException] | None = None
        super().__init__(
            names.group(role),
            env_prefix="STREAM_APP_FAUST_",
            broker=[f"kafka://{server.strip()}" for server in bootstrap_servers.split(",")],
            broker_client_id=f"{CLIENT_ID}-{role}",
            broker_credentials=KafkaSignIn(sign_in(kafka)),
            # After this time the group hands on the partitions of a worker that died.
            broker_session_timeout=kafka.session_timeout_seconds,
            # A worker learns from its next heartbeat that a rebalance has begun, or that another
            # worker has left.
            broker_heartbeat_interval=HEARTBEAT_SECONDS,
            broker_commit_interval=1.0,
            consumer_auto_offset_reset="earliest",
            consumer_max_fetch_size=kafka.fetch_max_bytes_per_partition,
            processing_guarantee="at_least_once",
            producer_acks=-1,
            producer_linger=0.005,
            producer_max_batch_size=256 * 1024,
            # An agent must never wait for an acknowledgement longer than a broker may be away.
            producer_request_timeout=60.0,
            # The memory store drops standby copies but keeps their offsets.
            store="memory://",
            table_standby_replicas=0,
            TableManager=BulkTables,
            stream_buffer_maxsize=MAX_WAITING_BATCHES,
            # If true, a rebalance would wait until the events in hand are acknowledged.
            stream_wait_empty=False,
            stream_recovery_delay=0,
            topic_allow_declare=True,
            topic_replication_factor=kafka.replication_factor,
            topic_partitions=settings.partitions,
            topic_disable_leader=True,
            web_enabled=False,
            web_tables_enabled=False,
            autodiscover=False,
            loghandlers=[],
        )
        ProducerBuffer.max_messages = 50_000
        self.transport = BatchingTransport(self.conf.broker_consumer, self)
        self.ownership = Ownership(self, kafka.session_timeout_seconds)
        self._limits = FlushLimits(
            settings.detector.flush_interval_ms / 1000, settings.detector.flush_max_events
        )

    def _create_directories(self) -> None:
        """Create none: state is in memory and in Kafka, and a container's disk may be read-only."""

    def batch_agent(self, name: str, sources: Sequence[str], stage: Stage) -> None:
        """Declare an agent that runs `stage` on batches of its source topics' records."""
        self.batched_topics.update(sources)
        channel = self.topic(*sources, key_type=bytes, value_type=bytes, value_serializer="raw")
        loop = FlushLoop(self, sources, stage, self.ownership, self._limits)
        self.flush_loops.append(loop)
        self.agent(channel, name=name)(loop.run)

    @property
    def packed_tables(self) -> Sequence[PackedTable[Any]]:
        """The tables that have snapshots."""
        return [table for table in self.state_tables if isinstance(table, PackedTable)]

    def resume_offsets(self, assigned: Iterable[TP]) -> dict[TP, int]:
        """Return the offsets to resume at, for source partitions whose progress is known."""
        assigned = list(assigned)
        offsets: dict[TP, int] = {}
        for table in self.state_tables:
            offsets.update(table.resume_offsets(assigned))
        return offsets

    def unreadable_dead_letters(self, batch: UnreadableBatch) -> Sequence[Send]:
        """Return the dead letter of an unreadable batch; none if its topic has no dead letters."""
        topic = self._dead_letters.get(batch.topic)
        return [] if topic is None else [unreadable_dead_letter(topic, batch)]

    async def produce(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> Awaitable[Any]:
        """Hand a record to the producer; return the future of the broker's acknowledgement.

        Each topic is named to aiokafka's client before its first record. The client starts with
        the metadata of all topics. As soon as it meets a topic that it doesn't know, it keeps only
        those that were named, and a record of any other waits for a leader until it expires.
        """
        await self._make_known(topic)
        before_ms, now = self.clock.steady_ms(), self.clock.now_ms() / 1000
        sent: asyncio.Future[Any] = await self.producer.send(
            topic,
            key,
            value,
            partition,
            now,
            with_format(headers, self._formats.get(topic, ())) or None,
        )
        sent.add_done_callback(partial(self._note_sent, before_ms))
        return sent

    def _note_sent(self, before_ms: int, sent: asyncio.Future[Any]) -> None:
        if not sent.cancelled() and sent.exception() is None:
            self.clock.note_sent(before_ms, sent.result())

    async def produce_step(self, step: Sequence[Send]) -> dict[PartitionName, list[int]]:
        """Send records and wait for the broker; return their offsets by topic and partition."""
        for topic in {send.topic for send in step}:
            await self._make_known(topic)
        producer = self.producer._producer  # noqa: SLF001 - Faust hides it
        acknowledged = partial(self.clock.note_sent, self.clock.steady_ms())
        refused, now_ms = self.oversized_records.refused, self.clock.now_ms
        policy = SendPolicy(refused, now_ms, acknowledged, self._formats)
        return await send_batches(producer, step, policy)

    async def _make_known(self, topic: str) -> None:
        if topic not in self._known_topics:
            await self.producer._producer.client.add_topic(topic)  # noqa: SLF001 - Faust hides it
            self._known_topics.add(topic)

    async def on_start(self) -> None:
        """Start the services."""
        await super().on_start()
        self.add_future(LostBatches(self.consumer, self.flush_loops).watch())
        for service in self.services:
            await service.start()

    async def on_stop(self) -> None:
        """Stop the services first: they need the producer to write what they have done."""
        for service in reversed(self.services):
            await service.stop()
        await super().on_stop()

    async def settle(self) -> None:
        """Let flushes in flight finish, within a bound.

        Cutting a flush short loses nothing, but what it has sent would be sent again.
        """
        waits = [asyncio.ensure_future(loop.settled()) for loop in self.flush_loops]
        await asyncio.wait(waits, timeout=SETTLE_SECONDS)

    async def _on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish what is in flight while the group still waits for this worker."""
        await self.settle()
        await super()._on_partitions_revoked(revoked)

    async def stop(self) -> None:
        """Finish what is in flight, then stop."""
        self.is_stopping = True
        await self.settle()
        await super().stop()

    async def _on_agent_error(self, agent: Any, exc: BaseException) -> None:  # noqa: ARG002
        """End the worker: Faust would commit what is acknowledged and restart the agent."""
        self.ownership.give_up(exc)

    def fail(self, error: BaseException) -> None:
        """End the worker with `error`; may be called from anywhere in its loop.

        From here on no agent takes anything: Faust would restart the one that failed.
        """
        self.is_stopping = True
        if self.failure is not None and not self.failure.done():
            self.failure.set_result(error)
