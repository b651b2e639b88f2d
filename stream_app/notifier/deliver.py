"""`deliver`: keeps the state of each delivery, and hands what is due to the sender.

It reads deliveries and the results of attempts, and is the only writer of their state. A request
is made only for a state that the broker has acknowledged; the dead letter of a delivery that is
given up is acknowledged before its state says so, or a crash between the two would lose it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from stream_app.domain.deliveries import (
    DeliveryState,
    DeliveryStatus,
    decode_delivery,
    decode_result,
)
from stream_app.domain.delivery_partition import DeliveryCut, PartitionDeliveries, Settled
from stream_app.domain.errors import DeadLetterReason
from stream_app.domain.events import Rejected
from stream_app.kafka.dead_letters import dead_letter_headers, event_dead_letters
from stream_app.kafka.flushing import Send
from stream_app.kafka.state import StateTable
from stream_app.kafka.topics import Topic, TopicNames
from stream_app.logs import get_logger
from stream_app.metrics import Metrics
from stream_app.notifier.gate import ResultsGate
from stream_app.notifier.sender import Sender

log = get_logger(__name__)

REPEAT_SECONDS = 60.0


@dataclass(frozen=True)
class DeliveryRecord:
    """What a dead letter needs of a delivery's record."""

    offset: int
    timestamp: int
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class PartitionCut:
    """One partition's share of a flush."""

    partition: int
    state: PartitionDeliveries
    cut: DeliveryCut


class DeliverFlush:
    """Dead letters; then the states; then the progress in both topics."""

    def __init__(
        self,
        stage: DeliverStage,
        cuts: Sequence[PartitionCut],
        rejected: Sequence[tuple[int, Any, Rejected]],
    ) -> None:
        self._stage = stage
        self._cuts = cuts
        self._rejected = rejected

    def steps(self) -> Sequence[Sequence[Send]]:
        """Return the records in their order."""
        return [
            self._dead_letters(),
            [send for part in self._cuts for send in self._states(part)],
            [self._progress(part) for part in self._cuts],
        ]

    def confirm(self) -> None:
        """Note the states, and hand over what is due."""
        for part in self._cuts:
            part.state.confirm(part.cut)
            self._stage.flushed(part)
        for _, _, rejected in self._rejected:
            self._stage.metrics.dead_letters.labels(Topic.DELIVERIES, rejected.reason).inc()

    def _dead_letters(self) -> list[Send]:
        names = self._stage.names
        sends = []
        for partition, record, rejected in self._rejected:
            sends += event_dead_letters(names, Topic.DELIVERIES, partition, [(record, rejected)])
        for part in self._cuts:
            for settled in part.cut.settled:
                if settled.after.status is DeliveryStatus.GIVEN_UP:
                    sends.append(_exhausted(names, part.partition, settled))
        return sends

    def _states(self, part: PartitionCut) -> list[Send]:
        table = self._stage.table
        return [
            Send(
                table.changelog_topic_name,
                *part.state.record(delivery_id, state),
                part.partition,
                table=table,
            )
            for delivery_id, state in part.cut.changed
        ]

    def _progress(self, part: PartitionCut) -> Send:
        table = self._stage.table
        key, value = part.state.progress_record(part.cut)
        return Send(table.changelog_topic_name, key, value, part.partition, table=table)


