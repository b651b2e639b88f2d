"""`deliver`: keeps the state of each delivery, and hands what is due to the sender.

It reads deliveries and the results of attempts, and is the only writer of their states. A request
is made only for a state that the broker has acknowledged. When a delivery is given up, its dead
letter is acknowledged before its state: a crash between the two must not lose it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from stream_app.domain.configuration.reserved import PULSE_INTEGRATION_ID
from stream_app.domain.delivery.partition_deliveries import PartitionDeliveries
from stream_app.domain.delivery.records import (
    ALERTED_HEADER,
    Cancel,
    Folded,
    Result,
    decode_delivery,
    decode_result,
)
from stream_app.domain.delivery.state import DeliveryState
from stream_app.domain.delivery.stored_deliveries import DeliveryCut, is_reserved
from stream_app.domain.delivery.transitions import new_state
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.domain.events.parts_decoder import Rejected
from stream_app.domain.foreign_text.printable import quoted
from stream_app.domain.notices.signatures import NO_SIGNATURES, NoticeSigner
from stream_app.domain.pulse.note import PulseNote
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.configuration.view import Configuration
from stream_app.kafka.dead_letters.writing import (
    attempt_of,
    decoded,
    epoch_of,
    number_of,
)
from stream_app.kafka.engine.flush import Flush
from stream_app.kafka.records.unreadable_batches import UnreadableBatch
from stream_app.kafka.state.state_table import StateTable
from stream_app.logs import RepeatedWarnings, get_logger
from stream_app.metrics import Metrics
from stream_app.notifier.deliver_effects import DeliverEffects, RejectedDelivery
from stream_app.notifier.deliver_report import DeliveryReports
from stream_app.notifier.operator_integration.notices import OperatorNotices

log = get_logger(__name__)


class AttemptSchedule(Protocol):
    """Makes attempts when they are due: the `Sender`."""

    def clear(self) -> None:
        """Forget all that waits."""

    def schedule(self, partition: int, state: DeliveryState) -> None:
        """Have the attempt of a pending delivery made when it is due."""

    def hold(self, integration_id: int, until_ms: int) -> None:
        """Make no attempt for an integration before a time (Unix ms)."""

    def forget(self, delivery_id: str) -> None:
        """Make no further attempt of a delivery."""


class Gate(Protocol):
    """Tells when the results of earlier attempts have been read: the `ResultsGate`."""

    def close(self, partitions: Iterable[int], try_open: Callable[[], bool]) -> None:
        """Close for these partitions, and call `try_open` at intervals until it returns true."""

    def is_open(self, partition: int, progress: int) -> bool:
        """Tell whether a partition whose results are read up to `progress` may send."""


class Canceller(Protocol):
    """Cancels pending deliveries of integrations that are off: the `Reconciler`."""

    def check(self, integration_ids: Iterable[int]) -> None:
        """Check integrations that have had new deliveries or attempts."""

    def check_all(self) -> None:
        """Check all integrations that the states know."""


class PulseFollower(Protocol):
    """Is told of the pulse's deliveries and notes: the `Pulse`."""

    def ended(self, delivery_id: str) -> None:
        """Note that a delivery of the pulse has come through."""

    def noted(self, note: PulseNote) -> None:
        """Take a note about the pulse."""


