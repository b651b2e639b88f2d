"""The life of a worker: wait for Kafka, read the configuration, work, end within a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import InvalidTimestampError
from prometheus_client import disable_created_metrics

from stream_app import __version__
from stream_app.domain.errors import (
    DeadLetterReason,
    KafkaRefusedError,
    KafkaUnreachableError,
    StreamAppError,
)
from stream_app.domain.topics import DEAD_LETTER_SOURCES, EVENT_TOPICS, ROLE_SOURCES, Role
from stream_app.kafka.cluster.admin import probe
from stream_app.kafka.cluster.broker_clock import read_time
from stream_app.kafka.cluster.connection import CLOCK_STEP, kafka_error, resolve_bootstrap
from stream_app.kafka.cluster.dry_run import check_agreement
from stream_app.kafka.cluster.topic_check import require_brokers_clocks
from stream_app.kafka.cluster.topics import VIEW_TOPICS, Topic
from stream_app.kafka.configuration.reader import ConfigurationReader
from stream_app.kafka.engine.app import StreamApp
from stream_app.kafka.records.fetcher import install_fetcher
from stream_app.kafka.records.unreadable_batches import UNREADABLE_BATCHES, UnreadableBatch
from stream_app.kafka.state.state_formats import StateFormats
from stream_app.kafka.state.state_reset import NOT_REWOUND
from stream_app.kafka.state.topic_ids import check_changelogs, check_topic_ids
from stream_app.kafka.state.topic_partitions import prepare_changelogs, source_partitions
from stream_app.kafka.watch.topic_watch import TopicWatch
from stream_app.logs import get_logger
from stream_app.metrics import Metrics
from stream_app.settings import Settings
from stream_app.worker.garbage import collect_seldom, freeze_existing_objects
from stream_app.worker.health import Health, HealthServer
from stream_app.worker.rights import require_rights
from stream_app.worker.roles import WORKER_ROLES
from stream_app.worker.tls_stream import tls_contexts
from stream_app.worker.token import Token
from stream_app.worker.watches import Watches

log = get_logger(__name__)

BROKER_RETRY_SECONDS = 1.0
REMINDER_SECONDS = 60


@dataclass(frozen=True)
class PreparedWork:
    """What has been made before the work begins."""

    app: StreamApp
    reader: ConfigurationReader
    topic_watch: TopicWatch


def run_worker(role: Role, settings: Settings) -> None:
    """Run a worker of `role` until SIGTERM or SIGINT, or until it cannot go on.

    Raises:
        StreamAppError: the worker cannot start, or cannot go on. Unfinished work is not
            acknowledged.
    """
    install_fetcher()
    collect_seldom()
    # Otherwise each counter and histogram has a second series with the time it was made.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    asyncio.run(Worker(role, settings).run())


class Worker:
    """One process of one role."""

    def __init__(self, role: Role, settings: Settings) -> None:
        self.role = role
        self.settings = settings
        self.metrics = Metrics(role)
        self.health = Health(self.metrics, is_dry_run=settings.dry_run)
        self._stop = asyncio.Event()
        names = settings.names
        self._base_names = {names(topic): topic for topic in Topic}

    @property
    def _sends_pulses(self) -> bool:
        """Whether the worker sends events of its own."""
        return self.role == "notifier" and self.settings.heartbeat.target is not None

    async def run(self) -> None:
        """Start, work until told to stop, and end within the deadline."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        http, port = self.settings.http, self.settings.http.port
        port = WORKER_ROLES[self.role].default_port if port is None else port
        server = HealthServer(
            self.health,
            self.metrics,
            http.host,
            port,
            tls=tls_contexts(http),
            token=Token(http),
        )
        self.health.set_check("started", lambda: "waiting for Kafka")
        url = await server.start()
        UNREADABLE_BATCHES.listeners.append(self._note_unreadable)
        log.info(
            "worker_starting",
            role=self.role,
            version=__version__,
            health=url,
            dry_run=self.settings.dry_run,
        )
        if self.settings.dry_run:
            log.warning("dry_run", then="every delivery is recorded, and nothing sent to anybody")
        try:
            await self._work()
        finally:
            self.health.is_draining = True
            await server.stop()
        log.info("worker_stopped", role=self.role)

    def _note_unreadable(self, batch: UnreadableBatch) -> None:
        """Log and count a batch that cannot be read; called from any thread."""
        log.error(
            "batch_unreadable",
            topic=batch.topic,
            partition=batch.partition,
            first_offset=batch.first_offset,
            last_offset=batch.offset,
            bytes=batch.size,
            error_class=batch.error_class,
            why=batch.error,
        )
        topic = self._base_names.get(batch.topic)
        if topic is None:
            return  # a changelog's: the reader of the state decides what it means
        self.metrics.unreadable_batches.labels(topic).inc()
        if topic in DEAD_LETTER_SOURCES and topic in self.metrics.topics:
            self.metrics.dead_letters.labels(topic, DeadLetterReason.UNREADABLE_BATCH).inc()

    async def _work(self) -> None:
        prepared = await self._prepare_unless_stopped()
        if prepared is None:
            return
        try:
            await self._run_app(prepared)
        finally:
            await prepared.reader.stop()

    async def _prepare(self) -> PreparedWork:
        """Read what is needed before the work; start over if the broker goes away meanwhile."""
        while True:
            bootstrap = await self._wait_for_broker()
            reader = ConfigurationReader(self.settings, self.metrics)
            try:
                return await self._create_app(bootstrap, reader)
            except KafkaUnreachableError as error:
                await reader.stop()
                log.warning("broker_unreachable", why=str(error), then="waiting for it")
                await asyncio.sleep(BROKER_RETRY_SECONDS)
            except BaseException:
                await reader.stop()
                raise

    async def _create_app(self, bootstrap: str, reader: ConfigurationReader) -> PreparedWork:
        sources, role = ROLE_SOURCES[self.role], WORKER_ROLES[self.role]
        names = self.settings.names
        await require_rights(
            self.settings,
            [names(topic) for topic in dict.fromkeys((*sources, *VIEW_TOPICS))],
            [
                *(names(topic) for topic in (*role.outputs, *role.own)),
                *(names(topic) for topic in EVENT_TOPICS if self._sends_pulses),
                *(names.dead_letters(one) for one in sources if one in DEAD_LETTER_SOURCES),
            ],
        )
        await check_agreement(self.settings)
        partitions = await source_partitions(self.settings, sources, role.outputs)
        topics = [names(topic) for topic in sources]
        await require_brokers_clocks(self.settings, topics)
        self.health.set_check("started", lambda: "reading the configuration")
        await reader.start()
        app = role.create_app(self.settings, bootstrap, partitions, reader, self.metrics)
        changelogs = [table.changelog_topic_name for table in app.state_tables]
        rewound = [names(topic) for topic in sources if topic not in NOT_REWOUND]
        await check_changelogs(self.settings, self.role, changelogs, rewound)
        await read_time(self.settings, app.clock)
        await prepare_changelogs(self.settings, app)
        ids = await check_topic_ids(self.settings, self.role, [*topics, *changelogs])
        app.state_formats = StateFormats(names.group(self.role)) if ids else None
        counts = {names(topic): count for topic, count in partitions.items()}
        topic_watch = TopicWatch(app, counts, ids)
        freeze_existing_objects()
        return PreparedWork(app, reader, topic_watch)

    async def _run_app(self, prepared: PreparedWork) -> None:
        app = prepared.app
        app.oversized_records.report_to(self.metrics)
        failure = app.failure = asyncio.get_running_loop().create_future()
        self.health.set_check("started", lambda: None)
        watches = Watches(app, prepared.reader, prepared.topic_watch, self.metrics)
        for name, check in watches.checks().items():
            self.health.set_check(name, check)
        watching = watches.start()
        starting = asyncio.create_task(app.start())
        crashed = asyncio.create_task(app.wait_until_stopped())
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait(
                {failure, stop, crashed, starting}, return_when=asyncio.FIRST_COMPLETED
            )
            if _has_started(starting) and not self._stop.is_set() and not failure.done():
                log.info("worker_started", role=self.role)
                await asyncio.wait({failure, stop, crashed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*watching, stop, crashed):
                task.cancel()
        self.health.is_draining = True
        error = _worker_error(app, failure, starting)
        if error is not None:
            # A changelog that is gone explains more than the error that the broker gave for it.
            error = prepared.topic_watch.lost_state() or error
        await self._end(app, starting, error)
        if error is not None:
            raise error

    async def _end(
        self, app: StreamApp, starting: asyncio.Task[Any], error: StreamAppError | None
    ) -> None:
        """Stop the app. The next owner takes over what it has begun and cannot finish."""
        log.info("worker_stopping", deadline_seconds=self.settings.shutdown_timeout_seconds)
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await starting
        stopping = asyncio.create_task(app.stop())
        done, _ = await asyncio.wait({stopping}, timeout=self.settings.shutdown_timeout_seconds)
        is_cut = not done or stopping.cancelled()
        why = None if is_cut else stopping.exception()
        if is_cut or why is not None:
            # Nothing is lost: what is not acknowledged is read again. Without this, a thread of
            # Faust would keep the process alive.
            log.warning(
                "worker_stop_forced",
                error=None if error is None else str(error),
                exc_info=why,
            )
            logging.shutdown()
            os._exit(0 if error is None else error.exit_code)

    async def _prepare_unless_stopped(self) -> PreparedWork | None:
        """Prepare the work; return None as soon as the worker is told to stop."""
        work = asyncio.create_task(self._prepare())
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not work.done():
            work.cancel()
            await asyncio.wait({work}, timeout=self.settings.shutdown_timeout_seconds)
            return None
        return work.result()

    async def _wait_for_broker(self) -> str:
        """Return the broker's address once it answers; log now and then that it does not."""
        started, said = time.monotonic(), False
        while True:
            try:
                found = await probe(self.settings)
            except KafkaUnreachableError as error:
                self.metrics.broker_connected.set(0)
                if not said:
                    log.warning("broker_unreachable", why=str(error), then="waiting for it")
                    said = True
            else:
                self.metrics.broker_connected.set(1)
                return found
            await asyncio.sleep(BROKER_RETRY_SECONDS)
            if said and (waited := time.monotonic() - started) > REMINDER_SECONDS:
                log.warning("broker_still_unreachable", waited_seconds=round(waited))
                started = time.monotonic()


def _has_started(starting: asyncio.Task[Any]) -> bool:
    return starting.done() and not starting.cancelled() and starting.exception() is None


def _worker_error(
    app: StreamApp, failure: asyncio.Future[BaseException], starting: asyncio.Task[Any]
) -> StreamAppError | None:
    """Return why the worker cannot go on; None if it was told to stop."""
    error = failure.result() if failure.done() else app.crash_reason
    if error is None and starting.done() and not starting.cancelled():
        error = starting.exception()
    if error is None or isinstance(error, StreamAppError):
        return error
    refused = kafka_error(resolve_bootstrap(app.settings), error)
    if isinstance(refused, KafkaRefusedError):
        refused.__cause__ = error
        return refused
    text = str(error) or type(error).__name__
    step = CLOCK_STEP if isinstance(error, InvalidTimestampError) else "start it again"
    found = StreamAppError(
        f"the worker cannot go on: {text}: nothing unfinished was acknowledged; {step}"
    )
    found.__cause__ = error
    return found
