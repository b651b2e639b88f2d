"""The records of one flush of `deliver`, in the order in which they must reach the broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stream_app.domain.configuration.statuses import encode_status
from stream_app.domain.delivery.auto_disable import status_of
from stream_app.domain.delivery.partition_deliveries import DeliveryCut, PartitionDeliveries
from stream_app.domain.delivery.transitions import Transition
from stream_app.domain.errors import DeadLetterReason
from stream_app.domain.events.parts_decoder import Rejected
from stream_app.domain.notices.outgoing import Notice, integration_broken
from stream_app.domain.notices.signatures import NoticeSigner
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.configuration.view import Configuration
from stream_app.kafka.dead_letters.writing import dead_letter_headers, event_dead_letters
from stream_app.kafka.state.send import Send
from stream_app.kafka.state.state_table import StateTable
from stream_app.notifier.deliver_report import DeliveryReports

#: What a dead letter's header says of a delivery that no attempt is made of any more.
WHY = {
    DeadLetterReason.OVERFLOW: "its integration has too many pending deliveries",
    DeadLetterReason.INTEGRATION_DISABLED: "its integration is disabled: enable it with "
    "`stream-app integrations enable`, then `stream-app dlq redrive`",
    DeadLetterReason.INTEGRATION_DELETED: "its integration is deleted",
}


@dataclass(frozen=True)
class DeliveryRecord:
    """What a dead letter needs of a delivery's record."""

    offset: int
    timestamp: int
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class DeliverShare:
    """One partition's share of a flush."""

    partition: int
    state: PartitionDeliveries
    cut: DeliveryCut


@dataclass(frozen=True)
class DeliverFlush:
    """Dead letters, verdicts and notices; then the states; then the progress in both topics.

    A verdict goes before the state that remembers it: a crash between the two makes the same
    verdict again, with the same notice id, and never loses it.
    """

    table: StateTable[PartitionDeliveries]
    names: TopicNames
    configuration: Configuration
    reports: DeliveryReports
    cuts: Sequence[DeliverShare]
    rejected: Sequence[tuple[int, Any, Rejected]]
    flushed: Callable[[DeliverShare], None]
    signer: NoticeSigner

    def steps(self) -> Sequence[Sequence[Send]]:
        """Return the records in their order."""
        return [
            [*self._dead_letters(), *self._verdicts(), *self._overflows()],
            [send for part in self.cuts for send in self._states(part)],
            [
                self.table.changelog_record(part.partition, *part.state.progress_record(part.cut))
                for part in self.cuts
            ],
        ]

    def confirm(self) -> None:
        """Note the states, hand over what is due, and report."""
        for part in self.cuts:
            part.state.confirm(part.cut)
            self.flushed(part)
            self.reports.report(part.cut)
        self.reports.rejected(part for _, _, part in self.rejected)

    def _dead_letters(self) -> Iterator[Send]:
        for partition, record, rejected in self.rejected:
            yield from event_dead_letters(
                self.names, Topic.DELIVERIES, partition, [(record, rejected)]
            )
        for part in self.cuts:
            for transition in part.cut.transitions:
                if transition.after.reason:
                    yield _given_up(self.names, part.partition, transition)

    def _verdicts(self) -> Iterator[Send]:
        """Yield a status and a notice for each integration that is found failing."""
        view = self.configuration
        for verdict in (verdict for part in self.cuts for verdict in part.cut.verdicts):
            status = status_of(verdict)
            notice = integration_broken(
                verdict,
                status,
                view.clients.get(verdict.client_id),
                view.integrations.get(verdict.integration_id),
            )
            key = str(verdict.integration_id).encode()
            yield Send(self.names(Topic.STATUS), key, encode_status(status))
            yield self._notice(notice)

    def _overflows(self) -> Iterator[Send]:
        """Yield a notice for each integration that has more pending deliveries than it may."""
        for transition in (transition for part in self.cuts for transition in part.cut.transitions):
            if transition.after.reason == DeadLetterReason.OVERFLOW:
                notice = self.reports.overflow_notice(transition.after, self.configuration)
                if notice is not None:
                    yield self._notice(notice)

    def _notice(self, notice: Notice) -> Send:
        return Send(self.names(Topic.ACCOUNT), notice.key, self.signer.encode(notice))

    def _states(self, part: DeliverShare) -> list[Send]:
        return [
            self.table.changelog_record(part.partition, key, value)
            for key, value in part.state.records(part.cut)
        ]


def _given_up(names: TopicNames, partition: int, transition: Transition) -> Send:
    """Return the dead letter of a delivery that is given up: the bytes of its own record."""
    before, result = transition.before, transition.result
    reason = DeadLetterReason(transition.after.reason)
    if result is None:
        why = WHY[reason]
    elif result.is_own_fault:
        why = f"no request could be made until the alert was too old: {result.message}"
    else:
        why = f"{result.attempt} attempts failed, the last one: {result.message}"
    attempt = ("x-attempt", str(before.redrives + 1).encode())
    return Send(
        names.dead_letters(Topic.DELIVERIES),
        str(before.integration_id).encode(),
        bytes(before.record),
        headers=dead_letter_headers(
            DeliveryRecord(before.offset, before.since_ms, (attempt,)),
            names(Topic.DELIVERIES),
            partition,
            reason,
            why,
            error_class="DeliveryExhausted" if result else "DeliveryCancelled",
        ),
    )
