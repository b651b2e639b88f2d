"""Notes and closes: what they wait for, when they are due, and when there is no use for them.

A note follows the delivery that opens its alert. A close waits until no such delivery of its alert
is unfinished, and is of no use any more when a further window has come meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from stream_app.domain.delivery.finished_deliveries import KnownDelivery
from stream_app.domain.delivery.known_deliveries import KnownDeliveries
from stream_app.domain.delivery.reasons import IntegrationType, SkipReason
from stream_app.domain.delivery.records import (
    Delivery,
    Folded,
    Result,
    ServiceAction,
    decode_delivery,
)
from stream_app.domain.delivery.state import DeliveryState, DeliveryStatus
from stream_app.domain.delivery.transitions import finished_state
from stream_app.domain.episodes.open_alert import OpenAlert, OpenAlerts

#: How long after its alert was accepted a close is sent where the service does not tell whether it
#: has processed the alert.
PROCESSING_SECONDS = 30
#: An alert that a dry run has recorded counts as accepted: what follows it is recorded, too.
_ACCEPTED = frozenset({DeliveryStatus.SENT, DeliveryStatus.DRY_RUN})

#: Replaces the state of an unfinished delivery.
ChangeState = Callable[[DeliveryState, DeliveryState], None]


class Dependents:
    """The notes and closes of one partition, and the open alerts that they are for.

    Args:
        scale: factor on the waits; 1 except in tests.
    """

    def __init__(
        self, states: KnownDeliveries, alerts: OpenAlerts, change: ChangeState, scale: float
    ) -> None:
        self._states = states
        self._alerts = alerts
        self._change = change
        self._scale = scale

    # -- what the records say of open alerts

    def add_create(self, delivery: Delivery, offset: int, timestamp_ms: int) -> None:
        """Add the window of a delivery that creates an alert; its record may come a second time."""
        if delivery.episode is None or delivery.action is not ServiceAction.CREATE:
            return
        alert = self._alerts.add_window(
            delivery.episode, delivery.client_id, delivery.integration_id, timestamp_ms
        )
        if alert is not None:
            self._alerts.put(alert.with_create(delivery.alert_id, offset, delivery.epoch))
            self._reconsider_closes(alert.alias, timestamp_ms)

    def add_folded(self, folded: Folded, timestamp_ms: int) -> None:
        """Add a window that makes no delivery."""
        alert = self._alerts.add_window(
            folded.episode, folded.client_id, folded.integration_id, timestamp_ms
        )
        if alert is not None:
            self._reconsider_closes(alert.alias, timestamp_ms)

    def add_result(self, result: Result, alias: str, timestamp_ms: int) -> None:
        """Note that a delivery that creates an alert was accepted, if the result says so."""
        alert = self._alerts.values.get(alias)
        is_create = result.action is msgspec.UNSET
        if alert is not None and is_create and (result.accepted or result.is_dry_run):
            service, request_id = result.integration_type, result.request_id or ""
            self._alerts.put(alert.with_accepted(timestamp_ms, service, request_id))

    # -- the states of notes and closes

    def placed(self, state: DeliveryState) -> DeliveryState:
        """Return the first state of a delivery that was just read."""
        if state.action is ServiceAction.CREATE:
            return state
        waiting = msgspec.structs.replace(state, status=DeliveryStatus.WAITING, attempt=0)
        return self._next(waiting, state.since_ms)

    def follow(self, delivery_id: str, alias: str, timestamp_ms: int) -> None:
        """Release what has waited for a delivery, which a record of this time has ended.

        `alias` is that of its alert, if that is to be closed some day.
        """
        for note in self._states.waiting_for(delivery_id):
            self._reconsider(note, timestamp_ms)
        self._reconsider_closes(alias, timestamp_ms)

    def end_close(self, before: DeliveryState) -> None:
        """Note that a close has ended; one that was superseded has closed nothing."""
        alert = self._alerts.values.get(before.alias)
        if before.action is ServiceAction.CLOSE and alert is not None and before.record:
            self._alerts.put(alert.with_close(decode_delivery(before.record).closes))

    def _reconsider_closes(self, alias: str, timestamp_ms: int) -> None:
        for state in self._states.unfinished_of(alias):
            if state.action is ServiceAction.CLOSE:
                self._reconsider(state, timestamp_ms)

    def _reconsider(self, state: DeliveryState, timestamp_ms: int) -> None:
        after = self._next(state, timestamp_ms)
        if after is not state:
            self._change(state, after)

    def _next(self, state: DeliveryState, at_ms: int) -> DeliveryState:
        """Return the state of a note or a close as things stand; the same one: nothing changes."""
        if state.action is ServiceAction.NOTE:
            return self._next_of_note(state, at_ms)
        return self._next_of_close(state, at_ms)

    def _next_of_note(self, state: DeliveryState, at_ms: int) -> DeliveryState:
        after: KnownDelivery | None = self._states.get(state.after)
        if after is None:
            return _without_alert(state, at_ms)
        if not after.is_finished:
            return state
        return _released(state, at_ms) if after.status in _ACCEPTED else _skipped(state, at_ms)

    def _next_of_close(self, state: DeliveryState, at_ms: int) -> DeliveryState:
        alert = self._alerts.values.get(state.alias)
        if alert is None:
            return _without_alert(state, at_ms)
        close = decode_delivery(state.record)
        end = close.episode.window_end if close.episode is not None else 0
        if close.closes < alert.created_offset or end < alert.last_window_end:
            return _skipped(state, at_ms, SkipReason.SUPERSEDED)
        others = self._states.unfinished_of(state.alias)
        if any(other.action is ServiceAction.CREATE for other in others):
            return state
        if not alert.is_accepted:
            return _skipped(state, at_ms)
        return self._released_close(state, alert, at_ms) if state.is_waiting else state

    def _released_close(self, state: DeliveryState, alert: OpenAlert, at_ms: int) -> DeliveryState:
        if alert.request_id and alert.accepted_by == IntegrationType.OPSGENIE:
            return _released(state, at_ms, request_id=alert.request_id)
        wait_ms = math.ceil(PROCESSING_SECONDS * 1000 * self._scale)
        return _released(state, at_ms, alert.accepted_ms, alert.accepted_ms + wait_ms)


def _released(
    state: DeliveryState, at_ms: int, from_ms: int = 0, due_ms: int = 0, request_id: str = ""
) -> DeliveryState:
    """Return the state of a note or a close that waits no more: due at once, or at `due_ms`."""
    if due_ms <= at_ms:
        from_ms, due_ms = 0, at_ms
    return msgspec.structs.replace(
        state,
        status=DeliveryStatus.PENDING,
        attempt=1,
        due_ms=due_ms,
        failed_ms=from_ms,
        released_ms=at_ms,
        request_id=request_id,
    )


def _without_alert(state: DeliveryState, at_ms: int) -> DeliveryState:
    """Return the state of a note or a close whose alert is not known.

    One that is redriven may be older than what is remembered of its alert.
    """
    return _released(state, at_ms) if state.redrives else _skipped(state, at_ms)


def _skipped(
    state: DeliveryState, at_ms: int, reason: SkipReason = SkipReason.NOT_ACCEPTED
) -> DeliveryState:
    return finished_state(state, DeliveryStatus.SKIPPED, at_ms, reason)
