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
from stream_app.kafka.dead_letters.writing import (
    ATTEMPT_HEADER,
    event_dead_letters,
    record_dead_letter,
)
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

    key: bytes
    value: bytes
    offset: int
    timestamp: int
    headers: tuple[tuple[str, bytes], ...]


#: A partition, a record of it, and what is wrong with the record.
RejectedDelivery = tuple[int, Any, Rejected]


@dataclass(frozen=True)
class DeliverEffects:
    """Makes the dead letters, verdicts and notices of a flush, and tells what was skipped.

    A verdict comes before the state that remembers it. After a crash between the two it is made
    again, with the same notice id, and is never lost. Whoever is told of it finds the integration
    disabled and its dead letters in place: these are acknowledged first.
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
        verdicts = [verdict for cut in cuts.values() for verdict in cut.verdicts]
        statuses, messages = self._disablings(verdicts)
        yield [*self._ends(cuts, rejected), *statuses, *self._overflows(cuts.values())]
        if messages:
            yield messages

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

    def _disablings(self, verdicts: Sequence[Verdict]) -> tuple[list[Send], list[Send]]:
        """Return the records that disable integrations, and the messages of it."""
        view = self.configuration
        ended = {verdict.integration_id for verdict in verdicts}
        recipients = view.system_recipients() if verdicts else {}
        statuses: list[Send] = []
        messages: list[Send] = []
        for verdict in verdicts:
            told = [n for n in recipients.get(verdict.client_id, ()) if n not in ended]
            client = view.clients.get(verdict.client_id)
            integration = view.integrations.get(verdict.integration_id)
            status = status_of(verdict, told)
            notice = integration_broken(verdict, status, client, integration)
            operator = broken_integration(verdict, notice, client, integration, told)
            key = str(verdict.integration_id).encode()
            statuses.append(Send(self.names(Topic.STATUS), key, encode_status(status)))
            messages += [self._notice(notice), *self.operator.sends(operator)]
        return statuses, messages

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
    is_newer = decode_delivery(before.record).is_of_newer_format
    written = NEWER_DELIVERY_FORMAT if is_newer else DELIVERY_FORMAT
    record = DeliveryRecord(
        str(before.integration_id).encode(),
        bytes(before.record),
        before.offset,
        before.since_ms,
        ((ATTEMPT_HEADER, str(before.redrives + 1).encode()), *written),
    )
    error_class = "DeliveryExhausted" if result else "DeliveryCancelled"
    return record_dead_letter(
        names, Topic.DELIVERIES, partition, record, reason, why, error_class=error_class
    )
