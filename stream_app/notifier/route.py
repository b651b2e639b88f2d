"""`route`: makes a delivery of each alert for each of its integrations.

A delivery follows from the alert and the integration alone, and its id from their ids. So after a
crash the same deliveries are sent again, and `deliver` ignores those that it knows. Where an
integration has chosen episodes, it also follows from the windows before it. These are kept with the
offset of their last alert, so after a crash each alert is decided as before.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from stream_app.domain.alerts.alert import decode_alert
from stream_app.domain.configuration.reserved import PULSE_CLIENT_ID
from stream_app.domain.delivery.reasons import RouteResult
from stream_app.domain.episodes.episode import Series
from stream_app.domain.episodes.partition_episodes import EpisodesCut, PartitionEpisodes
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.notices.signatures import NO_SIGNATURES, NoticeSigner
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.configuration.catching_up import ConfigurationSource, catch_up
from stream_app.kafka.dead_letters.writing import (
    decoded,
    record_dead_letter,
)
from stream_app.kafka.engine.flush import Flush, StageTable
from stream_app.kafka.engine.progress_stage import ProgressStage
from stream_app.kafka.engine.time_slice import TimeSlice
from stream_app.kafka.state.send import Send
from stream_app.logs import RepeatedWarnings, get_logger
from stream_app.metrics import Metrics
from stream_app.notifier.routing.alert_records import AlertRecords
from stream_app.notifier.routing.recipients import DELIVERED, Recipients
from stream_app.notifier.routing.stale_alerts import StaleAlerts
from stream_app.notifier.routing.taken_alert import TakenAlert

log = get_logger(__name__)


class RouteStage(ProgressStage[PartitionEpisodes]):
    """Resolves the integrations of alerts and renders their messages."""

    def __init__(
        self,
        table: StageTable[PartitionEpisodes],
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
        self._records = AlertRecords(reader.configuration, names, console_hosts)
        #: The table's rebalances when alerts were taken last.
        self._epoch = -1
        self._alerts: deque[TakenAlert] = deque()
        #: What has come of the alerts since the last cut.
        self._sends: list[Send] = []
        self._results: Counter[RouteResult] = Counter()
        self._dead_letters: list[Send] = []
        self._rejected: Counter[DeadLetterReason] = Counter()
        self._repeated = RepeatedWarnings(log)

    def steps(self, _topic: str, partition: int, records: Sequence[Any]) -> Iterator[None]:
        """Take the alerts of one batch."""
        state = self.table.state(partition)
        self._epoch = self.table.epoch
        for record in records:
            yield
            if record.offset <= state.offset:
                continue
            try:
                alert = decoded(decode_alert, record.value)
            except RejectedEventError as error:
                self._reject(partition, record, error)
            else:
                self._alerts.append(TakenAlert(partition, record, alert))
        state.note_time(records[-1].timestamp)
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
        # A rebalance rolls the states back, and these alerts are read again. What they change in a
        # series must not come before that: they would pass for taken.
        while self._alerts and self.table.epoch == self._epoch:
            self._route(self._alerts.popleft())
            await time_slice.end_step()

    def cut(self) -> Flush[EpisodesCut]:
        """Take the alerts since the last cut, and the deliveries that follow from them."""
        while self._alerts:
            self._route(self._alerts.popleft())
        sends = [*self._sends, *self._dead_letters, *self._stale.notices()]
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
            state = self.table.state(taken.partition)
            sends, results = self._records.outcome(
                taken, found, state, partial(self._too_large, taken, state)
            )
        except RejectedEventError as error:
            self._reject(taken.partition, taken.record, error)
            return
        self._sends += sends
        if taken.alert.client_id != PULSE_CLIENT_ID:
            self._results.update(results.values())
        self._reject_for_unknown(taken, found)

    def reset(self) -> None:
        """Forget what is not flushed; it will be read again."""
        super().reset()
        self._alerts = deque()
        self._sends, self._dead_letters = [], []
        self._results, self._rejected = Counter(), Counter()
        self._stale.reset()

    def _report(
        self, results: Mapping[RouteResult, int], rejected: Mapping[DeadLetterReason, int]
    ) -> None:
        """Count what an acknowledged flush holds."""
        for result, number in results.items():
            self._metrics.routed.labels(result).inc(number)
        for reason, number in rejected.items():
            self._metrics.dead_letters.labels(Topic.ALERTS, reason).inc(number)

    def _reject_for_unknown(self, taken: TakenAlert, found: Mapping[int, RouteResult]) -> None:
        """Make a dead letter of an alert for its integrations that were never configured."""
        unknown = [n for n, one in found.items() if one is RouteResult.UNKNOWN_INTEGRATION]
        if unknown:
            ids = ", ".join(map(str, unknown))
            text = f"not configured: integration {ids}; the alert's others, if any, have got it"
            reason = DeadLetterReason.UNKNOWN_INTEGRATION
            self._add_dead_letter(taken.partition, taken.record, reason, text, unknown)

    def _too_large(
        self,
        taken: TakenAlert,
        state: PartitionEpisodes,
        integration_id: int,
        series: Series | None,
    ) -> Send:
        """Return the dead letter of an alert for one integration, whose delivery is refused.

        A window is not told then, so no other may be folded after it.
        """
        if series is not None:
            state.forget(series)
        text = f"topic {self._names(Topic.DELIVERIES)} refuses its delivery for its size"
        return record_dead_letter(
            self._names,
            Topic.ALERTS,
            taken.partition,
            taken.record,
            DeadLetterReason.TOO_LARGE,
            text,
            integration_ids=[integration_id],
        )

    def _reject(self, partition: int, record: Any, error: RejectedEventError) -> None:
        self._add_dead_letter(partition, record, error.reason, str(error))
        self._repeated.warn(
            "alert_rejected",
            key=error.reason,
            partition=partition,
            offset=record.offset,
            reason=error.reason,
            why=str(error),
        )

    def _add_dead_letter(
        self,
        partition: int,
        record: Any,
        reason: DeadLetterReason,
        text: str,
        only: Sequence[int] = (),
    ) -> None:
        """Add the dead letter of an alert, for `only` some of its integrations or for all."""
        self._rejected[reason] += 1
        self._dead_letters.append(
            record_dead_letter(
                self._names, Topic.ALERTS, partition, record, reason, text, integration_ids=only
            )
        )
