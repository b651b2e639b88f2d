"""`match`: a notice becomes an alert for the integrations that have subscribed to it.

Each matching trigger without a count makes an alert of its own, too. Whoever has chosen both gets
two messages, as the documented product sends them.

An alert's id is a function of the notice and of its subscription or trigger, so alerts that are
sent again after a crash have the same ids. A partition's alerts are sent in the order of its
notices.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from stream_app.domain.alerts.alert import NoticeAlert, encode_alert
from stream_app.domain.alerts.kinds import NOTICE_ALERT
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.events.parts_decoder import Rejected
from stream_app.domain.notices.alerts import alerts_of
from stream_app.domain.notices.incoming import (
    IncomingNotice,
    NoticeResult,
    Origin,
    notice_decoder,
)
from stream_app.domain.notices.matching import NoticeTriggerIndex
from stream_app.domain.notices.signatures import NO_SIGNATURES, NoticeSigner
from stream_app.domain.notices.subscriptions import Subscribers
from stream_app.domain.state.progress import PartitionProgress
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.configuration.catching_up import ConfigurationSource, catch_up
from stream_app.kafka.dead_letters.writing import MAX_VALUE_BYTES, event_dead_letters
from stream_app.kafka.engine.flush import Flush, StageTable
from stream_app.kafka.engine.progress_stage import ProgressStage
from stream_app.kafka.engine.time_slice import TimeSlice
from stream_app.kafka.state.send import Send
from stream_app.logs import RepeatedWarnings, get_logger
from stream_app.metrics import Metrics

log = get_logger(__name__)

#: How many unknown kinds of notices are logged, once each: a producer may invent any number.
MAX_KINDS_LOGGED = 100


@dataclass(frozen=True)
class TakenPart:
    """A part of a record: a notice, or a part that cannot be read as one."""

    partition: int
    record: Any
    index: int | None
    value: bytes
    found: IncomingNotice | Rejected


@dataclass(frozen=True)
class MatchOutcome:
    """The results of a flush's notices, to be reported once it is acknowledged."""

    results: Counter[NoticeResult]
    alerts: list[NoticeAlert]
    rejected: list[tuple[TakenPart, Rejected]]


