"""What `deliver` reports: metrics, log lines, and the notice of too many pending deliveries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from stream_app.domain.configuration.reserved import PULSE_INTEGRATION_ID
from stream_app.domain.delivery.reasons import UNKNOWN_TYPE
from stream_app.domain.delivery.records import Result, ServiceAction
from stream_app.domain.delivery.state import DeliveryState, DeliveryStatus
from stream_app.domain.delivery.stored_deliveries import DeliveryCut
from stream_app.domain.delivery.transitions import Transition
from stream_app.domain.events.parts_decoder import Rejected
from stream_app.domain.notices.outgoing import Notice, deliveries_overflowed
from stream_app.domain.times import HOUR_MS
from stream_app.kafka.cluster.topics import Topic
from stream_app.kafka.configuration.view import Configuration
from stream_app.logs import LineLimit, get_logger
from stream_app.metrics import Metrics

log = get_logger(__name__)


class DeliveryReports:
    """Counts and logs what acknowledged flushes have changed."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        #: Integration -> hour of the last notice of an overflow.
        self._notice_hours: dict[int, int] = {}
        #: Integration -> why its last request failed, so that the log says it once.
        self._failing: dict[int, str] = {}
        # The triggers of an integration that is off may fire for weeks; the metrics count all.
        self._cancelled = LineLimit()

    def report(self, cut: DeliveryCut) -> None:
        """Report what a flush has changed."""
        cancelled: Counter[tuple[int, str]] = Counter()
        for transition in cut.transitions:
            if transition.before.integration_id == PULSE_INTEGRATION_ID:
                continue
            after = transition.after
            if after.status is DeliveryStatus.SKIPPED:
                self._report_skipped(after)
            elif transition.result is None:
                cancelled[after.integration_id, after.reason] += 1
                self._metrics.dead_letters.labels(Topic.DELIVERIES, after.reason).inc()
                self._metrics.deliveries.labels(UNKNOWN_TYPE, after.status).inc()
            else:
                self._report_attempt(transition, transition.result)
        for (integration_id, reason), number in cancelled.items():
            if not self._cancelled.passes(str(integration_id), reason):
                continue
            log.error(
                "deliveries_cancelled",
                integration_id=integration_id,
                reason=reason,
                number=number,
                then="they are in the dead letters",
            )
        for verdict in cut.verdicts:
            self._metrics.auto_disables.inc()
            log.error(
                "integration_disabled",
                integration_id=verdict.integration_id,
                client_id=verdict.client_id,
                failed=verdict.failed,
                total=verdict.total,
                then="mend it, then run `stream-app integrations enable`",
            )

    def count_rejected(self, parts: Iterable[Rejected]) -> None:
        """Count records that are no deliveries."""
        for part in parts:
            self._metrics.dead_letters.labels(Topic.DELIVERIES, part.reason).inc()

    def overflow_notice(self, state: DeliveryState, view: Configuration) -> Notice | None:
        """Return the notice of an overflow; None if one was made this hour."""
        integration_id, hour = state.integration_id, state.finished_ms // HOUR_MS
        if self._notice_hours.get(integration_id) == hour:
            return None
        self._notice_hours[integration_id] = hour
        client = view.clients.get(state.client_id)
        integration = view.integrations.get(integration_id)
        return deliveries_overflowed(
            state.client_id, client, integration_id, integration, state.finished_ms
        )

    def _report_skipped(self, after: DeliveryState) -> None:
        self._metrics.deliveries.labels(UNKNOWN_TYPE, after.status).inc()
        log.info(
            "delivery_skipped",
            delivery_id=after.id,
            client_id=after.client_id,
            integration_id=after.integration_id,
            why=after.reason,
        )

    def _report_attempt(self, transition: Transition, result: Result) -> None:
        before, after = transition.before, transition.after
        facts = {
            "delivery_id": before.id,
            "client_id": before.client_id,
            "integration_id": before.integration_id,
            "attempt": result.attempt,
            "reason": result.reason,
            "status": result.status,
            "request_id": result.request_id,
        }
        known = self._failing.pop(before.integration_id, None)
        if not (result.accepted or result.is_dry_run):
            self._failing[before.integration_id] = result.reason
        if after.is_finished:
            self._metrics.deliveries.labels(result.integration_type, after.status).inc()
        if after.status is DeliveryStatus.SENT:
            # The start of a delivery that had been given up before is not known any more.
            since_ms = before.alerted_ms or before.since_ms
            if since_ms and before.action is ServiceAction.CREATE:
                self._metrics.alert_to_accepted.labels(result.integration_type).observe(
                    max(0.0, (result.finished_at_ms - since_ms) / 1000)
                )
            log.info("delivery_sent", **facts)
        elif after.status is DeliveryStatus.DRY_RUN:
            log.info("delivery_not_sent", **facts, why=result.message)
        elif after.status is DeliveryStatus.GIVEN_UP:
            self._metrics.dead_letters.labels(Topic.DELIVERIES, after.reason).inc()
            log.error("delivery_given_up", **facts, why=result.message)
        else:
            wait = max(0, after.due_ms - result.finished_at_ms) / 1000
            say = log.debug if known == result.reason else log.warning
            say("delivery_retry_scheduled", **facts, wait_seconds=wait, why=result.message)
