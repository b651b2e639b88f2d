"""What is watched while a worker's app runs: for its health, for its metrics, and to end it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from stream_app.domain.errors import StreamAppError, TopicGrownError, TopicMismatchError
from stream_app.domain.topics import ROLE_SOURCES
from stream_app.kafka.cluster.broker_clock import watch_time
from stream_app.kafka.configuration.reader import ConfigurationReader
from stream_app.kafka.engine.app import StreamApp
from stream_app.kafka.engine.ownership import run_beside
from stream_app.kafka.sign_in.sign_in import sign_in
from stream_app.kafka.state.topic_partitions import check_growth
from stream_app.kafka.watch.lag import LagMeter
from stream_app.kafka.watch.sign_in_watch import SignInWatch
from stream_app.kafka.watch.standstill import Standstill
from stream_app.kafka.watch.topic_watch import TopicWatch
from stream_app.kafka.watch.withheld import WithheldMeter
from stream_app.logs import get_logger
from stream_app.metrics import Metrics
from stream_app.worker.health import HealthCheck

log = get_logger(__name__)

LOOK_SECONDS = 0.5


class Watches:
    """The watches of a running app.

    Args:
        app: the worker's.
        reader: follows the configuration for it.
        topic_watch: watches the topics for it.
        metrics: kept up to date.
    """

    def __init__(
        self,
        app: StreamApp,
        reader: ConfigurationReader,
        topic_watch: TopicWatch,
        metrics: Metrics,
    ) -> None:
        self._app = app
        self._reader = reader
        self._topic_watch = topic_watch
        self._metrics = metrics
        self._names = app.settings.names
        self._standstill = Standstill(app, lambda: topic_watch.ends)
        self._sign_in = SignInWatch(sign_in(app.settings.kafka))
        self._is_broker_away = False
        recovery = app.tables.recovery
        metrics.recovery_remaining.set_function(
            lambda: recovery.progress and recovery.progress.remaining
        )
        metrics.recovery_seconds.set_function(
            lambda: recovery.progress and recovery.progress.seconds
        )
        metrics.clock_ahead.set_function(lambda: app.clock.ahead_seconds)

    def checks(self) -> Mapping[str, HealthCheck]:
        """Return the checks of a running worker's health."""
        return {
            "assigned": self._why_not_assigned,
            "sign-in": self._sign_in.failure,
            "broker": lambda: "no answer from the broker" if self._is_broker_away else None,
            "configuration": self._why_not_configured,
            "topics": self._topic_watch.failure,
            "partitions": self._standstill.failure,
        }

    def start(self) -> list[asyncio.Task[Any]]:
        """Start the watches; cancel the tasks to stop them."""
        app = self._app
        work = (self._watch_work(), watch_time(app.settings, app.clock), self._topic_watch.run())
        # An error ends the worker: without its watches it would look well whatever happens.
        return [run_beside(app.ownership, one) for one in work]

    async def _watch_work(self) -> None:
        """Keep health and metrics up to date; end the app if it can do no more work."""
        app = self._app
        lag = LagMeter(app, self._names, self._metrics)
        withheld = WithheldMeter(app, self._reader, self._names, self._metrics)
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._sign_in.look()
            self._look_at_broker()
            lag.look(is_broker_away=self._is_broker_away)
            withheld.look(is_broker_away=self._is_broker_away)
            try:
                check_growth(app)
            except (TopicGrownError, TopicMismatchError) as error:
                app.fail(error)
            if (group_error := self._group_error()) is not None:
                app.fail(group_error)
            if not self._reader.is_ready:
                why = StreamAppError("the configuration is not followed any more")
                app.fail(self._reader.failure or why)
            self._look_at_partitions()

    def _look_at_partitions(self) -> None:
        """Look whether all partitions advance."""
        is_held_up = self._is_broker_away or self._reader.last_error is not None
        self._standstill.look(is_held_up=is_held_up)
        counts = self._standstill.counts()
        for topic in ROLE_SOURCES[self._app.role]:
            count = None if counts is None else counts[self._names(topic)]
            self._metrics.standing_still.labels(str(topic)).set(count)

    def _look_at_broker(self) -> None:
        """Log once when the broker stops answering, and once when it answers again.

        It counts as away if it has accepted no heartbeat for half of the session timeout.
        """
        app = self._app
        most_seconds = app.settings.kafka.session_timeout_seconds / 2
        silent_seconds = app.consumer.heartbeat_age_seconds if app.started and app.consumer else 0.0
        is_away = silent_seconds > most_seconds and not app.rebalancing
        if is_away != self._is_broker_away:
            self._is_broker_away = is_away
            if is_away:
                log.warning("broker_lost", silent_seconds=round(silent_seconds, 1))
            else:
                log.info("broker_back")
        self._metrics.broker_connected.set(not is_away)

    def _group_error(self) -> BaseException | None:
        """Return why the group does not take the worker; it would wait for that in silence."""
        thread = self._app.consumer._thread if self._app.started and self._app.consumer else None  # noqa: SLF001 - Faust hides it
        return None if thread is None else thread.group_error()

    def _why_not_assigned(self) -> str | None:
        progress = self._app.tables.recovery.progress
        if progress is not None and not progress.is_over:
            return str(progress)
        if self._app.rebalancing:
            return "partitions are being assigned"
        if not self._app.tables.actives_ready:
            return "state is being read"
        return None

    def _why_not_configured(self) -> str | None:
        return self._reader.last_error if self._reader.is_ready else "not read to its end"
