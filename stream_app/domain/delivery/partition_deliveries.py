"""The deliveries of one partition: what each record of the topics changes.

A delivery is pending until its message is accepted or given up. Each result names its attempt, so
a result that comes twice, or from a worker that lost its partition, changes nothing. The state
follows from the records and from the integrations' present targets, never from a clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from stream_app.domain.delivery.auto_disable import Judge, JudgeRules
from stream_app.domain.delivery.dependents import Dependents
from stream_app.domain.delivery.finished_deliveries import FinishedDelivery
from stream_app.domain.delivery.rate_limit_pauses import pause_end_ms
from stream_app.domain.delivery.reasons import SkipReason
from stream_app.domain.delivery.records import Cancel, Delivery, Folded, Result, close_id
from stream_app.domain.delivery.state import DeliveryState, DeliveryStatus
from stream_app.domain.delivery.stored_deliveries import StoredDeliveries
from stream_app.domain.delivery.transitions import (
    Transition,
    attempt_ended_ms,
    awaits_result,
    finished_state,
    is_sent_again,
    state_after_attempt,
    state_of_finished,
)
from stream_app.domain.episodes.open_alert import OpenAlert
from stream_app.domain.errors import DeadLetterReason

#: An integration with as many pending deliveries gets no closes: those that page come first.
MAX_PENDING_FOR_CLOSES = 500


@dataclass(frozen=True)
class DeliveryRules:
    """The settings of deliveries.

    `retry_scale` is a factor on the documented waits, 1 except in tests. `max_pending` is the
    most pending deliveries of one integration. After a fault of our own side an attempt is made
    again until the alert is older than `max_alert_age_ms`.
    """

    retry_scale: float = 1.0
    max_pending: int = 5000
    max_alert_age_ms: int = 6 * 3600 * 1000
    judge: JudgeRules = field(default_factory=JudgeRules)


class PartitionDeliveries(StoredDeliveries):
    """The deliveries of one partition of `deliveries` and `delivery-results`."""

    def __init__(self, topics: tuple[str, str], rules: DeliveryRules) -> None:
        super().__init__(topics, Judge(rules.judge))
        self._rules = rules
        self._dependents = Dependents(self.states, self.opened, self._change, rules.retry_scale)

    @property
    def pending(self) -> dict[str, DeliveryState]:
        """The pending deliveries, by id; those that wait for others are among them."""
        return self.states.pending

    def has_pending_close(self, alert: OpenAlert) -> bool:
        """Tell whether a close of an open alert as it is now is on its way."""
        return bool(self.pending) and close_id(alert) in self.pending

    def takes_closes(self, integration_id: int) -> bool:
        """Tell whether an integration has so few pending deliveries that closes may join them."""
        return self.states.pending_count(integration_id) < MAX_PENDING_FOR_CLOSES

    # -- the records of the topics

    def add_delivery(self, state: DeliveryState) -> bool:
        """Add the state of a delivery whose record was just read; return whether it is new.

        A known delivery is ignored, unless it was not accepted and comes back from the dead
        letters. Its schedule then begins anew. If its integration has too many pending deliveries,
        it becomes a dead letter.
        """
        known = self.states.get(state.id)
        if known is not None and not is_sent_again(known, state.redrives):
            return False
        placed = self._dependents.placed(state)
        if placed.is_finished:
            self._change(state, placed)
        elif self.states.pending_count(state.integration_id) >= self._rules.max_pending:
            self._cancel(state, DeadLetterReason.OVERFLOW, state.since_ms)
        else:
            self._tracked.change(state.id, placed)
        return True

    def add_create(self, delivery: Delivery, offset: int, timestamp_ms: int) -> None:
        """Add the window of a delivery to the open alert that it belongs to, if any."""
        self._dependents.add_create(delivery, offset, timestamp_ms)

    def add_folded(self, folded: Folded, timestamp_ms: int) -> None:
        """Add a window without a delivery to the open alert that it belongs to, if any."""
        self._dependents.add_folded(folded, timestamp_ms)

    def add_result(
        self, result: Result, offset: int, timestamp_ms: int, *, is_judged: bool = True
    ) -> bool:
        """Add a result; return whether its delivery was waiting for it.

        An accepted result also counts for a delivery that has been cancelled or redriven
        meanwhile: a dead letter that comes back must not page again.

        Args:
            result: of an attempt.
            offset: of its record.
            timestamp_ms: of its record.
            is_judged: whether it is about the integration's present target. Other results neither
                pause nor disable the integration.
        """
        at_ms = attempt_ended_ms(result, timestamp_ms)
        result = msgspec.structs.replace(result, finished_at_ms=at_ms)
        known = self.states.get(result.delivery_id)
        is_awaited = known is not None and awaits_result(known, result)
        until_ms = pause_end_ms(result, self._rules.retry_scale)
        if until_ms is not None and is_judged:
            self.pauses.extend(result.integration_id, until_ms)
        is_exhausted = False
        alias = result.alias or ""
        if alias:
            self._dependents.add_result(result, alias, timestamp_ms)
        if known is not None and is_awaited:
            before = (
                state_of_finished(known, result) if isinstance(known, FinishedDelivery) else known
            )
            rules = self._rules
            after = state_after_attempt(
                before, result, timestamp_ms, rules.retry_scale, rules.max_alert_age_ms
            )
            is_exhausted = after.status is DeliveryStatus.GIVEN_UP
            self._change(before, after, result)
        # The result may be read a second time, and what follows it may have been lost.
        if alias or self.states.has_waiting_notes:
            self._dependents.follow(result.delivery_id, alias, timestamp_ms)
        if result.is_sent and is_judged:
            verdict = self.judge.count(result, offset, is_exhausted=is_exhausted)
            if verdict is not None:
                self._verdicts.append(verdict)
                reason = DeadLetterReason.INTEGRATION_DISABLED
                self._cancel_all(verdict.integration_id, verdict.epoch, reason, timestamp_ms)
        return is_awaited

    def cancel(self, command: Cancel, timestamp_ms: int) -> None:
        """Give up the pending deliveries that a command names.

        If their integration is deleted, its requests and its pause are forgotten, too.
        """
        self._cancel_all(command.integration_id, command.epoch, command.reason, timestamp_ms)
        if command.reason is DeadLetterReason.INTEGRATION_DELETED:
            self.judge.forget(command.integration_id)
            self.opened.forget(command.integration_id)
            self.pauses.forget(command.integration_id)

    def cancel_command(self, integration_id: int, reason: DeadLetterReason) -> Cancel | None:
        """Return the command that cancels an integration's deliveries; None: it is not needed.

        It has the newest epoch of these deliveries, so it spares those that are routed after the
        integration has been enabled again.
        """
        states = self.states.pending_of(integration_id)
        if not states:
            judged = self.judge.judged_epochs.get(integration_id)
            if judged is None or reason is not DeadLetterReason.INTEGRATION_DELETED:
                return None
            return Cancel(judged.client_id, integration_id, reason, judged.epoch)
        newest = max(states, key=lambda state: state.epoch)
        return Cancel(newest.client_id, integration_id, reason, newest.epoch)

    @property
    def known_integrations(self) -> set[int]:
        """The integrations with pending deliveries, or with requests that the judge remembers."""
        return self.states.pending_integrations | self.judge.judged_epochs.keys()

    def _cancel_all(
        self, integration_id: int, epoch: int, reason: DeadLetterReason, timestamp_ms: int
    ) -> None:
        found = [state for state in self.states.pending_of(integration_id) if state.epoch <= epoch]
        before = len(self._transitions)
        # What waits for another delivery must not be skipped: both come back together.
        for state in sorted(found, key=lambda state: not state.is_waiting):
            self._cancel(state, reason, timestamp_ms)
        # Dead letters come back in their order: a note that preceded its alert would be skipped.
        self._transitions[before:] = sorted(
            self._transitions[before:], key=lambda transition: transition.before.is_waiting
        )

    def _cancel(self, state: DeliveryState, reason: DeadLetterReason, timestamp_ms: int) -> None:
        self._change(state, finished_state(state, DeliveryStatus.CANCELLED, timestamp_ms, reason))
        self._dependents.follow(state.id, state.alias, timestamp_ms)

    def _change(
        self, before: DeliveryState, after: DeliveryState, result: Result | None = None
    ) -> None:
        self._tracked.change(before.id, after)
        if result is not None or after.is_finished:
            self._transitions.append(Transition(before, after, result))
        if after.is_finished and after.reason != SkipReason.SUPERSEDED:
            self._dependents.end_close(before)
