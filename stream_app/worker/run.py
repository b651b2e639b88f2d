"""The life of a worker: wait for Kafka, read the configuration, work, end within a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from aiokafka.errors import InvalidTimestampError
from faust.types import TP
from prometheus_client import disable_created_metrics

from stream_app.detector.app import OUTPUTS as DETECTOR_OUTPUTS
from stream_app.detector.app import create_detector
from stream_app.domain.errors import (
    DeadLetterReason,
    KafkaUnreachableError,
    StreamAppError,
    TopicMismatchError,
)
from stream_app.domain.topics import DEAD_LETTER_SOURCES, ROLE_SOURCES, Role
from stream_app.kafka.cluster.admin import probe
from stream_app.kafka.cluster.broker_clock import read_time, watch_time
from stream_app.kafka.cluster.connection import CLOCK_STEP
from stream_app.kafka.cluster.dry_run import check_agreement
from stream_app.kafka.cluster.topic_check import require_brokers_clocks
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.configuration.reader import ConfigurationReader
from stream_app.kafka.engine.app import StreamApp
from stream_app.kafka.engine.changelogs import (
    check_growth,
    prepare_changelogs,
    source_partitions,
)
from stream_app.kafka.records.fetcher import install_fetcher
from stream_app.kafka.records.unreadable_batches import UNREADABLE_BATCHES, UnreadableBatch
from stream_app.kafka.state.state_reset import NOT_REWOUND
from stream_app.kafka.state.topic_ids import check_changelogs, check_topic_ids
from stream_app.kafka.watch.lag import LagMeter
from stream_app.kafka.watch.standstill import Standstill
from stream_app.kafka.watch.topic_watch import TopicWatch
from stream_app.kafka.watch.withheld import WithheldMeter
from stream_app.logs import get_logger
from stream_app.metrics import Metrics
from stream_app.notifier.app import create_notifier
from stream_app.settings import Settings
from stream_app.worker.garbage import collect_seldom, spare_what_is_there
from stream_app.worker.health import Health, HealthServer

log = get_logger(__name__)

DEFAULT_PORTS: Mapping[Role, int] = {"detector": 9464, "notifier": 9465}
BROKER_RETRY_SECONDS = 1.0
LOOK_SECONDS = 0.5


class Create(Protocol):
    """Builds the app of a role."""

    def __call__(
        self,
        settings: Settings,
        bootstrap_servers: str,
        partitions: Mapping[Topic, int],
        reader: ConfigurationReader,
        metrics: Metrics,
    ) -> StreamApp:
        """Return the app; nothing runs yet."""


#: By role: what it reads with state, what else must be there because it writes it, its app.
ROLES: Mapping[Role, tuple[Sequence[Topic], Sequence[Topic], Create]] = {
    "detector": (ROLE_SOURCES["detector"], DETECTOR_OUTPUTS, create_detector),
    "notifier": (ROLE_SOURCES["notifier"], (), create_notifier),
}


def run_worker(role: Role, settings: Settings) -> None:
    """Run a worker of `role` until SIGTERM or SIGINT, or until it cannot go on.

    Raises:
        StreamAppError: the worker cannot start or cannot go on; nothing is acknowledged that
            is not done.
    """
    install_fetcher()
    collect_seldom()
    # Else each counter and histogram has a second series that says when it was made.
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
        self._app: StreamApp | None = None
        self._topics: TopicWatch | None = None
        self._is_broker_away = False
        names = TopicNames(settings.topic_prefix)
        self._base_names = {names(topic): topic for topic in Topic}

    async def run(self) -> None:
        """Start, work until told to stop, and end within the deadline."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        http, port = self.settings.http, self.settings.http.port
        port = DEFAULT_PORTS[self.role] if port is None else port
        server = HealthServer(self.health, self.metrics, http.host, port)
        self.health.add("started", lambda: "waiting for Kafka")
        url = await server.start()
        UNREADABLE_BATCHES.listeners.append(self._note_unreadable)
        log.info("worker_starting", role=self.role, health=url, dry_run=self.settings.dry_run)
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
            return  # of a changelog: who reads the state judges it
        self.metrics.unreadable_batches.labels(topic).inc()
        if topic in DEAD_LETTER_SOURCES and topic in self.metrics.topics:
            self.metrics.dead_letters.labels(topic, DeadLetterReason.UNREADABLE_BATCH).inc()

    async def _work(self) -> None:
        prepared = await self._unless_stopped(self._prepare)
        if prepared is None:
            return
        app, reader = prepared
        try:
            await self._run_app(app, reader)
        finally:
            await reader.stop()

    async def _prepare(self) -> tuple[StreamApp, ConfigurationReader]:
        """Read what the work begins with; begin anew when the broker goes away meanwhile."""
        while True:
            bootstrap = await self._wait_for_broker()
            reader = ConfigurationReader(self.settings, self.metrics)
            try:
                return await self._create_app(bootstrap, reader), reader
            except KafkaUnreachableError as error:
                await reader.stop()
                log.warning("broker_unreachable", why=str(error), then="waiting for it")
                await asyncio.sleep(BROKER_RETRY_SECONDS)
            except BaseException:
                await reader.stop()
                raise

    async def _create_app(self, bootstrap: str, reader: ConfigurationReader) -> StreamApp:
        sources, outputs, create = ROLES[self.role]
        await check_agreement(self.settings)
        partitions = await source_partitions(self.settings, sources, outputs)
        names = TopicNames(self.settings.topic_prefix)
        topics = [names(topic) for topic in sources]
        await require_brokers_clocks(self.settings, topics)
        self.health.add("started", lambda: "reading the configuration")
        await reader.start()
        app = create(self.settings, bootstrap, partitions, reader, self.metrics)
        changelogs = [table.changelog_topic_name for table in app.state_tables]
        rewound = [names(topic) for topic in sources if topic not in NOT_REWOUND]
        await check_changelogs(self.settings, self.role, changelogs, rewound)
        await read_time(self.settings, app.clock)
        await prepare_changelogs(self.settings, app)
        ids = await check_topic_ids(self.settings, self.role, [*topics, *changelogs])
        counts = {names(topic): count for topic, count in partitions.items()}
        self._topics = TopicWatch(
            self.settings, self.role, counts, changelogs, ids, app.fail, lambda: _sources_of(app)
        )
        spare_what_is_there()
        return app

    async def _run_app(self, app: StreamApp, reader: ConfigurationReader) -> None:
        self._app = app
        app.oversized_records.report_to(self.metrics)
        failure = app.failure = asyncio.get_running_loop().create_future()
        self.health.add("started", lambda: None)
        recovery = app.tables.recovery
        self.metrics.recovery_remaining.set_function(
            lambda: recovery.progress and recovery.progress.remaining
        )
        self.metrics.recovery_seconds.set_function(
            lambda: recovery.progress and recovery.progress.seconds
        )
        self.health.add("assigned", lambda: _why_not_assigned(app))
        self.health.add(
            "broker", lambda: "no answer from the broker" if self._is_broker_away else None
        )
        self.health.add("configuration", lambda: _why_not_configured(reader))
        self.metrics.clock_ahead.set_function(lambda: app.clock.ahead_seconds)
        watches = [asyncio.create_task(self._watch(app, reader))]
        watches.append(asyncio.create_task(watch_time(self.settings, app.clock)))
        if (topics := self._topics) is not None:
            standstill = Standstill(app, lambda: topics.ends)
            self.health.add("topics", topics.failure)
            self.health.add("partitions", standstill.failure)
            watches.append(asyncio.create_task(topics.run()))
            watches.append(asyncio.create_task(self._watch_moves(reader, standstill)))
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
            for task in (*watches, stop, crashed):
                task.cancel()
        self.health.is_draining = True
        error = _worker_error(app, failure, starting)
        if error is not None and topics is not None:
            # What the broker said of a changelog that is gone is no help.
            error = topics.lost_state() or error
        await self._end(app, starting, 0 if error is None else error.exit_code, error)
        if error is not None:
            raise error

    async def _end(
        self,
        app: StreamApp,
        starting: asyncio.Task[Any],
        exit_code: int,
        error: StreamAppError | None,
    ) -> None:
        """Stop the app; what it has in hand and cannot finish goes to the next owner."""
        log.info("worker_stopping", deadline_seconds=self.settings.shutdown_timeout_seconds)
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await starting
        stopping = asyncio.create_task(app.stop())
        done, _ = await asyncio.wait({stopping}, timeout=self.settings.shutdown_timeout_seconds)
        if not done:
            # Nothing is lost: what is not acknowledged is read again. But a thread of Faust
            # would keep the process alive.
            log.warning("worker_stop_forced", error=None if error is None else str(error))
            logging.shutdown()
            os._exit(exit_code)
        with contextlib.suppress(asyncio.CancelledError, Exception):
            stopping.result()

    async def _unless_stopped(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Await `call()`, or return `None` as soon as the worker is told to stop."""
        work = asyncio.ensure_future(call())
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not work.done():
            work.cancel()
            await asyncio.wait({work}, timeout=self.settings.shutdown_timeout_seconds)
            return None
        return work.result()

    async def _wait_for_broker(self) -> str:
        """Return the broker's address once it answers; say once that it does not."""
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
            if said and (waited := time.monotonic() - started) > 60:  # noqa: PLR2004 - a reminder each minute
                log.warning("broker_still_unreachable", waited_seconds=round(waited))
                started = time.monotonic()

    async def _watch(self, app: StreamApp, reader: ConfigurationReader) -> None:
        """Look now and then how far the worker is, and whether it still can do its work."""
        names = TopicNames(self.settings.topic_prefix)
        lag = LagMeter(app, names, self.metrics)
        withheld = WithheldMeter(app, reader, names, self.metrics)
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._look_at_broker(app)
            lag.look(is_broker_away=self._is_broker_away)
            withheld.look(is_broker_away=self._is_broker_away)
            try:
                check_growth(app)
            except TopicMismatchError as error:
                app.fail(error)
            if not reader.is_ready:
                app.fail(StreamAppError("the configuration is not followed any more"))

    async def _watch_moves(self, reader: ConfigurationReader, standstill: Standstill) -> None:
        """Look now and then whether all partitions move."""
        names = TopicNames(self.settings.topic_prefix)
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            standstill.look(is_held_up=self._is_broker_away or reader.last_error is not None)
            counts = standstill.counts()
            for topic in ROLES[self.role][0]:
                count = None if counts is None else counts[names(topic)]
                self.metrics.standing_still.labels(str(topic)).set(count)

    def _look_at_broker(self, app: StreamApp) -> None:
        """Log when the broker stops answering and when it answers again, once each.

        It counts as away when no heartbeat was accepted for half of the session's time.
        """
        limit = self.settings.kafka.session_timeout_seconds / 2
        age = app.consumer.heartbeat_age_seconds if app.started and app.consumer else 0.0
        is_away = age > limit and not app.rebalancing
        if is_away != self._is_broker_away:
            self._is_broker_away = is_away
            if is_away:
                log.warning("broker_lost", silent_seconds=round(age, 1))
            else:
                log.info("broker_back")
        self.metrics.broker_connected.set(not is_away)


def _sources_of(app: StreamApp) -> list[TP]:
    """Return the source partitions that a worker has."""
    return list(app.consumer.start_positions) if app.started and app.consumer else []


def _why_not_assigned(app: StreamApp) -> str | None:
    progress = app.tables.recovery.progress
    if progress is not None and not progress.is_over:
        return str(progress)
    if app.rebalancing:
        return "partitions are being assigned"
    if not app.tables.actives_ready:
        return "state is being read"
    return None


def _why_not_configured(reader: ConfigurationReader) -> str | None:
    return reader.last_error if reader.is_ready else "not read to its end"


def _has_started(starting: asyncio.Task[Any]) -> bool:
    return starting.done() and not starting.cancelled() and starting.exception() is None


def _worker_error(
    app: StreamApp, failure: asyncio.Future[BaseException], starting: asyncio.Task[Any]
) -> StreamAppError | None:
    """Return why the worker cannot go on; `None` when it was told to stop."""
    error = failure.result() if failure.done() else app.crash_reason
    if error is None and starting.done() and not starting.cancelled():
        error = starting.exception()
    if error is None or isinstance(error, StreamAppError):
        return error
    text = str(error) or type(error).__name__
    step = CLOCK_STEP if isinstance(error, InvalidTimestampError) else "start it again"
    found = StreamAppError(
        f"the worker cannot go on: {text}: nothing unfinished was acknowledged; {step}"
    )
    found.__cause__ = error
    return found
