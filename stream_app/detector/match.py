"""`match`: a notice becomes an alert for the integrations that have subscribed to it.

Each trigger without a count that tells of the notice makes an alert of its own beside that one:
who has chosen both gets two messages, as the documented product sends them.

An alert's id is a function of the notice and of what it is sent for, so what a crash makes this
send again has the ids that it had. A partition's alerts are sent in the order of its notices.
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
from stream_app.domain.notices.incoming import (
    IncomingNotice,
    NoticeResult,
    Origin,
    check_kind,
    notice_alert,
    notice_decoder,
    triggered_alerts,
)
from stream_app.domain.notices.matching import NoticeTriggerIndex
from stream_app.domain.notices.signatures import NO_SIGNATURES, NoticeSigner
from stream_app.domain.notices.subscriptions import KNOWN_KINDS, Subscribers, subscription_of
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

#: Kinds nobody knows that the log names, once each: a producer may make up any number of them.
MAX_KINDS_SAID = 100


@dataclass(frozen=True)
class TakenPart:
    """A part of a record: a notice, or what is wrong with it."""

    partition: int
    record: Any
    index: int | None
    value: bytes
    found: IncomingNotice | Rejected


@dataclass(frozen=True)
class MatchOutcome:
    """What a flush has made of notices, to be reported when it is acknowledged."""

    results: Counter[NoticeResult]
    alerts: list[NoticeAlert]
    rejected: list[tuple[TakenPart, Rejected]]


class MatchStage(ProgressStage):
    """Finds who has subscribed to notices, and the triggers that tell of them."""

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
        #: Of the notices that are settled, since the last cut.
        self._sends: list[Send] = []
        self._outcome = MatchOutcome(Counter(), [], [])
        self._subscribers = Subscribers({}, ())
        self._triggers = NoticeTriggerIndex({}, ())
        self._version = -1
        self._said: set[str] = set()
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
        """Read the configuration to its end: what is missing in it cannot be seen in a notice.

        An integration, or its client, may have been applied a moment before the notice. While
        Kafka does not answer this goes on waiting: nothing could be flushed either.
        """
        if self._parts:
            await catch_up(self._reader)
        self._index()
        time_slice = TimeSlice()
        while self._parts:
            self._settle(self._parts.popleft())
            await time_slice.end_step()

    def cut(self) -> Flush[int]:
        """Take the notices since the last cut, and the alerts that follow from them."""
        sends, outcome = self.take_matched()
        return self.flush(sends, partial(self._report, outcome))

    def take_matched(self) -> tuple[list[Send], MatchOutcome]:
        """Match all notices that are taken; return the records, and what became of each notice."""
        self._index()
        while self._parts:
            self._settle(self._parts.popleft())
        matched = self._sends, self._outcome
        self._sends, self._outcome = [], MatchOutcome(Counter(), [], [])
        return matched

    def reset(self) -> None:
        """Forget what is not flushed; it will be read again."""
        super().reset()
        self._parts = deque()
        self._sends, self._outcome = [], MatchOutcome(Counter(), [], [])

    def _settle(self, part: TakenPart) -> None:
        """Find out what becomes of a notice, for the next cut."""
        outcome = self._outcome
        result, found, problem = self._take(part)
        outcome.results[result] += 1
        outcome.alerts.extend(alert for alert, _ in found)
        self._sends += (send for _, send in found)
        if problem is not None:
            letter = Rejected(part.index, part.value, problem.reason, str(problem))
            outcome.rejected.append((part, letter))
            self._sends += event_dead_letters(
                self._names, Topic.ACCOUNT, part.partition, [(part.record, letter)]
            )

    def _report(self, outcome: MatchOutcome) -> None:
        """Report an acknowledged flush."""
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
        for part, found in outcome.rejected:
            self._metrics.dead_letters.labels(Topic.ACCOUNT, found.reason).inc()
            self._repeated.warn(
                "notice_rejected",
                key=found.reason,
                partition=part.partition,
                offset=part.record.offset,
                reason=found.reason,
                why=found.message,
            )

    def _index(self) -> None:
        configuration = self._reader.configuration
        if configuration.version != self._version:
            self._version = configuration.version
            self._subscribers = Subscribers(
                configuration.clients, configuration.integrations.values()
            )
            self._triggers = NoticeTriggerIndex(
                configuration.clients, configuration.triggers.values()
            )

    def _take(
        self, part: TakenPart
    ) -> tuple[NoticeResult, list[tuple[NoticeAlert, Send]], RejectedEventError | None]:
        """Return what becomes of a notice, its alerts, and why it is a dead letter if it is one.

        An alert that no topic takes costs its neighbours nothing. The notice is a dead letter
        all the same: when it is sent again they have the ids that they had.
        """
        problem: RejectedEventError | None = None
        found: list[tuple[NoticeAlert, Send]] = []
        result = NoticeResult.REJECTED
        try:
            result, alerts = self._match(part)
        except RejectedEventError as error:
            problem, alerts = error, []
        for alert in alerts:
            try:
                found.append((alert, self._send(alert, part)))
            except RejectedEventError as error:
                problem, result = error, NoticeResult.REJECTED
        return result, found, problem

    def _match(self, part: TakenPart) -> tuple[NoticeResult, list[NoticeAlert]]:
        """Return what becomes of a notice, and its alerts: of its subscription, then of triggers.

        Raises:
            RejectedEventError: it is none, or it does not say what it is or whose.
        """
        notice = part.found
        if isinstance(notice, Rejected):
            raise RejectedEventError(notice.reason, notice.message)
        check_kind(notice)
        if notice.kind not in KNOWN_KINDS:
            self._say_unknown(notice.kind)
            return NoticeResult.UNKNOWN_KIND, []
        client = self._subscribers.client_of(notice)
        record = part.record
        origin = Origin(
            Topic.ACCOUNT, part.partition, record.offset, part.index or 0, record.timestamp
        )
        alerts = []
        subscription = subscription_of(notice)
        if subscription is not None:
            ids = self._subscribers.integration_ids(client.client_id, subscription, notice)
            if ids:
                alerts.append(notice_alert(notice, origin, client, subscription, ids, self._signer))
        triggers = self._triggers.matching(client.client_id, notice)
        if triggers:
            alerts += triggered_alerts(notice, origin, client, triggers, self._signer)
        return NoticeResult.MATCHED if alerts else NoticeResult.UNSUBSCRIBED, alerts

    def _too_large(self, part: TakenPart) -> Send:
        """Return the dead letter of a notice whose alert is refused."""
        text = f"topic {self._names(Topic.ALERTS)} refuses its alert for its size"
        letter = Rejected(part.index, part.value, DeadLetterReason.TOO_LARGE, text)
        found = [(part.record, letter)]
        return event_dead_letters(self._names, Topic.ACCOUNT, part.partition, found)[0]

    def _send(self, alert: NoticeAlert, part: TakenPart) -> Send:
        """Return the alert's record, if a topic takes it.

        Raises:
            RejectedEventError: it would never be acknowledged, and nothing behind it either.
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
            otherwise=partial(self._too_large, part),
        )

    def _say_unknown(self, kind: str) -> None:
        if kind not in self._said and len(self._said) < MAX_KINDS_SAID:
            self._said.add(kind)
            log.info("notice_kind_unknown", notification_type=kind[:100], then="nobody gets it")
