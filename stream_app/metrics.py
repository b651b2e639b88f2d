"""The one metrics registry: a closed list, base units, all label values present from the start.

No id of a client, trigger or integration is a label: those go to the logs.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from stream_app import __version__
from stream_app.domain.errors import DeadLetterReason

KINDS = ("attacks", "hits", "incidents")
NOTICE_RESULTS = ("matched", "unsubscribed", "unknown_kind", "rejected")
#: The kind of alerts that subscriptions to notices make. Those of counting triggers have the kind
#: of the events counted, those of triggers of notices the trigger's condition.
NOTICE_ALERT = "notice"
ALERT_KINDS = (
    *KINDS,
    NOTICE_ALERT,
    "blacklist_ip_added",
    "api_structure_changed",
    "rogue_api_detected",
    "compromised_logins",
    "user_created",
)
EVENT_RESULTS = ("counted", "unmatched", "experimental", "unsampled", "false_positive", "rejected")
#: `unknown`: the integration could not be resolved, so nothing was sent.
INTEGRATION_TYPES = ("opsgenie", "jsm", "unknown")
ROUTE_RESULTS = (
    "sent",
    "disabled",
    "invalid",
    "unknown_integration",
    "foreign_integration",
    "inactive",
)
REQUEST_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30)
LATENCY_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 60, 600)


class Metrics:
    """Every metric of a worker, in a registry of its own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.build_info = Gauge(
            "stream_app_build_info", "Version of the worker", ["version"], registry=registry
        )
        self.build_info.labels(__version__).set(1)
        self.events = Counter(
            "stream_app_events",
            "Events read, by kind and what became of them",
            ["kind", "result"],
            registry=registry,
        )
        self.late_events = Counter(
            "stream_app_late_events",
            "Events that came after their window was given up",
            ["kind"],
            registry=registry,
        )
        self.skipped_events = Counter(
            "stream_app_skipped_events",
            "Events skipped because an earlier run had counted them",
            ["kind"],
            registry=registry,
        )
        self.watermark = Gauge(
            "stream_app_watermark_seconds",
            "Largest event time seen, as Unix seconds",
            ["kind"],
            registry=registry,
        )
        self.open_cells = Gauge(
            "stream_app_open_cells", "Partial counts held in memory", ["kind"], registry=registry
        )
        self.flushes = Counter(
            "stream_app_flushes", "Flushes of partial counts", ["kind"], registry=registry
        )
        self.flush_duration = Histogram(
            "stream_app_flush_duration_seconds",
            "Time until the broker had acknowledged a flush",
            ["kind"],
            registry=registry,
            buckets=LATENCY_SECONDS,
        )
        self.windows_open = Gauge(
            "stream_app_windows_open", "Windows whose sum is kept", registry=registry
        )
        self.stale_counts = Counter(
            "stream_app_stale_counts",
            "Partial counts of a trigger revision that is no longer configured",
            registry=registry,
        )
        self.notices = Counter(
            "stream_app_notices",
            "Notices read, by what became of them",
            ["result"],
            registry=registry,
        )
        self.alerts = Counter(
            "stream_app_alerts", "Alerts fired, by what fired", ["kind"], registry=registry
        )
        self.dead_letters = Counter(
            "stream_app_dead_letters",
            "Records sent to the dead letters",
            ["topic", "reason"],
            registry=registry,
        )
        self.config_objects = Gauge(
            "stream_app_config_objects", "Configured objects", ["kind"], registry=registry
        )
        self.config_invalid = Gauge(
            "stream_app_config_invalid",
            "Configuration records that cannot be used",
            ["kind"],
            registry=registry,
        )
        self.triggers_not_evaluated = Gauge(
            "stream_app_triggers_not_evaluated",
            "Configured triggers that are kept, but whose condition, or some of whose reactions "
            "although the condition is evaluated, do nothing here",
            ["part"],
            registry=registry,
        )
        self.config_applied = Gauge(
            "stream_app_config_last_applied_timestamp_seconds",
            "When the newest configuration record was read",
            ["kind"],
            registry=registry,
        )
        self.routed = Counter(
            "stream_app_routed_alerts",
            "Integrations of fired alerts, by what became of the delivery",
            ["result"],
            registry=registry,
        )
        self.deliveries = Counter(
            "stream_app_deliveries",
            "Finished deliveries",
            ["integration_type", "outcome"],
            registry=registry,
        )
        self.delivery_attempts = Counter(
            "stream_app_delivery_attempts",
            "Requests made, by the reason of their outcome",
            ["integration_type", "reason"],
            registry=registry,
        )
        self.request_duration = Histogram(
            "stream_app_delivery_request_duration_seconds",
            "Time of one request",
            ["integration_type"],
            registry=registry,
            buckets=REQUEST_SECONDS,
        )
        self.request_status = Counter(
            "stream_app_request_status",
            "Accepted requests of the sample whose state was asked, by what was found",
            ["integration_type", "outcome"],
            registry=registry,
        )
        self.auto_disables = Counter(
            "stream_app_integration_auto_disables",
            "Integrations disabled because their requests failed",
            registry=registry,
        )
        self.integrations_disabled = Gauge(
            "stream_app_integrations_disabled",
            "Integrations that the system has disabled",
            registry=registry,
        )
        self.pending_deliveries = Gauge(
            "stream_app_pending_deliveries", "Deliveries not yet accepted", registry=registry
        )
        self.oldest_pending = Gauge(
            "stream_app_delivery_oldest_pending_seconds",
            "Age of the oldest delivery that is not yet accepted",
            registry=registry,
        )
        self.broker_connected = Gauge(
            "stream_app_broker_connected", "1 while the broker answers", registry=registry
        )
        self.ready = Gauge("stream_app_ready", "1 while the worker is ready", registry=registry)
        self._fill()

    def _fill(self) -> None:
        """Create all label values, so that a rate is right from the first event on."""
        for kind in KINDS:
            for result in EVENT_RESULTS:
                self.events.labels(kind, result)
            for metric in (self.late_events, self.skipped_events, self.flushes):
                metric.labels(kind)
            self.watermark.labels(kind)
            self.open_cells.labels(kind)
            self.flush_duration.labels(kind)
            for reason in DeadLetterReason:
                self.dead_letters.labels(f"events.{kind}", reason)
        for reason in DeadLetterReason:
            self.dead_letters.labels("alerts", reason)
            self.dead_letters.labels("deliveries", reason)
        self._fill_notices()
        for result in ROUTE_RESULTS:
            self.routed.labels(result)
        self._fill_configuration()
        for integration_type in INTEGRATION_TYPES:
            self.request_duration.labels(integration_type)
            for outcome in ("sent", "given_up", "cancelled"):
                self.deliveries.labels(integration_type, outcome)

    def _fill_configuration(self) -> None:
        for kind in ("clients", "triggers", "integrations", "statuses"):
            self.config_objects.labels(kind)
            self.config_invalid.labels(kind)
            self.config_applied.labels(kind)
        for part in ("condition", "reactions"):
            self.triggers_not_evaluated.labels(part)

    def _fill_notices(self) -> None:
        for reason in DeadLetterReason:
            self.dead_letters.labels("events.account", reason)
        for kind in ALERT_KINDS:
            self.alerts.labels(kind)
        for result in NOTICE_RESULTS:
            self.notices.labels(result)