class DeliverStage:
    """Takes deliveries and results, and schedules attempts."""

    def __init__(
        self,
        table: StateTable[PartitionDeliveries],
        sender: Sender,
        gate: ResultsGate,
        names: TopicNames,
        metrics: Metrics,
        now_ms: Callable[[], int],
    ) -> None:
        self.table = table
        self.names = names
        self.metrics = metrics
        self._sender = sender
        self._gate = gate
        self._now_ms = now_ms
        self._deliveries_topic = names(Topic.DELIVERIES)
        self._results_topic = names(Topic.RESULTS)
        self._changed: dict[int, None] = {}
        self._rejected: list[tuple[int, Any, Rejected]] = []
        #: Partitions whose pending deliveries wait for the results of earlier attempts.
        self._held: set[int] = set()
        self._warned = -REPEAT_SECONDS
        table.on_restored.append(self.restored)
        metrics.pending_deliveries.set_function(self._count_pending)
        metrics.oldest_pending.set_function(self._oldest_pending_seconds)

    def add(self, topic: str, partition: int, records: Sequence[Any]) -> None:
        """Take the records of one batch."""
        state = self.table.state(partition)
        take = self._take_delivery if topic == self._deliveries_topic else self._take_result
        for record in records:
            if state.take(topic, record.offset, record.timestamp):
                take(state, partition, record)
        self._changed[partition] = None

    async def prepare(self) -> None:
        """Wait for nothing: a flush needs no more than the states."""

    def cut(self) -> DeliverFlush:
        """Take what has changed in all partitions since the last cut."""
        cuts = []
        for partition in self._changed:
            state = self.table.state(partition)
            cuts.append(PartitionCut(partition, state, state.cut()))
        rejected = self._rejected
        self.reset()
        return DeliverFlush(self, cuts, rejected)

    def reset(self) -> None:
        """Forget what is not flushed; the table has rolled its partitions back."""
        self._changed, self._rejected = {}, []

    def restored(self) -> None:
        """Begin anew with the states of the partitions that are assigned now."""
        self._sender.clear()
        self._held = {number for number, state in self.table.states.items() if state.pending}
        self._gate.close(sorted(self._held), self._open)

    def flushed(self, part: PartitionCut) -> None:
        """Hand over what an acknowledged flush has changed, and report it."""
        if part.partition in self._held:
            self._open()
        else:
            for delivery_id, state in part.cut.changed:
                if state is None or state.is_finished:
                    self._sender.forget(delivery_id)
                else:
                    self._sender.schedule(part.partition, state)
        for settled in part.cut.settled:
            self._report(settled)

    def _open(self) -> bool:
        """Hand over the deliveries of held partitions whose results are read; tell if all are."""
        for partition in sorted(self._held):
            state = self.table.states.get(partition)
            if state is None:
                self._held.discard(partition)
            elif self._gate.is_open(partition, state.progress_of(self._results_topic)):
                self._held.discard(partition)
                for pending in state.durable_pending():
                    self._sender.schedule(partition, pending)
        return not self._held

    def _take_delivery(self, state: PartitionDeliveries, partition: int, record: Any) -> None:
        try:
            delivery = decode_delivery(record.value or b"")
        except msgspec.ValidationError as error:
            self._reject(partition, record, DeadLetterReason.WRONG_TYPE, str(error))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._reject(partition, record, DeadLetterReason.UNDECODABLE, str(error))
        else:
            state.add_delivery(delivery, record.value, record.offset, record.timestamp)

    def _take_result(self, state: PartitionDeliveries, partition: int, record: Any) -> None:
        try:
            result = decode_result(record.value or b"")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._warn("delivery_result_unreadable", partition, record.offset, str(error))
        else:
            state.add_result(result, record.timestamp)

    def _reject(self, partition: int, record: Any, reason: DeadLetterReason, why: str) -> None:
        self._rejected.append((partition, record, Rejected(None, record.value, reason, why)))
        self._warn("delivery_rejected", partition, record.offset, why)

    def _warn(self, event: str, partition: int, offset: int, why: str) -> None:
        if time.monotonic() - self._warned >= REPEAT_SECONDS:
            self._warned = time.monotonic()
            log.warning(event, partition=partition, offset=offset, why=why)

    def _report(self, settled: Settled) -> None:
        """Count and log what a result has made of a delivery."""
        before, after, result = settled.before, settled.after, settled.result
        facts = {
            "delivery_id": before.id,
            "client_id": before.client_id,
            "integration_id": before.integration_id,
            "attempt": result.attempt,
            "reason": result.reason,
            "status": result.status,
            "request_id": result.request_id,
        }
        if after.is_finished:
            self.metrics.deliveries.labels(result.integration_type, after.status).inc()
        if after.status is DeliveryStatus.SENT:
            log.info("delivery_sent", **facts)
        elif after.status is DeliveryStatus.GIVEN_UP:
            self.metrics.dead_letters.labels(Topic.DELIVERIES, DeadLetterReason.EXHAUSTED).inc()
            log.error("delivery_given_up", **facts, why=result.message)
        else:
            wait = max(0, after.due_ms - result.finished_at_ms) / 1000
            log.warning("delivery_retry_scheduled", **facts, wait_seconds=wait, why=result.message)

    def _count_pending(self) -> float:
        return sum(len(state.pending) for state in self.table.states.values())

    def _oldest_pending_seconds(self) -> float:
        since = [d.since_ms for s in self.table.states.values() for d in s.pending.values()]
        return max(0.0, (self._now_ms() - min(since)) / 1000) if since else 0.0


def _exhausted(names: TopicNames, partition: int, settled: Settled) -> Send:
    """Return the dead letter of a delivery that is given up: the bytes of its own record."""
    before: DeliveryState = settled.before
    result = settled.result
    return Send(
        names.dead_letters(Topic.DELIVERIES),
        str(before.integration_id).encode(),
        bytes(before.record),
        headers=dead_letter_headers(
            DeliveryRecord(before.offset, before.since_ms),
            names(Topic.DELIVERIES),
            partition,
            DeadLetterReason.EXHAUSTED,
            f"{result.attempt} attempts failed, the last one: {result.message}",
            error_class="DeliveryExhausted",
        ),
    )
