"""The history of one delivery: its attempts, its checks, and its dead letters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from stream_app.domain.dead_letters.dead_letter import Place
from stream_app.domain.delivery.reasons import SkipReason
from stream_app.domain.delivery.records import Checked, Delivery, Result, ServiceAction
from stream_app.domain.delivery.retry_schedule import (
    LAST_ATTEMPT,
    next_due_ms,
    own_fault_wait_ms,
)
from stream_app.domain.delivery.state import DeliveryStatus
from stream_app.domain.errors import DeadLetterReason

#: Reasons of the dead letters of deliveries that have been tried to the end.
_GIVEN_UP = frozenset({DeadLetterReason.EXHAUSTED, DeadLetterReason.STALE})
#: Statuses of deliveries after which a note is sent.
_ACCEPTED = frozenset({DeliveryStatus.SENT, DeliveryStatus.DRY_RUN})


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
    action: ServiceAction = ServiceAction.CREATE
    skipped: SkipReason | None = None
    #: Of a note: the delivery that it follows, if that is known.
    after: DeliveryHistory | None = None

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
        if self.skipped is not None:
            return DeliveryStatus.SKIPPED
        last = self.last_attempt
        return self._status_before if last is None else _status_after(last)

    @property
    def _status_before(self) -> DeliveryStatus:
        """The status before the first attempt, as far as the records tell."""
        if self.action is ServiceAction.CREATE:
            return DeliveryStatus.PENDING
        is_note = self.action is ServiceAction.NOTE
        is_due = is_note and (self.after is None or self.after.status in _ACCEPTED)
        return DeliveryStatus.PENDING if is_due else DeliveryStatus.WAITING

    @property
    def reason(self) -> str:
        """Why it is a dead letter or was skipped, or why its last attempt failed; empty: none."""
        if self.status in {DeliveryStatus.SENT, DeliveryStatus.DRY_RUN}:
            return ""
        if self.dead_letter is not None:
            return self.dead_letter.reason
        if self.status is DeliveryStatus.SKIPPED:
            return self.skipped or ""
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


def last_letter(letters: Sequence[DeadLetterNote]) -> DeadLetterNote | None:
    """Return the last dead letter that nobody has redriven; it may be dismissed."""
    return next((note for note in reversed(letters) if note.redriven_to is None), None)


def _status_after(last: Result) -> DeliveryStatus:
    """Return the status after the last attempt, which was not accepted."""
    if last.is_no_attempt:
        return DeliveryStatus.PENDING
    if last.is_dry_run:
        return DeliveryStatus.DRY_RUN
    return DeliveryStatus.GIVEN_UP if last.attempt >= LAST_ATTEMPT else DeliveryStatus.PENDING


@dataclass(frozen=True)
class AttemptGroup:
    """Attempts in a row that ended alike: the first, the last, and how many there are."""

    first: Result
    last: Result
    count: int


def grouped(attempts: Iterable[Result]) -> list[AttemptGroup]:
    """Return attempts, given in their order, in groups that ended alike."""
    found = []
    for _, rows in groupby(attempts, lambda a: (a.redrives, a.accepted, a.reason, a.status)):
        group = list(rows)
        found.append(AttemptGroup(group[0], group[-1], len(group)))
    return found
