"""What happens next to an alert and its deliveries, and what a person does about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stream_app.domain.dead_letters.redrive_rules import advice, dismissed_text
from stream_app.domain.delivery.reasons import SkipReason
from stream_app.domain.delivery.records import ServiceAction
from stream_app.domain.delivery.retry_schedule import (
    CYCLES_SECONDS,
    LAST_ATTEMPT,
    cycle_of,
    last_due_ms,
)
from stream_app.domain.delivery.state import DeliveryStatus
from stream_app.domain.delivery.status_checks import CheckOutcome
from stream_app.domain.errors import DeadLetterReason
from stream_app.domain.reports.alert_history import AlertHistory
from stream_app.domain.reports.delivery_history import DeadLetterNote, DeliveryHistory
from stream_app.domain.times import iso_utc

#: If a due time has passed by more than this, no notifier runs, or it is behind.
OVERDUE_MS = 30_000
#: What a delivery waits for that is not due yet.
WAITING_TEXTS = {
    ServiceAction.NOTE: "it waits until the service has accepted the delivery that it follows",
    ServiceAction.CLOSE: "it waits until all deliveries of its alert have ended",
}
SKIPPED_TEXTS = {
    SkipReason.NOT_ACCEPTED: "nothing: the alert that it is about was never accepted",
    SkipReason.SUPERSEDED: "nothing: further windows have come, and another close follows when "
    "they are over",
}
_SENT_TEXTS = {
    ServiceAction.NOTE: "nothing: the service has accepted it",
    ServiceAction.CLOSE: "nothing: the alert is closed, unless it was before",
}
#: What is over once the integration takes alerts again.
_ENDED_BY_STATE = frozenset(
    {DeadLetterReason.INTEGRATION_DISABLED, DeadLetterReason.INTEGRATION_DELETED}
)


@dataclass(frozen=True)
class IntegrationNow:
    """A configured integration; `problem` says why it takes no alerts, empty if it takes them."""

    name: str
    client_id: object
    problem: str = ""


@dataclass(frozen=True)
class Outlook:
    """What follows for a pending delivery, if nothing changes. Times are Unix ms.

    Without a `cycle` our own side is at fault, and the same attempt is made again and again.
    """

    attempt: int
    due_ms: int
    until_ms: int
    cycle: int | None


@dataclass(frozen=True)
class Surroundings:
    """What decides, beside its records, what becomes of an alert."""

    integrations: Mapping[int, IntegrationNow]
    now_ms: int
    retry_scale: float
    max_alert_age_ms: int

    def outlook(self, alert: AlertHistory, delivery: DeliveryHistory) -> Outlook | None:
        """Return what follows for a delivery; None: no further attempt."""
        due_ms = delivery.due_ms(self.retry_scale)
        if due_ms is None:
            return None
        number, last = delivery.next_attempt, delivery.last_attempt
        if last is not None and last.is_no_attempt:
            return Outlook(number, due_ms, alert.fired_ms + self.max_alert_age_ms, None)
        # Each attempt takes as long as the last one, which is long if no answer comes.
        took_ms = 0 if last is None else round(last.duration_seconds * 1000)
        until_ms = last_due_ms(due_ms, number, self.retry_scale)
        return Outlook(
            number, due_ms, until_ms + (LAST_ATTEMPT - number) * took_ms, cycle_of(number)
        )

    def next_of_delivery(self, alert: AlertHistory, delivery: DeliveryHistory) -> str:
        """Return what happens next to a delivery, and what a person does about it."""
        outlook = self.outlook(alert, delivery)
        if outlook is not None:
            return self._pending(delivery, outlook)
        if (text := _text_of(delivery)) is not None:
            return text
        letter = delivery.dead_letter
        if letter is None:
            return "it becomes a dead letter in a moment: look again"
        return self._dead(delivery.integration_id, letter)

    @staticmethod
    def next_of_letter(letter: DeadLetterNote) -> str:
        """Return what a person does about a dead letter of an alert."""
        if letter.redriven_to is not None:
            return f"nothing: it was redriven to {letter.redriven_to}"
        if letter.is_dismissed:
            return dismissed_text(letter.place)
        return advice(letter.reason, letter.place, letter.integration_ids)

    @staticmethod
    def why_folded(alert: AlertHistory, number: int) -> str:
        """Return where a window that makes no request of its own is told."""
        told = alert.told_in.get(number)
        return (
            f"told in {told}" if told else "the next repeat of its episode tells it, if one comes"
        )

    def why_no_delivery(self, alert: AlertHistory, number: int) -> str:
        """Return why an integration of the alert has no delivery, and what a person does."""
        found = self.integrations.get(number)
        if found is None:
            return (
                "it is not configured now, and was deleted before the alert was routed: take it "
                "out of the trigger, or `stream-app apply` it for later alerts"
            )
        if found.client_id != alert.alert.client_id:
            return (
                f"it belongs to client {found.client_id}, and gets no alerts of client "
                f"{alert.alert.client_id}: take it out of the trigger"
            )
        if found.problem:
            return (
                f"{found.problem.removesuffix(' first')}, for later alerts; what fires while it "
                "is off is not kept for it"
            )
        if self.now_ms - alert.fired_ms > OVERDUE_MS:
            return (
                "it was off when the alert was routed, or no notifier has read the alert yet: "
                "`stream-app status` shows how far behind it is"
            )
        return "the notifier has not read the alert yet: look again in a moment"

    def _pending(self, delivery: DeliveryHistory, outlook: Outlook) -> str:
        number = delivery.integration_id
        found = self.integrations.get(number)
        problem = found.problem if found else f"integration {number} is not configured"
        if problem:
            mended = problem.removesuffix(" first")
            return f"it becomes a dead letter: {mended}; `{_redrive(number)}` then sends it"
        what = f"attempt {outlook.attempt} of {LAST_ATTEMPT}"
        if self.now_ms - outlook.due_ms > OVERDUE_MS:
            late = (self.now_ms - outlook.due_ms) // 1000
            return (
                f"{what} was due at {iso_utc(outlook.due_ms)}, {late} s ago: no notifier runs, it "
                "is behind, or the service has asked for a pause: `stream-app status`"
            )
        then = f"then it becomes a dead letter, and `{_redrive(number)}` sends it"
        at, until = iso_utc(outlook.due_ms), iso_utc(outlook.until_ms)
        when = "now" if outlook.due_ms <= self.now_ms else f"at {at}"
        if outlook.cycle is None:
            last = delivery.last_attempt
            is_early = last is not None and not last.is_own_fault
            why = (
                "the service has not processed the alert"
                if is_early
                else "our own side is at fault"
            )
            return f"{what} {when}, and every few seconds until {until}, because {why}; {then}"
        cycle = f"cycle {outlook.cycle} of {len(CYCLES_SECONDS)}"
        if outlook.attempt == LAST_ATTEMPT:
            return f"{what} {when}, the last one; if it fails, {then.removeprefix('then ')}"
        return f"{what} {when}, in {cycle}; resends until about {until}; {then}"

    def _dead(self, number: int, letter: DeadLetterNote) -> str:
        found = self.integrations.get(number)
        if letter.is_dismissed:
            return dismissed_text(letter.place)
        if found is None:
            return advice(DeadLetterReason.INTEGRATION_DELETED, letter.place, [number])
        if found.problem:
            return f"{found.problem.removesuffix(' first')}; `{_redrive(number)}` then sends it"
        if letter.reason in _ENDED_BY_STATE:
            return f"the integration takes alerts again: `{_redrive(number)}` sends it"
        if letter.reason == DeadLetterReason.EXHAUSTED:
            return (
                "mend what the last attempt complains of; then "
                f"`{_redrive(number)}` sends it and what else lies there for this integration"
            )
        return advice(letter.reason, letter.place, [number])


def _sent(delivery: DeliveryHistory) -> str:
    failed = [one for one in delivery.checks if one.outcome is CheckOutcome.FAILED]
    if failed:
        return (
            f"the service took the request, and then its own rules made no alert of it "
            f"({failed[-1].status}): look at the rules of its integration there"
        )
    if delivery.action in _SENT_TEXTS:
        return _SENT_TEXTS[delivery.action]
    sent = delivery.delivery
    alias = "the alert's id" if sent is None or sent.episode is None else sent.alias
    return f"nothing: the service has accepted it; its alias there is {alias}"


def _redrive(number: int) -> str:
    return f"stream-app dlq redrive --integration {number}"


def _text_of(delivery: DeliveryHistory) -> str | None:
    """Return what follows for a delivery that is neither tried again nor a dead letter."""
    if delivery.status is DeliveryStatus.SENT:
        return _sent(delivery)
    if delivery.status is DeliveryStatus.DRY_RUN:
        return "nothing: a dry run sends nothing; `--json` shows what would have been posted"
    if delivery.status is DeliveryStatus.WAITING:
        return WAITING_TEXTS[delivery.action]
    if delivery.status is DeliveryStatus.SKIPPED:
        return SKIPPED_TEXTS[delivery.skipped or SkipReason.NOT_ACCEPTED]
    return None
