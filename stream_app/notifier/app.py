"""The notifier's Faust app: `route`, `deliver`, and the sender beside them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from stream_app.domain.delivery.auto_disable import JudgeRules
from stream_app.domain.delivery.partition_deliveries import DeliveryRules, PartitionDeliveries
from stream_app.domain.delivery.records import Result, ResultRecord, encode_result
from stream_app.domain.episodes.partition_episodes import PartitionEpisodes
from stream_app.domain.errors import TopicMismatchError
from stream_app.domain.notices.signatures import NoticeSigner
from stream_app.domain.pulse.attempts import AttemptWatch
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.configuration.reader import ConfigurationReader
from stream_app.kafka.engine.app import StreamApp
from stream_app.kafka.state.state_table import StateTable
from stream_app.key_ring import KeyRing, secret_keys_of
from stream_app.metrics import Metrics
from stream_app.notifier.attempt import Attempts
from stream_app.notifier.closing.positions import Cluster, way_to_close
from stream_app.notifier.closing.silence_check import SilenceCheck
from stream_app.notifier.deliver import DeliverStage
from stream_app.notifier.dry_run import DryAttempts
from stream_app.notifier.operator_integration.notices import OperatorNotices
from stream_app.notifier.operator_integration.usability import OperatorUsability
from stream_app.notifier.pulse.heartbeat import PingedHeartbeat
from stream_app.notifier.pulse.passing import passing, watched
from stream_app.notifier.pulse.report import PulseReport
from stream_app.notifier.pulse.service import Pulse
from stream_app.notifier.pulse.times import PulseTimes
from stream_app.notifier.reconcile import Reconciler
from stream_app.notifier.results_gate import ResultsGate
from stream_app.notifier.route import RouteStage
from stream_app.notifier.sender import MakeAttempt, Sender, WriteResult
from stream_app.notifier.status_checks import StatusChecks
from stream_app.opsgenie.destination import Destinations
from stream_app.setting_groups import DeliverySettings
from stream_app.settings import Settings

#: The part of a worker's time to stop that Faust needs after the last request has ended.
FAUST_STOP_SECONDS = 3.0
#: A dry run pages nobody, so it records all alerts, however old or many they are.
NO_LIMIT = 2**53
#: Most attempts of a dry run at a time. They wait only for the broker.
MAX_DRY_IN_FLIGHT = 500


def create_notifier(
    settings: Settings,
    bootstrap_servers: str,
    partitions: Mapping[Topic, int],
    reader: ConfigurationReader,
    metrics: Metrics,
) -> StreamApp:
    """Build the app; nothing runs before `app.start()`.

    `partitions` are the real partition counts of the topics that the role reads (`ROLE_SOURCES`).

    Raises:
        TopicMismatchError: `deliveries` and `delivery-results` differ in their partitions.
        SealingError: a secret key is not valid.
    """
    names, configuration = TopicNames(settings.topic_prefix), reader.configuration
    _check_partitions(names, partitions)
    metrics.integrations_disabled.set_function(configuration.count_disabled)
    metrics.integrations_untold.set_function(configuration.count_untold)
    notifier = _Notifier(
        StreamApp("notifier", settings, bootstrap_servers),
        settings,
        reader,
        metrics,
        names,
        NoticeSigner(secret_keys_of(settings)),
        OperatorNotices(settings.operator_integration, configuration, names),
    )
    notifier.add_route(partitions[Topic.ALERTS])
    notifier.add_deliver(partitions[Topic.DELIVERIES])
    return notifier.app


@dataclass(frozen=True)
class _Notifier:
    """The app, and what most of its parts need."""

    app: StreamApp
    settings: Settings
    reader: ConfigurationReader
    metrics: Metrics
    names: TopicNames
    signer: NoticeSigner
    operator: OperatorNotices

    def add_route(self, partitions: int) -> None:
        """Add the agent that makes deliveries of alerts."""
        alerts = [self.names(Topic.ALERTS)]
        stage = RouteStage(
            StateTable(self.app, "routed", alerts, partitions, PartitionEpisodes),
            self.reader,
            self.names,
            NO_LIMIT if self.settings.dry_run else self.settings.max_alert_age,
            self.metrics,
            self.app.clock.now_ms,
            self.settings.console_hosts,
            self.signer,
        )
        self.app.batch_agent("route", alerts, stage)

    def add_deliver(self, partitions: int) -> None:
        """Add the agent that keeps the deliveries, and the services beside it."""
        app, configuration = self.app, self.reader.configuration
        sources = self.names(Topic.DELIVERIES), self.names(Topic.RESULTS)
        new_state = partial(PartitionDeliveries, sources, _rules(self.settings))
        table = StateTable(app, "deliveries", sources, partitions, new_state)
        pulse: Pulse | None = None
        if self.settings.dry_run:
            sender = self._add_dry_sender()
        else:
            sender, pulse = self._add_sender(table)
        stage = DeliverStage(
            table,
            sender,
            ResultsGate(app, self.names(Topic.RESULTS)),
            Reconciler(app, self.reader, table, self._write),
            configuration,
            self.names,
            self.metrics,
            app.clock.now_ms,
            self.signer,
            self.operator,
        )
        if pulse is not None:
            stage.pulse = pulse
            app.services.append(pulse)
        app.batch_agent("deliver", sources, stage)
        if self.settings.operator_integration is not None:
            OperatorUsability(self.settings.operator_integration, self.reader, self.metrics)
        app.services.append(
            SilenceCheck(
                table,
                app.ownership,
                Cluster(self.settings),
                way_to_close(self.names),
                app.produce_step,
                self.names(Topic.DELIVERIES),
                app.clock,
                configuration,
                self.settings.delivery.retry_scale,
                self.metrics,
            )
        )

    def _add_sender(self, table: StateTable[PartitionDeliveries]) -> tuple[Sender, Pulse | None]:
        """Add what checks accepted requests, and the sender; also return the pulse, if any."""
        app, delivery = self.app, self.settings.delivery
        destinations = Destinations(delivery)
        attempts = Attempts(
            destinations,
            KeyRing.from_settings(self.settings),
            self.reader.configuration,
            delivery,
            self.metrics,
            app.clock.now_ms,
        )
        checks = StatusChecks(
            attempts.resolve, self._write, app.ownership, delivery, self.metrics, app.clock.now_ms
        )
        app.services.append(checks)

        async def write_checked(partition: int, result: Result) -> None:
            await self._write(partition, result)
            checks.offer(partition, result)

        watch = AttemptWatch()
        make_attempt, write_result = watched(
            passing(attempts.make, app.clock.now_ms), write_checked, watch, app.clock.steady_ms
        )
        sender = self._add_sender_of(destinations, make_attempt, write_result, delivery)
        target = destinations.open_heartbeat(
            self.settings.heartbeat, lambda number: attempts.resolve(number, None)[1:]
        )
        if target is None:
            return sender, None
        return sender, Pulse(
            app,
            table,
            PingedHeartbeat(target, app.clock.steady_ms),
            watch,
            sender.waiting_since,
            self._write,
            PulseReport(self.metrics, PulseTimes(delivery.retry_scale).patience_ms),
            self.operator,
        )

    def _add_dry_sender(self) -> Sender:
        """Add a sender that sends nothing: it makes no HTTP client, and opens no key."""
        delivery, now_ms = self.settings.delivery, self.app.clock.now_ms
        attempts = DryAttempts(self.reader.configuration, delivery, self.metrics, now_ms)
        unbounded = {
            "max_requests_per_second": float(NO_LIMIT),
            "max_in_flight": MAX_DRY_IN_FLIGHT,
            "max_in_flight_per_integration": MAX_DRY_IN_FLIGHT,
        }
        return self._add_sender_of(
            contextlib.nullcontext(),
            passing(attempts.make, now_ms),
            self._write,
            delivery.model_copy(update=unbounded),
        )

    def _add_sender_of(
        self,
        client: contextlib.AbstractAsyncContextManager[Any],
        make_attempt: MakeAttempt,
        write_result: WriteResult,
        limits: DeliverySettings,
    ) -> Sender:
        stop_seconds = self.settings.shutdown_timeout_seconds - FAUST_STOP_SECONDS
        sender = Sender(
            client=client,
            make_attempt=make_attempt,
            write_result=write_result,
            ownership=self.app.ownership,
            settings=limits,
            stop_seconds=max(0.0, stop_seconds),
            clock=self.app.clock,
        )
        self.app.services.append(sender)
        return sender

    async def _write(self, partition: int, result: ResultRecord) -> None:
        """Write to a partition of `delivery-results`; wait until the broker has acknowledged it."""
        topic, key = self.names(Topic.RESULTS), str(result.integration_id).encode()
        await (await self.app.produce(topic, key, encode_result(result), partition))


def _rules(settings: Settings) -> DeliveryRules:
    delivery, judge = settings.delivery, settings.judge
    return DeliveryRules(
        delivery.retry_scale,
        NO_LIMIT if settings.dry_run else delivery.max_pending_per_integration,
        settings.max_alert_age * 1000,
        JudgeRules(judge.on, judge.min_requests),
    )


def _check_partitions(names: TopicNames, partitions: Mapping[Topic, int]) -> None:
    deliveries, results = partitions[Topic.DELIVERIES], partitions[Topic.RESULTS]
    if deliveries != results:
        raise TopicMismatchError(
            f"topic {names(Topic.DELIVERIES)} has {deliveries} partitions and "
            f"{names(Topic.RESULTS)} has {results}, and both must have the same number: "
            "run 'stream-app topics create'"
        )