class DeliverStage:
    """Takes deliveries and results, and schedules attempts."""

    #: Waiting would save no writes: each record of a flush is written once anyway.
    changes = 0
    hold_seconds = 0.0

    def __init__(
        self,
        table: StateTable[PartitionDeliveries],
        schedule: AttemptSchedule,
        gate: Gate,
        canceller: Canceller,
        configuration: Configuration,
        names: TopicNames,
        metrics: Metrics,
        now_ms: Callable[[], int],
        signer: NoticeSigner = NO_SIGNATURES,
        operator: OperatorNotices | None = None,
    ) -> None:
        self.table = table
        self._signer = signer
        self._names = names
        self._schedule = schedule
        self._canceller = canceller
        self._configuration = configuration
        self._reports = DeliveryReports(metrics)
        self._effects = DeliverEffects(
            names,
            configuration,
            self._reports,
            signer,
            operator or OperatorNotices(None, configuration, names),
        )
        self._gate = gate
        self._now_ms = now_ms
        self._deliveries_topic = names(Topic.DELIVERIES)
        self._results_topic = names(Topic.RESULTS)
        self._changed: dict[int, None] = {}
        self._rejected: list[RejectedDelivery] = []
        #: Partitions whose pending deliveries wait for the results of earlier attempts.
        self._held: set[int] = set()
        self._repeated = RepeatedWarnings(log)
        #: Set if a heartbeat is.
        self.pulse: PulseFollower | None = None
        table.on_restored.append(self.restored)
        metrics.pending_deliveries.set_function(self._count_pending)
        metrics.oldest_pending.set_function(self._oldest_pending_seconds)

    def steps(self, topic: str, partition: int, records: Sequence[Any]) -> Iterator[None]:
        """Take the records of one batch."""
        state = self.table.state(partition)
        take = self._take_delivery if topic == self._deliveries_topic else self._take_result
        for record in records:
            if state.note_record(topic, record.offset, record.timestamp):
                take(state, partition, record)
            yield
        self._changed[partition] = None

    def pass_over(self, topic: str, partition: int, batch: UnreadableBatch) -> None:
        """Go on behind a batch that cannot be read."""
        self.table.state(partition).skip(topic, batch.offset)
        self._changed[partition] = None

    async def prepare(self) -> None:
        """Wait for nothing: a flush needs no more than the states."""

    def cut(self) -> Flush[DeliveryCut]:
        """Take what has changed in all partitions since the last cut."""
        cuts = {partition: self.table.state(partition).cut() for partition in self._changed}
        rejected = self._rejected
        self.reset()
        effects = self._effects.steps(cuts, rejected)
        return Flush(self.table, effects, cuts, lambda: self._flushed(cuts, rejected))

    def reset(self) -> None:
        """Forget what is not flushed; the table has rolled its partitions back."""
        self._changed, self._rejected = {}, []

    def restored(self) -> None:
        """Start again with the states of the partitions that are assigned now."""
        self._schedule.clear()
        for state in self.table.states.values():
            for integration_id, until_ms in state.pauses.until_ms.items():
                self._schedule.hold(integration_id, until_ms)
        self._held = {p for p, state in self.table.states.items() if state.pending}
        self._gate.close(sorted(self._held), self._release_held)
        self._canceller.check_all()

    def _flushed(
        self, cuts: Mapping[int, DeliveryCut], rejected: Sequence[RejectedDelivery]
    ) -> None:
        """Schedule what an acknowledged flush has changed, and report it."""
        for partition, cut in cuts.items():
            self._schedule_changes(partition, cut)
            self._reports.report(cut)
            if self.pulse is not None:
                for transition in cut.transitions:
                    if transition.before.integration_id == PULSE_INTEGRATION_ID:
                        self.pulse.ended(transition.before.id)
        self._reports.count_rejected(part for _, _, part in rejected)

    def _schedule_changes(self, partition: int, cut: DeliveryCut) -> None:
        for integration_id, until_ms in cut.paused:
            if until_ms is not None:
                self._schedule.hold(integration_id, until_ms)
        if partition in self._held:
            self._release_held()
        else:
            pending = self.table.state(partition).pending
            for delivery_id, state in cut.changed:
                if not isinstance(state, DeliveryState) or state.is_waiting:
                    self._schedule.forget(delivery_id)
                elif pending.get(delivery_id) is state:
                    self._schedule.schedule(partition, state)
        self._canceller.check(cut.integrations)

    def _release_held(self) -> bool:
        """Release partitions whose results have been read; tell whether none is held any more."""
        for partition in sorted(self._held):
            state = self.table.states.get(partition)
            if state is None:
                self._held.discard(partition)
            elif self._gate.is_open(partition, state.progress_of(self._results_topic)):
                self._held.discard(partition)
                for pending in state.durable_pending():
                    self._schedule.schedule(partition, pending)
        return not self._held

    def _take_delivery(self, state: PartitionDeliveries, partition: int, record: Any) -> None:
        try:
            delivery = decoded(decode_delivery, record.value, ": its state would fit no record")
        except RejectedEventError as error:
            self._reject(partition, record, error.reason, str(error))
            return
        if is_reserved(delivery.id):
            why = f"id {quoted(delivery.id)} is not one of a delivery"
            self._reject(partition, record, DeadLetterReason.WRONG_TYPE, why)
            return
        if delivery.episode is not None:
            state.add_create(delivery, record.offset, record.timestamp)
        state.add_delivery(
            new_state(
                delivery,
                record.value,
                record.offset,
                record.timestamp,
                redrives=attempt_of(record.headers) - 1,
                epoch=epoch_of(record.headers),
                alerted_ms=number_of(record.headers, ALERTED_HEADER) or 0,
            )
        )

    def _take_result(self, state: PartitionDeliveries, partition: int, record: Any) -> None:
        try:
            result = decode_result(record.value or b"")
        except DECODE_ERRORS as error:
            self._repeated.warn(
                "delivery_result_unreadable",
                partition=partition,
                offset=record.offset,
                why=str(error),
            )
            return
        if isinstance(result, Cancel):
            state.cancel(result, record.timestamp)
        elif isinstance(result, Result):
            integration = self._configuration.integrations.get(result.integration_id)
            # A result of an older target is not judged: the integration has been mended since.
            is_judged = integration is None or result.epoch >= integration.epoch
            state.add_result(result, record.offset, record.timestamp, is_judged=is_judged)
        elif isinstance(result, Folded):
            state.add_folded(result, record.timestamp)
        elif isinstance(result, PulseNote) and self.pulse is not None:
            self.pulse.noted(result)
        # A status check changes nothing: the service has accepted the request. What was skipped is
        # known: `deliver` itself has written it.

    def _reject(self, partition: int, record: Any, reason: DeadLetterReason, why: str) -> None:
        self._rejected.append((partition, record, Rejected(None, record.value, reason, why)))
        self._repeated.warn("delivery_rejected", partition=partition, offset=record.offset, why=why)

    @staticmethod
    def _due_some_day(states: Iterable[PartitionDeliveries]) -> Iterator[DeliveryState]:
        """Yield the pending deliveries that wait for no other."""
        return (d for state in states for d in state.pending.values() if not d.is_waiting)

    def _count_pending(self) -> float | None:
        found = self.table.known_states()
        return None if found is None else sum(1 for _ in self._due_some_day(found))

    def _oldest_pending_seconds(self) -> float | None:
        found = self.table.known_states()
        if found is None:
            return None
        since = [delivery.pending_since_ms for delivery in self._due_some_day(found)]
        return max(0.0, (self._now_ms() - min(since)) / 1000) if since else 0.0
