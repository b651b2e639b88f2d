"""The history of an alert: what fired, what was sent to whom, and the status of each delivery.

It is made from the records of `alerts`, `deliveries`, `delivery-results` and the dead letters, in
whatever order these are read. It does not know what only the notifier knows: if a service has asked
for a pause, an attempt is made later than the due time shown here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from stream_app.domain.alerts.alert import Alert, NoticeAlert
from stream_app.domain.dead_letters.dead_letter import Place
from stream_app.domain.delivery.records import Checked, Delivery, Result, delivery_id
from stream_app.domain.delivery.retry_schedule import (
    LAST_ATTEMPT,
    next_due_ms,
    own_fault_wait_ms,
)
from stream_app.domain.delivery.state import DeliveryStatus
from stream_app.domain.errors import DeadLetterReason, StreamAppError, UsageError
from stream_app.domain.foreign_text.printable import printable

_SHOWN_IDS = 5
#: Reasons of the dead letters of deliveries that have been tried to the end.
_GIVEN_UP = frozenset({DeadLetterReason.EXHAUSTED, DeadLetterReason.STALE})

#: Statuses of deliveries that are dead letters, or become one in a moment.
_DEAD = frozenset({DeliveryStatus.GIVEN_UP, DeliveryStatus.CANCELLED})


class AlertState(StrEnum):
    """The state of an alert, which is that of its worst delivery; a closed list."""

    #: A delivery, or the alert itself, is a dead letter that nobody has redriven.
    FAILED = "failed"
    PENDING = "pending"
    #: What is a dead letter was dismissed: nobody wants it sent.
    DISMISSED = "dismissed"
    #: It was rendered and recorded in a dry run, which sends nothing.
    DRY_RUN = "dry_run"
    SENT = "sent"
    #: No delivery was made yet, or no integration takes the alert.
    NO_DELIVERY = "no_delivery"


@dataclass(frozen=True)
class DeadLetterNote:
    """A dead letter of an alert or a delivery; `redriven_to` is where it was redriven to.

    `integration_ids` are those that it was for.
    """

    place: Place
    at_ms: int
    reason: str
    redriven_to: str | None = None
    integration_ids: tuple[int, ...] = ()
    is_dismissed: bool = False


@dataclass
class DeliveryHistory:
    """The history of one delivery. Times are Unix ms.

    `redrives` is how often it came back from the dead letters.
    """

    id: str
    integration_id: int
    delivery: Delivery | None = None
    appended_ms: int = 0
    redrives: int = 0
    attempts: list[Result] = field(default_factory=list)
    checks: list[Checked] = field(default_factory=list)
    dead_letters: list[DeadLetterNote] = field(default_factory=list)

    @property
    def ordered_attempts(self) -> list[Result]:
        """The attempts in the order in which they were made, each once."""
        known = {(a.redrives, a.attempt, a.finished_at_ms): a for a in self.attempts}
        return [known[key] for key in sorted(known)]

    @property
    def last_attempt(self) -> Result | None:
        """The last attempt since the last redrive; None: there was none."""
        return next(
            (a for a in reversed(self.ordered_attempts) if a.redrives == self.redrives), None
        )

    @property
    def status(self) -> DeliveryStatus:
        """The status of the delivery."""
        if any(attempt.accepted for attempt in self.attempts):
            return DeliveryStatus.SENT
        if (dead_letter := self.dead_letter) is not None:
            is_last = dead_letter.reason in _GIVEN_UP
            return DeliveryStatus.GIVEN_UP if is_last else DeliveryStatus.CANCELLED
        last = self.last_attempt
        if last is None or last.is_no_attempt:
            return DeliveryStatus.PENDING
        if last.is_dry_run:
            return DeliveryStatus.DRY_RUN
        return DeliveryStatus.GIVEN_UP if last.attempt >= LAST_ATTEMPT else DeliveryStatus.PENDING

    @property
    def reason(self) -> str:
        """Why it is a dead letter, or else why its last attempt failed; empty: none has."""
        if self.status in {DeliveryStatus.SENT, DeliveryStatus.DRY_RUN}:
            return ""
        if self.dead_letter is not None:
            return self.dead_letter.reason
        return "" if self.last_attempt is None else self.last_attempt.reason

    @property
    def dead_letter(self) -> DeadLetterNote | None:
        """The last dead letter that nobody has redriven; None: it is none, or none any more."""
        return last_letter(self.dead_letters)

    @property
    def next_attempt(self) -> int:
        """The number of the attempt that follows; a fault of our own side counts as none."""
        last = self.last_attempt
        return 1 if last is None else last.attempt + (not last.is_no_attempt)

    def due_ms(self, scale: float) -> int | None:
        """Return when the next attempt is due; None: there is none.

        Args:
            scale: factor on the documented waits; 1 except in tests.
        """
        if self.status is not DeliveryStatus.PENDING:
            return None
        last = self.last_attempt
        if last is None:
            return self.appended_ms
        if last.is_no_attempt:
            return last.finished_at_ms + own_fault_wait_ms(scale)
        return next_due_ms(
            last.finished_at_ms,
            last.attempt,
            scale=scale,
            retry_after_seconds=last.retry_after_seconds,
        )


@dataclass
class AlertHistory:
    """An alert, and its deliveries by integration. `fired_ms` is the time of its first record."""

    alert: Alert | NoticeAlert
    fired_ms: int
    records: int = 1
    deliveries: dict[int, DeliveryHistory] = field(default_factory=dict)
    dead_letters: list[DeadLetterNote] = field(default_factory=list)

    @property
    def state(self) -> AlertState:
        """The state of the alert."""
        found = {history.status for history in self.deliveries.values()}
        own = last_letter(self.dead_letters)
        ended = [one.dead_letter for one in self.deliveries.values() if one.status in _DEAD]
        ended += [own] if own is not None else []
        if any(letter is None or not letter.is_dismissed for letter in ended):
            return AlertState.FAILED
        if ended and DeliveryStatus.PENDING not in found:
            return AlertState.DISMISSED
        for status, state in _STATES.items():
            if status in found:
                return state
        return AlertState.NO_DELIVERY

    @property
    def without_delivery(self) -> list[int]:
        """The integrations that have neither a delivery nor a dead letter of the alert."""
        dead = {n for note in self.dead_letters for n in note.integration_ids}
        return [n for n in self.alert.integration_ids if n not in self.deliveries and n not in dead]


#: The states of alerts without a dead letter, the worst first.
_STATES = {
    DeliveryStatus.PENDING: AlertState.PENDING,
    DeliveryStatus.DRY_RUN: AlertState.DRY_RUN,
    DeliveryStatus.SENT: AlertState.SENT,
}


def last_letter(letters: Sequence[DeadLetterNote]) -> DeadLetterNote | None:
    """Return the last dead letter that nobody has redriven; it may be dismissed."""
    return next((note for note in reversed(letters) if note.redriven_to is None), None)


class AlertHistories:
    """The histories of chosen alerts, made from records in any order."""

    def __init__(self) -> None:
        self.by_id: dict[str, AlertHistory] = {}

    def add_alert(self, alert: Alert | NoticeAlert, at_ms: int) -> None:
        """Add a record of `alerts`. The first record of an alert says when it fired."""
        history = self.by_id.get(alert.id)
        if history is None:
            self.by_id[alert.id] = AlertHistory(alert, at_ms)
        else:
            history.records += 1
            history.fired_ms = min(history.fired_ms, at_ms)

    def add_delivery(self, delivery: Delivery, at_ms: int, redrives: int) -> None:
        """Add a record of `deliveries`."""
        history = self._delivery(delivery.alert_id, delivery.id, delivery.integration_id)
        if history is not None and (history.delivery is None or redrives >= history.redrives):
            history.delivery, history.appended_ms, history.redrives = delivery, at_ms, redrives

    def add_result(self, result: Result | Checked) -> None:
        """Add the result of an attempt or of a status check."""
        alert_id = result.delivery_id.removesuffix(f"/{result.integration_id}")
        history = self._delivery(alert_id, result.delivery_id, result.integration_id)
        if history is None:
            return
        if isinstance(result, Checked):
            history.checks.append(result)
        else:
            history.attempts.append(result)
            history.redrives = max(history.redrives, result.redrives)

    def add_dead_letter(
        self, ids: tuple[str, ...], note: DeadLetterNote, *, is_alert: bool
    ) -> None:
        """Add a dead letter; `ids` are those of its deliveries."""
        for name in ids:
            alert_id, _, number = name.rpartition("/")
            if is_alert:
                if alert_id in self.by_id:
                    self.by_id[alert_id].dead_letters.append(note)
                    return
            elif number.isdecimal():
                history = self._delivery(alert_id, name, int(number))
                if history is not None:
                    history.dead_letters.append(note)

    def _delivery(self, alert_id: str, name: str, integration_id: int) -> DeliveryHistory | None:
        history = self.by_id.get(alert_id)
        if history is None or name != delivery_id(alert_id, integration_id):
            return None
        return history.deliveries.setdefault(integration_id, DeliveryHistory(name, integration_id))


def is_named_by(alert_id: str, text: str) -> bool:
    """Tell whether a text names an alert: it is the beginning of the alert's id or of its hash.

    If the id holds characters that a terminal would obey, its printed form counts, too.
    """
    names = (alert_id, alert_id.rpartition(":")[2], printable(alert_id))
    return any(name.startswith(text) for name in names)


def find_alert(histories: AlertHistories, text: str) -> AlertHistory:
    """Return the history of the alert that a text names.

    Raises:
        StreamAppError: there is none.
        UsageError: there are several.
    """
    if text in histories.by_id:
        return histories.by_id[text]
    found = sorted(name for name in histories.by_id if is_named_by(name, text))
    if not found:
        raise StreamAppError(
            f"no alert is named {text}: `stream-app alerts list` shows which there are; the topic "
            "keeps them for 30 days, and has no messages to STREAM_APP_OPERATOR_INTEGRATION"
        )
    if len(found) > 1:
        more = f" and {len(found) - _SHOWN_IDS} more" if len(found) > _SHOWN_IDS else ""
        raise UsageError(
            f"{text} names {len(found)} alerts, give more of the id: "
            f"{', '.join(found[:_SHOWN_IDS])}{more}"
        )
    return histories.by_id[found[0]]
