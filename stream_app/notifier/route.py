"""`route`: an alert becomes one delivery for each of its integrations.

A delivery is a function of the alert and the integration, and its id of both ids: a crash sends
the same deliveries again, and `deliver` ignores those that it knows.
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
from stream_app.domain.events.parts_decoder import Rejected
from stream_app.domain.notices.outgoing import HOUR_MS, alerts_stale
from stream_app.domain.notices.signatures import NO_SIGNATURES, NoticeSigner
from stream_app.domain.state.progress import PartitionProgress
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.configuration.catching_up import ConfigurationSource, catch_up
from stream_app.kafka.dead_letters.writing import (
    MAX_VALUE_BYTES,
    attempt_of,
    dead_letter,
    dead_letter_headers,
    integrations_of,
)
from stream_app.kafka.engine.progress_stage import ProgressFlush, ProgressStage
from stream_app.kafka.engine.stage import StageTable
from stream_app.kafka.engine.time_slice import TimeSlice
from stream_app.kafka.state.send import Send
from stream_app.logs import get_logger
from stream_app.metrics import Metrics
from stream_app.notifier.recipients import DELIVERED, Recipients

log = get_logger(__name__)


@dataclass(frozen=True)
class TakenAlert:
    """An alert with the record it came in."""

    partition: int
    record: Any
    alert: Alert | NoticeAlert

    @property
    def integration_ids(self) -> Iterable[int]:
        """Those of the alert's integrations that it is for, each once.

        All of them; of an alert that is redriven for some, those.
        """
        only = integrations_of(self.record.headers)
        return dict.fromkeys(n for n in self.alert.integration_ids if not only or n in only)


@dataclass(frozen=True)
class Refused:
    """An alert that is a dead letter: for all of its integrations, or for some."""

    partition: int
    record: Any
    part: Rejected
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
        self._signer = signer
        self._reader = reader
        self._recipients = Recipients(reader.configuration)
        self._names = names
        self._max_age_seconds = max_age_seconds
        self._metrics = metrics
        self._now_ms = now_ms
        self._console_hosts = console_hosts
        self._alerts: deque[TakenAlert] = deque()
        #: Of the alerts that are routed, since the last cut.
        self._sends: list[Send] = []
        self._results: Counter[RouteResult] = Counter()
        self._rejected: list[Refused] = []
        #: Clients with alerts that are too old, since the last cut.
        self._stale: dict[int, None] = {}
        #: Client -> hour in which it was told that its alerts are too old.
        self._told: dict[int, int] = {}

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
        """Read the configuration to its end before an integration gets nothing.

        It may have been applied, or enabled, a moment before the alert was fired.
        """
        if any(
            self._recipients.result(taken.alert, number) not in DELIVERED
            for taken in self._alerts
            for number in taken.integration_ids
        ):
            await catch_up(self._reader)
        time_slice = TimeSlice()
        while self._alerts:
            self._route(self._alerts.popleft())
            await time_slice.end_step()

    def cut(self) -> ProgressFlush:
        """Take the alerts since the last cut, and the deliveries that follow from them."""
        while self._alerts:
            self._route(self._alerts.popleft())
        sends = [*self._sends, *map(self._dead_letter, self._rejected), *self._stale_notices()]
        results = self._results
        rejected = [refused.part for refused in self._rejected]
        flush = self.flush(sends, partial(self._report, results, rejected))
        self.reset()
        return flush

    def _route(self, taken: TakenAlert) -> None:
        try:
            self._check_age(taken)
            found = {n: self._recipients.judge(taken.alert, n) for n in taken.integration_ids}
            self._sends += [
                Send(
                    self._names(Topic.DELIVERIES),
                    str(delivery.integration_id).encode(),
                    _fitting(encode_delivery(delivery)),
                    headers=((ALERTED_HEADER, str(taken.record.timestamp).encode()),),
                    otherwise=partial(self._too_large, taken, delivery.integration_id),
                )
                for delivery in self._deliveries(taken.alert, found)
            ]
        except RejectedEventError as error:
            self._reject(taken.partition, taken.record, error)
            return
        self._results.update(found.values())
        self._refuse_unknown(taken, found)

    def reset(self) -> None:
        """Forget what is not flushed; it will be read again."""
        super().reset()
        self._alerts, self._rejected, self._stale = deque(), [], {}
        self._sends, self._results = [], Counter()

    def _report(self, results: Mapping[RouteResult, int], rejected: Sequence[Rejected]) -> None:
        """Report an acknowledged flush."""
        for result, number in results.items():
            self._metrics.routed.labels(result).inc(number)
        for part in rejected:
            self._metrics.dead_letters.labels(Topic.ALERTS, part.reason).inc()

    def _check_age(self, taken: TakenAlert) -> None:
        """Let nobody be paged for what is long over, unless a person has sent it again.

        Raises:
            RejectedEventError: the alert's window ended, or its notice was appended, too long ago.
        """
        alert = taken.alert
        age = self._now_ms() // 1000 - alert.happened_at_seconds
        if age <= self._max_age_seconds or attempt_of(taken.record.headers) > 1:
            return
        self._stale[alert.client_id] = None
        raise RejectedEventError(
            DeadLetterReason.STALE,
            f"it happened {age} s ago, more than {self._max_age_seconds} s: send it with "
            "`stream-app dlq redrive` if it still matters",
        )

    def _stale_notices(self) -> list[Send]:
        """Return a notice for each client with alerts that are too old."""
        now_ms = self._now_ms()
        clients = self._reader.configuration.clients
        notices = [
            alerts_stale(number, clients.get(number), self._max_age_seconds, now_ms)
            for number in self._stale
            if self._told.get(number) != now_ms // HOUR_MS
        ]
        self._told |= dict.fromkeys(self._stale, now_ms // HOUR_MS)
        topic = self._names(Topic.ACCOUNT)
        return [Send(topic, notice.key, self._signer.encode(notice)) for notice in notices]

    def _deliveries(
        self, alert: Alert | NoticeAlert, found: Mapping[int, RouteResult]
    ) -> Iterator[Delivery]:
        """Yield the deliveries of an alert, by what its integrations are found to be.

        Raises:
            RejectedEventError: the alert has no text.
        """
        if isinstance(alert, NoticeAlert):
            message = render_notice(alert)
        else:
            message = render_alert(alert, console_hosts=self._console_hosts)
        known = self._reader.configuration.integrations
        for number, result in found.items():
            if result not in DELIVERED:
                continue
            if number in known:
                one = known[number]
                yield delivery_of(alert, message, number, one.epoch, one.alert)
            else:
                yield delivery_of(alert, message, number)

    def _refuse_unknown(self, taken: TakenAlert, found: Mapping[int, RouteResult]) -> None:
        """Leave a dead letter for the integrations of an alert that were never configured."""
        unknown = [n for n, one in found.items() if one is RouteResult.UNKNOWN_INTEGRATION]
        if unknown:
            names = ", ".join(map(str, unknown))
            text = f"not configured: integration {names}; the alert's others, if any, have got it"
            reason = DeadLetterReason.UNKNOWN_INTEGRATION
            part = Rejected(None, taken.record.value, reason, text)
            self._rejected.append(Refused(taken.partition, taken.record, part, unknown))

    def _too_large(self, taken: TakenAlert, number: int) -> Send:
        """Return the dead letter of an alert for one integration, whose delivery is refused."""
        text = f"topic {self._names(Topic.DELIVERIES)} refuses its delivery for its size"
        part = Rejected(None, taken.record.value, DeadLetterReason.TOO_LARGE, text)
        return self._dead_letter(Refused(taken.partition, taken.record, part, [number]))

    def _dead_letter(self, refused: Refused) -> Send:
        part, record = refused.part, refused.record
        headers = dead_letter_headers(
            record,
            self._names(Topic.ALERTS),
            refused.partition,
            part.reason,
            part.message,
            integration_ids=refused.integration_ids,
        )
        return dead_letter(self._names.dead_letters(Topic.ALERTS), record.key, part.value, headers)

    def _reject(self, partition: int, record: Any, error: RejectedEventError) -> None:
        part = Rejected(None, record.value, error.reason, str(error))
        self._rejected.append(Refused(partition, record, part))
        log.warning(
            "alert_rejected",
            partition=partition,
            offset=record.offset,
            reason=error.reason,
            why=str(error),
        )


def _fitting(value: bytes) -> bytes:
    """Return a delivery's record, if a topic takes it.

    Raises:
        RejectedEventError: it would never be acknowledged, and nothing behind it either.
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
