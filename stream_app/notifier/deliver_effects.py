"""What a flush of `deliver` causes: dead letters, verdicts of the judge, and notices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stream_app.domain.configuration.statuses import encode_status
from stream_app.domain.delivery.auto_disable import Verdict, status_of
from stream_app.domain.delivery.reasons import LocalReason, SkipReason
from stream_app.domain.delivery.records import Skipped, decode_delivery, encode_result
from stream_app.domain.delivery.state import DeliveryState, DeliveryStatus
from stream_app.domain.delivery.stored_deliveries import DeliveryCut
from stream_app.domain.delivery.transitions import Transition
from stream_app.domain.errors import DeadLetterReason
from stream_app.domain.events.parts_decoder import Rejected
from stream_app.domain.formats import format_headers
from stream_app.domain.notices.operator_notice import broken_integration
from stream_app.domain.notices.outgoing import Notice, integration_broken
from stream_app.domain.notices.signatures import NoticeSigner
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.configuration.view import Configuration
from stream_app.kafka.dead_letters.writing import dead_letter_headers, event_dead_letters
from stream_app.kafka.state.send import Send
from stream_app.notifier.deliver_report import DeliveryReports
from stream_app.notifier.operator_integration.notices import OperatorNotices

#: A dead letter says in which format its delivery is, as the delivery's own record does.
DELIVERY_FORMAT = format_headers(Topic.DELIVERIES)
NEWER_DELIVERY_FORMAT = format_headers(Topic.DELIVERIES, is_newest=True)
#: Reason of a cancellation -> the message of its dead letter.
CANCELLATION_TEXTS = {
    DeadLetterReason.OVERFLOW: "its integration has too many pending deliveries",
    DeadLetterReason.INTEGRATION_DISABLED: "its integration is disabled: enable it with "
    "`stream-app integrations enable`, then `stream-app dlq redrive`",
    DeadLetterReason.INTEGRATION_DELETED: "its integration is deleted",
}


@dataclass(frozen=True)
class DeliveryRecord:
    """The parts of a delivery's record that its dead letter needs."""

    offset: int
    timestamp: int
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class _Disabling:
    """The record that disables an integration, and the messages of it."""

    status: Send
    messages: Sequence[Send]


#: A partition, a record of it, and what is wrong with the record.
RejectedDelivery = tuple[int, Any, Rejected]


@dataclass(frozen=True)
class DeliverEffects:
    """Makes the dead letters, verdicts and notices of a flush, and tells what was skipped.

    A verdict comes before the state that remembers it. After a crash between the two it is made
    again, with the same notice id, and is never lost. Who is told of it finds the integration
    disabled and its dead letters in their place: these are acknowledged first.
    """

    names: TopicNames
    configuration: Configuration
    reports: DeliveryReports
    signer: NoticeSigner
    operator: OperatorNotices

    def steps(
        self, cuts: Mapping[int, DeliveryCut], rejected: Sequence[RejectedDelivery]
    ) -> Iterator[Sequence[Send]]:
        """Yield the records of a flush, step by step."""
        disablings = self._disablings(cuts.values())
        yield [
            *self._ends(cuts, rejected),
            *(one.status for one in disablings),
            *self._overflows(cuts.values()),
        ]
        if disablings:
            yield [send for one in disablings for send in one.messages]

    def _ends(
        self, cuts: Mapping[int, DeliveryCut], rejected: Sequence[RejectedDelivery]
    ) -> Iterator[Send]:
        for partition, record, part in rejected:
            yield from event_dead_letters(self.names, Topic.DELIVERIES, partition, [(record, part)])
        for partition, cut in cuts.items():
            for transition in cut.transitions:
                if transition.after.status is DeliveryStatus.SKIPPED:
                    yield self._skipped(partition, transition.after)
                elif transition.after.reason:
                    yield _dead_letter_of(self.names, partition, transition)

    def _disablings(self, cuts: Iterable[DeliveryCut]) -> list[_Disabling]:
        """Return what follows from each verdict: a status, and messages to those who are told."""
        verdicts = [verdict for cut in cuts for verdict in cut.verdicts]
        if not verdicts:
            return []
        ended = {verdict.integration_id for verdict in verdicts}
        recipients = self.configuration.system_recipients()
        return [
            self._disabling(
                verdict, [n for n in recipients.get(verdict.client_id, ()) if n not in ended]
            )
            for verdict in verdicts
        ]

    def _disabling(self, verdict: Verdict, told: Sequence[int]) -> _Disabling:
        client = self.configuration.clients.get(verdict.client_id)
        integration = self.configuration.integrations.get(verdict.integration_id)
        status = status_of(verdict, told)
        notice = integration_broken(verdict, status, client, integration)
        key = str(verdict.integration_id).encode()
        operator = broken_integration(verdict, notice, client, integration, told)
        return _Disabling(
            Send(self.names(Topic.STATUS), key, encode_status(status)),
            [self._notice(notice), *self.operator.sends(operator)],
        )

    def _overflows(self, cuts: Iterable[DeliveryCut]) -> Iterator[Send]:
        """Yield a notice for each integration with too many pending deliveries."""
        for transition in (transition for cut in cuts for transition in cut.transitions):
            if transition.after.reason == DeadLetterReason.OVERFLOW:
                notice = self.reports.overflow_notice(transition.after, self.configuration)
                if notice is not None:
                    yield self._notice(notice)

    def _skipped(self, partition: int, after: DeliveryState) -> Send:
        """Return the record that tells people why a note or a close was not sent."""
        number, reason = after.integration_id, SkipReason(after.reason)
        value = encode_result(Skipped(after.id, after.client_id, number, reason))
        headers = format_headers(Topic.RESULTS, is_newest=True)
        key = str(number).encode()
        return Send(self.names(Topic.RESULTS), key, value, partition, headers)

    def _notice(self, notice: Notice) -> Send:
        return Send(self.names(Topic.ACCOUNT), notice.key, self.signer.encode(notice))


def _dead_letter_of(names: TopicNames, partition: int, transition: Transition) -> Send:
    """Return the dead letter of a delivery that is given up; its value is the delivery's record."""
    before, result = transition.before, transition.result
    reason = DeadLetterReason(transition.after.reason)
    if result is None:
        why = CANCELLATION_TEXTS[reason]
    elif result.reason == LocalReason.NOT_PROCESSED:
        why = f"nothing was closed until it was too late: {result.message}"
    elif result.is_own_fault:
        why = f"no request could be made until the alert was too old: {result.message}"
    else:
        why = f"{result.attempt} attempts failed, the last one: {result.message}"
    attempt = ("x-attempt", str(before.redrives + 1).encode())
    is_newer = decode_delivery(before.record).is_of_newer_format
    written = NEWER_DELIVERY_FORMAT if is_newer else DELIVERY_FORMAT
    return Send(
        names.dead_letters(Topic.DELIVERIES),
        str(before.integration_id).encode(),
        bytes(before.record),
        headers=dead_letter_headers(
            DeliveryRecord(before.offset, before.since_ms, (attempt, *written)),
            names(Topic.DELIVERIES),
            partition,
            reason,
            why,
            error_class="DeliveryExhausted" if result else "DeliveryCancelled",
        ),
    )
