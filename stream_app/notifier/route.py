"""`route`: makes a delivery of each alert for each of its integrations.

A delivery follows from the alert and the integration alone, and its id from their ids. So after a
crash the same deliveries are sent again, and `deliver` ignores those that it knows.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from stream_app.domain.alerts.alert import Alert, NoticeAlert, decode_alert
from stream_app.domain.alerts.notice_text import render_notice
from stream_app.domain.alerts.threshold_text import render_alert
from stream_app.domain.delivery.reasons import RouteResult
from stream_app.domain.delivery.records import (
    ALERTED_HEADER,
    Delivery,
    delivery_of,
    encode_delivery,
)
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.notices.signatures import NO_SIGNATURES, NoticeSigner
from stream_app.domain.state.progress import PartitionProgress
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.configuration.catching_up import ConfigurationSource, catch_up
from stream_app.kafka.dead_letters.writing import (
    MAX_VALUE_BYTES,
    dead_letter,
    dead_letter_headers,
    integrations_of,
)
from stream_app.kafka.engine.flush import Flush, StageTable
from stream_app.kafka.engine.progress_stage import ProgressStage
from stream_app.kafka.engine.time_slice import TimeSlice
from stream_app.kafka.state.send import Send
from stream_app.logs import get_logger
from stream_app.metrics import Metrics
from stream_app.notifier.recipients import DELIVERED, Recipients
from stream_app.notifier.stale_alerts import StaleAlerts

log = get_logger(__name__)


@dataclass(frozen=True)
class TakenAlert:
    """An alert, with the record that it came in."""

    partition: int
    record: Any
    alert: Alert | NoticeAlert

    @property
    def integration_ids(self) -> Iterable[int]:
        """The integrations that the alert is for, each once: all, or those it is redriven for."""
        only = integrations_of(self.record.headers)
        return dict.fromkeys(n for n in self.alert.integration_ids if not only or n in only)


@dataclass(frozen=True)
class RejectedAlert:
    """An alert that becomes a dead letter, for some of its integrations or (empty) for all."""

    partition: int
    record: Any
    reason: DeadLetterReason
    message: str
    integration_ids: Sequence[int] = ()


class RouteStage(ProgressStage):
    """Resolves the integrations of alerts and renders their messages."""

    def __init__(
        self,
        table: StageTable[PartitionProgress],
        reader: ConfigurationSource,
        names: TopicNames,
        max_age_seconds: int,
        metrics: Metrics,
        now_ms: Callable[[], int],
        console_hosts: Mapping[str, str] | None = None,
        signer: NoticeSigner = NO_SIGNATURES,
    ) -> None:
        super().__init__(table)
        self._reader = reader
        self._recipients = Recipients(reader.configuration)
        self._names = names
        self._stale = StaleAlerts(
            max_age_seconds, reader.configuration, names(Topic.ACCOUNT), signer, now_ms
        )
        self._metrics = metrics
        self._console_hosts = console_hosts
        self._alerts: deque[TakenAlert] = deque()
        #: What has come of the alerts since the last cut.
        self._sends: list[Send] = []
        self._results: Counter[RouteResult] = Counter()
        self._rejected: list[RejectedAlert] = []

    def steps(self, _topic: str, partition: int, records: Sequence[Any]) -> Iterator[None]:
        """Take the alerts of one batch."""
        state = self.table.state(partition)
        for record in records:
            yield
            if record.offset <= state.offset:
                continue
            try:
                self._alerts.append(TakenAlert(partition, record, _decode(record.value)))
            except RejectedEventError as error:
                self._reject(partition, record, error)
        self.advance(partition, records[-1].offset)

    async def prepare(self) -> None:
        """Catch up with the configuration before an integration is left without a delivery.

        It may have been applied, or enabled, a moment before the alert.
        """
        if any(
            self._recipients.result(taken.alert, integration_id) not in DELIVERED
            for taken in self._alerts
            for integration_id in taken.integration_ids
        ):
            await catch_up(self._reader)
        time_slice = TimeSlice()
        while self._alerts:
            self._route(self._alerts.popleft())
            await time_slice.end_step()

    def cut(self) -> Flush[int]:
        """Take the alerts since the last cut, and the deliveries that follow from them."""
        while self._alerts:
            self._route(self._alerts.popleft())
        sends = [*self._sends, *map(self._dead_letter, self._rejected), *self._stale.notices()]
        flush = self.flush(sends, partial(self._report, self._results, self._rejected))
        self.reset()
        return flush

    def _route(self, taken: TakenAlert) -> None:
        try:
            self._stale.check(taken.alert, taken.record.headers)
            found = {
                integration_id: self._recipients.logged_result(taken.alert, integration_id)
                for integration_id in taken.integration_ids
            }
            self._sends += [
                Send(
                    self._names(Topic.DELIVERIES),
                    str(delivery.integration_id).encode(),
                    _fitting(encode_delivery(delivery)),
                    headers=((ALERTED_HEADER, str(taken.record.timestamp).encode()),),
                    if_too_large=partial(self._too_large, taken, delivery.integration_id),
                )
                for delivery in self._deliveries(taken.alert, found)
            ]
        except RejectedEventError as error:
            self._reject(taken.partition, taken.record, error)
            return
        self._results.update(found.values())
        self._reject_for_unknown(taken, found)

    def reset(self) -> None:
        """Forget what is not flushed; it will be read again."""
        super().reset()
        self._alerts = deque()
        self._sends, self._results, self._rejected = [], Counter(), []
        self._stale.reset()

    def _report(
        self, results: Mapping[RouteResult, int], rejected: Sequence[RejectedAlert]
    ) -> None:
        """Count what an acknowledged flush holds."""
        for result, number in results.items():
            self._metrics.routed.labels(result).inc(number)
        for alert in rejected:
            self._metrics.dead_letters.labels(Topic.ALERTS, alert.reason).inc()

    def _deliveries(
        self, alert: Alert | NoticeAlert, found: Mapping[int, RouteResult]
    ) -> Iterator[Delivery]:
        """Yield the deliveries of an alert.

        `found` says of each of its integrations how the alert is routed.

        Raises:
            RejectedEventError: the alert has no text.
        """
        if isinstance(alert, NoticeAlert):
            message = render_notice(alert)
        else:
            message = render_alert(alert, console_hosts=self._console_hosts)
        known = self._reader.configuration.integrations
        for integration_id, result in found.items():
            if result not in DELIVERED:
                continue
            integration = known.get(integration_id)
            if integration is None:
                yield delivery_of(alert, message, integration_id)
            else:
                yield delivery_of(
                    alert, message, integration_id, integration.epoch, integration.alert
                )

    def _reject_for_unknown(self, taken: TakenAlert, found: Mapping[int, RouteResult]) -> None:
        """Make a dead letter of an alert for its integrations that were never configured."""
        unknown = [n for n, one in found.items() if one is RouteResult.UNKNOWN_INTEGRATION]
        if unknown:
            ids = ", ".join(map(str, unknown))
            text = f"not configured: integration {ids}; the alert's others, if any, have got it"
            reason = DeadLetterReason.UNKNOWN_INTEGRATION
            self._rejected.append(
                RejectedAlert(taken.partition, taken.record, reason, text, unknown)
            )

    def _too_large(self, taken: TakenAlert, integration_id: int) -> Send:
        """Return the dead letter of an alert for one integration, whose delivery is refused."""
        text = f"topic {self._names(Topic.DELIVERIES)} refuses its delivery for its size"
        reason = DeadLetterReason.TOO_LARGE
        return self._dead_letter(
            RejectedAlert(taken.partition, taken.record, reason, text, [integration_id])
        )

    def _dead_letter(self, alert: RejectedAlert) -> Send:
        record = alert.record
        headers = dead_letter_headers(
            record,
            self._names(Topic.ALERTS),
            alert.partition,
            alert.reason,
            alert.message,
            integration_ids=alert.integration_ids,
        )
        topic = self._names.dead_letters(Topic.ALERTS)
        return dead_letter(topic, record.key, record.value, headers)

    def _reject(self, partition: int, record: Any, error: RejectedEventError) -> None:
        self._rejected.append(RejectedAlert(partition, record, error.reason, str(error)))
        log.warning(
            "alert_rejected",
            partition=partition,
            offset=record.offset,
            reason=error.reason,
            why=str(error),
        )


def _fitting(value: bytes) -> bytes:
    """Return a delivery's record if it fits into a topic.

    Raises:
        RejectedEventError: it does not: neither it nor what follows would ever be acknowledged.
    """
    if len(value) > MAX_VALUE_BYTES:
        raise RejectedEventError(
            DeadLetterReason.TOO_LARGE,
            f"its delivery has {len(value)} bytes, more than {MAX_VALUE_BYTES}",
        )
    return value


def _decode(value: bytes | None) -> Alert | NoticeAlert:
    if value is not None and len(value) > MAX_VALUE_BYTES:
        raise RejectedEventError(
            DeadLetterReason.TOO_LARGE, f"it has {len(value)} bytes, more than {MAX_VALUE_BYTES}"
        )
    try:
        return decode_alert(value or b"")
    except msgspec.ValidationError as error:
        raise RejectedEventError(DeadLetterReason.WRONG_TYPE, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RejectedEventError(DeadLetterReason.UNDECODABLE, str(error)) from None
