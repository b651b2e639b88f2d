"""The notifier's Faust app: `route`, `deliver`, and the sender beside them."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from stream_app.domain.delivery.auto_disable import JudgeRules
from stream_app.domain.delivery.delivery_cut import DeliveryRules
from stream_app.domain.delivery.partition_deliveries import PartitionDeliveries
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
from stream_app.notifier.closing.cluster import Cluster
from stream_app.notifier.closing.positions import way_to_close
from stream_app.notifier.closing.silence_check import SilenceCheck
from stream_app.notifier.deliver import DeliverStage
from stream_app.notifier.dry_run import DryAttempts
from stream_app.notifier.operator_integration.notices import OperatorNotices
from stream_app.notifier.operator_integration.usability import OperatorUsability
from stream_app.notifier.pulse.heartbeat import PingedHeartbeat
from stream_app.notifier.pulse.passing import passing, watched
from stream_app.notifier.pulse.report import PulseReport
from stream_app.notifier.pulse.service import Pulse, PulseTimes
from stream_app.notifier.reconcile import Reconciler
from stream_app.notifier.results_gate import ResultsGate
from stream_app.notifier.route import RouteStage
from stream_app.notifier.sender import Sender
from stream_app.notifier.status_checks import StatusChecks
from stream_app.opsgenie.destination import Destinations
from stream_app.settings import Settings

#: Writes to a partition of `delivery-results`; done when the broker has acknowledged it.
WriteRecord = Callable[[int, ResultRecord], Awaitable[None]]
#: Makes the pulse, given the table of deliveries; returns None if no heartbeat is set.
MakePulse = Callable[[StateTable[PartitionDeliveries]], Pulse | None]
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
    names = TopicNames(settings.topic_prefix)
    _check_partitions(names, partitions)
    metrics.integrations_disabled.set_function(reader.configuration.count_disabled)
    metrics.integrations_untold.set_function(reader.configuration.count_untold)
    app = StreamApp("notifier", settings, bootstrap_servers)
    alerts = [names(Topic.ALERTS)]
    routed = app.state_table("routed", alerts, partitions[Topic.ALERTS], PartitionEpisodes)
    app.batch_agent(
        "route",
        alerts,
        RouteStage(
            routed,
            reader,
            names,
            NO_LIMIT if settings.dry_run else settings.max_alert_age,
            metrics,
            app.clock.now_ms,
            settings.console_hosts,
            NoticeSigner(secret_keys_of(settings)),
        ),
    )
    _add_deliver(app, settings, partitions[Topic.DELIVERIES], reader, metrics)
    return app


def _add_deliver(
    app: StreamApp,
    settings: Settings,
    partitions: int,
    reader: ConfigurationReader,
    metrics: Metrics,
) -> None:
    names = TopicNames(settings.topic_prefix)
    results = names(Topic.RESULTS)
    write = _result_writer(app, results)
    make_pulse: MakePulse = lambda _table: None  # noqa: E731
    if settings.dry_run:
        sender = _dry_sender(app, settings, reader, metrics, write)
    else:
        sender, make_pulse = _sender(app, settings, reader, metrics, write)
    app.services.append(sender)
    sources = (names(Topic.DELIVERIES), results)
    table = app.state_table(
        "deliveries",
        sources,
        partitions,
        partial(PartitionDeliveries, sources, _rules(settings)),
    )
    stage = DeliverStage(
        table,
        sender,
        ResultsGate(app, results),
        Reconciler(app, reader, table, write),
        reader.configuration,
        names,
        metrics,
        app.clock.now_ms,
        NoticeSigner(secret_keys_of(settings)),
        OperatorNotices(settings.operator_integration, reader.configuration, names),
    )
    if (pulse := make_pulse(table)) is not None:
        stage.pulse = pulse
        app.services.append(pulse)
    app.batch_agent("deliver", sources, stage)
    if settings.operator_integration is not None:
        OperatorUsability(settings.operator_integration, reader, metrics)
    app.services.append(_silence_check(app, settings, table, reader, metrics))


def _silence_check(
    app: StreamApp,
    settings: Settings,
    table: StateTable[PartitionDeliveries],
    reader: ConfigurationReader,
    metrics: Metrics,
) -> SilenceCheck:
    """Return the service that has alerts closed."""
    names = TopicNames(settings.topic_prefix)
    return SilenceCheck(
        table,
        app.ownership,
        Cluster(settings),
        way_to_close(names),
        app.produce_step,
        names(Topic.DELIVERIES),
        app.clock,
        reader.configuration,
        settings.delivery.retry_scale,
        metrics,
    )


def _sender(
    app: StreamApp,
    settings: Settings,
    reader: ConfigurationReader,
    metrics: Metrics,
    write: WriteRecord,
) -> tuple[Sender, MakePulse]:
    """Return the sender, and what makes the pulse; add the service that checks what was sent."""
    delivery = settings.delivery
    destinations = Destinations(delivery)
    attempts = Attempts(
        destinations,
        KeyRing.from_settings(settings),
        reader.configuration,
        delivery,
        metrics,
        app.clock.now_ms,
    )
    checks = StatusChecks(
        attempts.resolve, write, app.ownership, delivery, metrics, app.clock.now_ms
    )
    app.services.append(checks)

    async def write_checked(partition: int, result: Result) -> None:
        await write(partition, result)
        checks.offer(partition, result)

    watch = AttemptWatch()
    make_attempt, write_result = watched(
        passing(attempts.make, app.clock.now_ms), write_checked, watch, app.clock.steady_ms
    )
    sender = Sender(
        client=destinations,
        make_attempt=make_attempt,
        write_result=write_result,
        ownership=app.ownership,
        settings=delivery,
        stop_seconds=max(0.0, settings.shutdown_timeout_seconds - FAUST_STOP_SECONDS),
        clock=app.clock,
    )

    def make_pulse(table: StateTable[PartitionDeliveries]) -> Pulse | None:
        target = destinations.open_heartbeat(
            settings.heartbeat, lambda number: attempts.resolve(number, None)[1:]
        )
        if target is None:
            return None
        report = PulseReport(metrics, PulseTimes(delivery.retry_scale).patience_ms)
        heartbeat = PingedHeartbeat(target, app.clock.steady_ms)
        operator = OperatorNotices(
            settings.operator_integration,
            reader.configuration,
            TopicNames(settings.topic_prefix),
        )
        return Pulse(app, table, heartbeat, watch, sender.waiting_since, write, report, operator)

    return sender, make_pulse


def _dry_sender(
    app: StreamApp,
    settings: Settings,
    reader: ConfigurationReader,
    metrics: Metrics,
    write: WriteRecord,
) -> Sender:
    """Return a sender that sends nothing: it makes no HTTP client, and opens no key."""
    unbounded = {
        "max_requests_per_second": float(NO_LIMIT),
        "max_in_flight": MAX_DRY_IN_FLIGHT,
        "max_in_flight_per_integration": MAX_DRY_IN_FLIGHT,
    }
    attempts = DryAttempts(reader.configuration, settings.delivery, metrics, app.clock.now_ms)
    return Sender(
        client=contextlib.nullcontext(),
        make_attempt=passing(attempts.make, app.clock.now_ms),
        write_result=write,
        ownership=app.ownership,
        settings=settings.delivery.model_copy(update=unbounded),
        stop_seconds=max(0.0, settings.shutdown_timeout_seconds - FAUST_STOP_SECONDS),
        clock=app.clock,
    )


def _rules(settings: Settings) -> DeliveryRules:
    delivery, judge = settings.delivery, settings.judge
    return DeliveryRules(
        delivery.retry_scale,
        NO_LIMIT if settings.dry_run else delivery.max_pending_per_integration,
        settings.max_alert_age * 1000,
        JudgeRules(judge.on, judge.min_requests),
    )


def _result_writer(app: StreamApp, topic: str) -> WriteRecord:
    async def write(partition: int, result: ResultRecord) -> None:
        key = str(result.integration_id).encode()
        await (await app.produce(topic, key, encode_result(result), partition))

    return write


def _check_partitions(names: TopicNames, partitions: Mapping[Topic, int]) -> None:
    deliveries, results = partitions[Topic.DELIVERIES], partitions[Topic.RESULTS]
    if deliveries != results:
        raise TopicMismatchError(
            f"topic {names(Topic.DELIVERIES)} has {deliveries} partitions and "
            f"{names(Topic.RESULTS)} has {results}, and both must have the same number: "
            "run 'stream-app topics create'"
        )
