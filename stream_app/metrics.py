"""The metrics: a closed list, base units, all label values present from the start.

A gauge is absent while a worker does not know its value, because a 0 would say that all is well.

Ids of clients, triggers and integrations are no labels; they go to the logs. The values of a label
are the closed lists of the domain. A worker shows only the metrics of its role, so that no `0` of
a detector is taken for one of a notifier. Metrics are observed per batch, flush or request, never
per event. Faust's own sensors are not shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from prometheus_client import ProcessCollector

from stream_app import __version__
from stream_app.domain.alerts.kinds import ALERT_KINDS
from stream_app.domain.configuration.triggers import NOT_EVALUATED_PARTS
from stream_app.domain.counting.tally import EventResult
from stream_app.domain.delivery.reasons import (
    UNKNOWN_TYPE,
    AttemptReason,
    IntegrationType,
    LocalReason,
    RouteResult,
)
from stream_app.domain.delivery.state import UNFINISHED, DeliveryStatus
from stream_app.domain.delivery.status_checks import CheckOutcome
from stream_app.domain.errors import DeadLetterReason
from stream_app.domain.events.model import EventKind
from stream_app.domain.notices.incoming import NoticeResult
from stream_app.domain.pulse.note import PulseReason
from stream_app.domain.topics import (
    DEAD_LETTER_SOURCES,
    ROLE_SOURCES,
    VIEW_KINDS,
    VIEW_TOPICS,
    Role,
)
from stream_app.metric_registry import MetricRegistry

INTEGRATION_TYPES = (*IntegrationType, UNKNOWN_TYPE)
#: A request that was made has one of the service's reasons; one that was not has one of ours.
ATTEMPTS = [
    *product(IntegrationType, AttemptReason),
    *product([UNKNOWN_TYPE], [*LocalReason, AttemptReason.LOCAL_ERROR]),
]
FINISHED = [status for status in DeliveryStatus if status not in UNFINISHED]
REQUEST_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30)
LATENCY_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 60, 600)
#: Up to the retention of windows, and beyond the last resend of a delivery.
LONG_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 21600, 86400)


class Metrics(MetricRegistry):
    """Every metric of a worker, in a registry of its own.

    Args:
        role: the role whose metrics are shown; None shows all of them.
    """

    def __init__(self, role: Role | None = None) -> None:
        super().__init__(role)
        sources = ROLE_SOURCES[role] if role else [t for ts in ROLE_SOURCES.values() for t in ts]
        #: Base names of the topics that the role's agents read.
        self.topics: Sequence[str] = tuple(sources)
        self._refused = [topic for topic in DEAD_LETTER_SOURCES if topic in self.topics]
        ProcessCollector(registry=self.registry)
        self._add_worker()
        self._add_detector()
        self._add_notifier()

    def _add_worker(self) -> None:
        self.build_info = self._gauge(
            "build_info", "Version of the worker, always 1", version=[__version__]
        )
        self.build_info.labels(__version__).set(1)
        self.ready = self._gauge("ready", "1 while the worker is ready")
        self.broker_connected = self._gauge("broker_connected", "1 while the broker answers")
        self.consumer_lag = self._known_gauge(
            "consumer_lag_records",
            "Records of the worker's own partitions that are not done; the sum is the group's; "
            "absent while it recovers or rebalances, or has none",
            topic=self.topics,
        )
        self.recovery_remaining = self._known_gauge(
            "recovery_remaining_records",
            "Changelog records that a worker has still to read of its states; 0: it has them, "
            "absent before it is known how many there are",
        )
        self.recovery_seconds = self._known_gauge(
            "recovery_seconds",
            "How long the newest reading of the states takes or took; absent before the first",
        )
        self.clock_ahead = self._known_gauge(
            "clock_ahead_seconds",
            "How far the machine's clock is ahead of the brokers'; behind: below 0; absent before "
            "it is known",
        )
        self.consumed = self._counter(
            "consumed_records",
            "Records that are done: all they caused is acknowledged by the broker",
            topic=self.topics,
        )
        self.lost_records = self._counter(
            "lost_records",
            "Records that retention removed before they were read",
            topic=self.topics,
        )
        self.standing_still = self._known_gauge(
            "partitions_standing_still",
            "The worker's partitions that have records and do not move, with nothing in the way",
            topic=self.topics,
        )
        read = dict.fromkeys([*self.topics, *VIEW_TOPICS])
        self.withheld_records = self._known_gauge(
            "withheld_records",
            "Records that open transactions hold back in the worker's own partitions, and in the "
            "configuration's topics; absent while it recovers or rebalances, or has none",
            topic=read,
        )
        self.withheld_seconds = self._known_gauge(
            "withheld_seconds",
            "For how long one transaction has been holding them back; 0: none does",
            topic=read,
        )
        self.dead_letters = self._counter(
            "dead_letters",
            "Records, or parts of them, sent to the dead letters of a topic",
            topic=self._refused,
            reason=DeadLetterReason,
        )
        self.lost_dead_letters = self._counter(
            "lost_dead_letters",
            "Dead letters that their topic refuses, cut down to their coordinates",
            topic=self._refused,
        )
        self.unreadable_batches = self._counter(
            "unreadable_batches",
            "Record batches that cannot be read: their records are passed over",
            topic=read,
        )
        self.config_objects = self._known_gauge(
            "config_objects", "Configured objects", kind=VIEW_KINDS.values()
        )
        self.config_invalid = self._known_gauge(
            "config_invalid", "Configuration records that cannot be used", kind=VIEW_KINDS.values()
        )
        self.config_applied = self._known_gauge(
            "config_last_applied_timestamp_seconds",
            "When the newest configuration record was written, as Unix seconds; absent: none yet",
            kind=VIEW_KINDS.values(),
        )
        self.triggers_active = self._known_gauge("triggers_active", "Triggers that are enabled")
        self.triggers_not_evaluated = self._known_gauge(
            "triggers_not_evaluated",
            "Configured triggers that are kept, but whose condition, or some of whose reactions "
            "although the condition is evaluated, do nothing here",
            part=NOT_EVALUATED_PARTS,
        )

    def _add_detector(self) -> None:
        self._declared_for = "detector"
        self.events = self._counter(
            "events", "Events read, by what became of them", kind=EventKind, result=EventResult
        )
        self.late_events = self._counter(
            "late_events", "Events that came after their window was given up", kind=EventKind
        )
        self.skipped_events = self._counter(
            "skipped_events",
            "Events skipped because an earlier run had counted them",
            kind=EventKind,
        )
        self.event_lag = self._histogram(
            "event_lag_seconds",
            "Age of the newest event of a flush, by its own time, when the flush is acknowledged; "
            "of a batch behind the watermark the last event counts",
            LONG_SECONDS,
            kind=EventKind,
        )
        self.watermark = self._known_gauge(
            "watermark_seconds",
            "Largest event time seen in the worker's partitions, as Unix seconds; absent: none yet",
            kind=EventKind,
        )
        self.events_expected = self._known_gauge(
            "events_expected",
            "1: StreamAppNoEvents judges the silence of these events; 0: they may stay away",
            kind=EventKind,
        )
        self.open_cells = self._known_gauge(
            "open_cells", "Partial counts held in memory", kind=EventKind
        )
        self.flushes = self._counter("flushes", "Flushes of partial counts", kind=EventKind)
        self.flush_duration = self._histogram(
            "flush_duration_seconds",
            "Time until the broker had acknowledged a flush",
            LATENCY_SECONDS,
            kind=EventKind,
        )
        self.windows_open = self._known_gauge("windows_open", "Windows whose sum is kept")
        self.stale_counts = self._counter(
            "stale_counts", "Partial counts of a trigger revision that is no longer configured"
        )
        self.notices = self._counter(
            "notices", "Notices read, by what became of them", result=NoticeResult
        )
        self.alerts = self._counter("alerts", "Alerts fired", kind=ALERT_KINDS)
        self.event_to_alert = self._histogram(
            "event_to_alert_seconds",
            "Time from the append of the newest record that an alert counts (of a notice: its own) "
            "to the alert's acknowledgement",
            LONG_SECONDS,
            kind=ALERT_KINDS,
        )

    def _add_notifier(self) -> None:
        self._declared_for = "notifier"
        self.routed = self._counter(
            "routed_alerts",
            "Integrations of fired alerts, by what became of the delivery",
            result=RouteResult,
        )
        self.deliveries = self._counter(
            "deliveries",
            "Finished deliveries; of one that is cancelled the type is unknown",
            integration_type=INTEGRATION_TYPES,
            outcome=FINISHED,
        )
        self.delivery_attempts = self._counter(
            "delivery_attempts",
            "Requests, by the reason of their outcome; unknown: none was made",
            ATTEMPTS,
            integration_type=(),
            reason=(),
        )
        self.request_duration = self._histogram(
            "delivery_request_duration_seconds",
            "Time of one request",
            REQUEST_SECONDS,
            integration_type=IntegrationType,
        )
        self.alert_to_accepted = self._histogram(
            "alert_to_accepted_seconds",
            "Time from an alert's append (its redrive's, if any) to the end of the request that "
            "was accepted",
            LONG_SECONDS,
            integration_type=IntegrationType,
        )
        self.request_status = self._counter(
            "request_status",
            "Accepted requests of the sample whose state was asked, by what was found",
            integration_type=IntegrationType,
            outcome=CheckOutcome,
        )
        self.auto_disables = self._counter(
            "integration_auto_disables", "Integrations disabled because their requests failed"
        )
        self.integrations_disabled = self._known_gauge(
            "integrations_disabled",
            "Integrations that the system has disabled, and nobody has turned off or deleted since",
        )
        self.integrations_untold = self._known_gauge(
            "integrations_disabled_untold",
            "Those of them whose client has no other integration through which it is told of it",
        )
        self.operator_usable = self._known_gauge(
            "operator_integration_usable",
            "1: the operator integration can be used; 0: it cannot; absent: the worker has none",
        )
        self.pending_deliveries = self._known_gauge(
            "pending_deliveries", "Deliveries not yet accepted"
        )
        self.oldest_pending = self._known_gauge(
            "delivery_oldest_pending_seconds",
            "Age of the oldest delivery that is not yet accepted; 0: none waits",
        )
        self.closes_waiting = self._known_gauge(
            "closes_waiting",
            "Alerts that are over and still open, because it is not sure yet that all events are "
            "counted; absent while it recovers or rebalances",
        )
        self.pulse_last_ping = self._known_gauge(
            "pulse_last_ping_timestamp_seconds",
            "When this notifier last pinged the heartbeat; absent before",
        )
        self.pulse_blocked = self._known_gauge(
            "pulse_blocked",
            "1 while this stops the pulse; absent in a notifier that does not ping",
            reason=PulseReason,
        )