class MatchStage(ProgressStage[PartitionProgress]):
    """Finds the subscribers of notices, and the triggers that match them."""

    def __init__(
        self,
        table: StageTable[PartitionProgress],
        reader: ConfigurationSource,
        names: TopicNames,
        metrics: Metrics,
        signer: NoticeSigner = NO_SIGNATURES,
    ) -> None:
        super().__init__(table)
        self._reader = reader
        self._names = names
        self._metrics = metrics
        self._signer = signer
        self._parts: deque[TakenPart] = deque()
        #: Records and results of the notices matched since the last cut.
        self._sends: list[Send] = []
        self._outcome = MatchOutcome(Counter(), [], [])
        self._subscribers = Subscribers({}, ())
        self._triggers = NoticeTriggerIndex({}, ())
        self._version = -1
        self._logged_kinds: set[str] = set()
        self._repeated = RepeatedWarnings(log)

    def steps(self, _topic: str, partition: int, records: Sequence[Any]) -> Iterator[None]:
        """Take the notices of one batch."""
        state = self.table.state(partition)
        for record in records:
            if record.offset <= state.offset:
                continue
            for one in notice_decoder.steps(record.value):
                if one is not None:
                    index, part, found = one
                    value = record.value if index is None else part
                    self._parts.append(TakenPart(partition, record, index, value, found))
                yield
        self.advance(partition, records[-1].offset)

    async def prepare(self) -> None:
        """Read the configuration to its end, then match the notices, in slices of time.

        An integration, or its client, may have been applied a moment before a notice, and the
        notice does not show that it is missing here. While Kafka does not answer, this waits:
        nothing could be flushed either.
        """
        if self._parts:
            await catch_up(self._reader)
        self._update_indexes()
        time_slice = TimeSlice()
        while self._parts:
            self._match(self._parts.popleft())
            await time_slice.end_step()

    def cut(self) -> Flush[int]:
        """Take the alerts and dead letters of all notices since the last cut."""
        sends, outcome = self.take_matched()
        return self.flush(sends, partial(self._report, outcome))

    def take_matched(self) -> tuple[list[Send], MatchOutcome]:
        """Match the remaining notices; return all records and results since the last cut."""
        self._update_indexes()
        while self._parts:
            self._match(self._parts.popleft())
        matched = self._sends, self._outcome
        self._sends, self._outcome = [], MatchOutcome(Counter(), [], [])
        return matched

    def reset(self) -> None:
        """Forget what is not flushed; it will be read again."""
        super().reset()
        self._parts = deque()
        self._sends, self._outcome = [], MatchOutcome(Counter(), [], [])

    def _match(self, part: TakenPart) -> None:
        """Match a notice, and keep its records and its result for the next cut."""
        outcome = self._outcome
        result, found, problem = self._checked_alerts(part)
        outcome.results[result] += 1
        outcome.alerts.extend(alert for alert, _ in found)
        self._sends += (send for _, send in found)
        if problem is not None:
            rejected = Rejected(part.index, part.value, problem.reason, str(problem))
            outcome.rejected.append((part, rejected))
            self._sends += event_dead_letters(
                self._names, Topic.ACCOUNT, part.partition, [(part.record, rejected)]
            )

    def _report(self, outcome: MatchOutcome) -> None:
        """Report the results of an acknowledged flush."""
        for result, number in outcome.results.items():
            self._metrics.notices.labels(result).inc(number)
        for alert in outcome.alerts:
            kind = alert.trigger.template_id if alert.trigger else NOTICE_ALERT
            self._metrics.alerts.labels(kind).inc()
            if alert.notice.appended_ms > 0:  # a record may come without a timestamp
                self._metrics.event_to_alert.labels(kind).observe(
                    max(0.0, time.time() - alert.notice.appended_ms / 1000)
                )
            log.info(
                "notice_matched",
                alert_id=alert.id,
                client_id=alert.client_id,
                **alert.cause,
                integrations=len(alert.integration_ids),
            )
        for part, rejected in outcome.rejected:
            self._metrics.dead_letters.labels(Topic.ACCOUNT, rejected.reason).inc()
            self._repeated.warn(
                "notice_rejected",
                key=rejected.reason,
                partition=part.partition,
                offset=part.record.offset,
                reason=rejected.reason,
                why=rejected.message,
            )

    def _update_indexes(self) -> None:
        configuration = self._reader.configuration
        if configuration.version != self._version:
            self._version = configuration.version
            self._subscribers = Subscribers(
                configuration.clients, configuration.integrations.values()
            )
            self._triggers = NoticeTriggerIndex(
                configuration.clients, configuration.triggers.values()
            )

    def _checked_alerts(
        self, part: TakenPart
    ) -> tuple[NoticeResult, list[tuple[NoticeAlert, Send]], RejectedEventError | None]:
        """Return a notice's result, its alerts, and why it is a dead letter (None if it is not).

        If the topic would refuse one of its alerts, the others are sent, and the notice is a dead
        letter as well: when it is redriven, they get the same ids.
        """
        problem: RejectedEventError | None = None
        found: list[tuple[NoticeAlert, Send]] = []
        result = NoticeResult.REJECTED
        try:
            result, alerts = self._alerts_for(part)
        except RejectedEventError as error:
            problem, alerts = error, []
        for alert in alerts:
            try:
                found.append((alert, self._send(alert, part)))
            except RejectedEventError as error:
                problem, result = error, NoticeResult.REJECTED
        return result, found, problem

    def _alerts_for(self, part: TakenPart) -> tuple[NoticeResult, list[NoticeAlert]]:
        """Return a notice's result and alerts: for its subscription, then for triggers.

        Raises:
            RejectedEventError: it is not a notice, or its kind or client is missing or unknown.
        """
        notice = part.found
        if isinstance(notice, Rejected):
            raise RejectedEventError(notice.reason, notice.message)
        record = part.record
        origin = Origin(
            Topic.ACCOUNT, part.partition, record.offset, part.index or 0, record.timestamp
        )
        result, alerts = alerts_of(notice, origin, self._subscribers, self._triggers, self._signer)
        if result is NoticeResult.UNKNOWN_KIND:
            self._log_unknown(notice.kind)
        return result, alerts

    def _too_large(self, part: TakenPart) -> Send:
        """Return the dead letter of a notice whose alert the topic has refused."""
        text = f"topic {self._names(Topic.ALERTS)} refuses its alert for its size"
        rejected = Rejected(part.index, part.value, DeadLetterReason.TOO_LARGE, text)
        found = [(part.record, rejected)]
        return event_dead_letters(self._names, Topic.ACCOUNT, part.partition, found)[0]

    def _send(self, alert: NoticeAlert, part: TakenPart) -> Send:
        """Return the alert's record.

        Raises:
            RejectedEventError: it is too large. It would never be acknowledged, and it would block
                everything behind it.
        """
        value = encode_alert(alert)
        if len(value) > MAX_VALUE_BYTES:
            raise RejectedEventError(
                DeadLetterReason.TOO_LARGE,
                f"its alert has {len(value)} bytes, more than {MAX_VALUE_BYTES}",
            )
        return Send(
            self._names(Topic.ALERTS),
            str(alert.client_id).encode(),
            value,
            if_too_large=partial(self._too_large, part),
        )

    def _log_unknown(self, kind: str) -> None:
        if kind not in self._logged_kinds and len(self._logged_kinds) < MAX_KINDS_LOGGED:
            self._logged_kinds.add(kind)
            log.info("notice_kind_unknown", notification_type=kind[:100], then="nobody gets it")
