"""The steps from one state of a delivery to the next. Pure: a state and a record, a new state."""

from __future__ import annotations

import math

import msgspec

from stream_app.domain.delivery.finished_deliveries import Finished, Known
from stream_app.domain.delivery.own_faults import pause_ms
from stream_app.domain.delivery.records import (
    Delivery,
    DeliveryState,
    DeliveryStatus,
    Result,
)
from stream_app.domain.delivery.retry_schedule import next_due_ms, wait_before_attempt
from stream_app.domain.errors import DeadLetterReason

#: A result that was written later than this after its attempt has a time of a wrong clock.
LONGEST_WRITE_MS = 60_000


def began(
    delivery: Delivery,
    value: bytes,
    offset: int,
    timestamp_ms: int,
    *,
    redrives: int,
    epoch: int,
    alerted_ms: int = 0,
) -> DeliveryState:
    """Return the state of a delivery whose record was just read: due at once."""
    return DeliveryState(
        id=delivery.id,
        status=DeliveryStatus.PENDING,
        client_id=delivery.client_id,
        integration_id=delivery.integration_id,
        attempt=1,
        since_ms=timestamp_ms,
        epoch=max(delivery.epoch, epoch),
        due_ms=timestamp_ms,
        redrives=redrives,
        alerted_ms=alerted_ms,
        offset=offset,
        record=msgspec.Raw(value),
    )


def comes_back(known: Known, redrives: int) -> bool:
    """Tell whether a known delivery that is read again, so often redriven, is sent anew."""
    is_open = known.is_finished and known.status is not DeliveryStatus.SENT
    return is_open and redrives > known.redrives


def awaits(before: Known, result: Result) -> bool:
    """Tell whether a result is news for a delivery."""
    if result.accepted and result.redrives < before.redrives:
        return before.status is not DeliveryStatus.SENT
    if (before.redrives, before.attempt) != (result.redrives, result.attempt):
        return False
    is_late = result.accepted and before.status is DeliveryStatus.CANCELLED
    return is_late or not before.is_finished


def ended_ms(result: Result, timestamp_ms: int) -> int:
    """Return when an attempt ended, by the clock of the broker that has stamped its result.

    The clock of the worker that made it is taken for what it says only if that may be: the result
    was written at once, or within a minute.
    """
    return min(max(result.finished_at_ms, timestamp_ms - LONGEST_WRITE_MS), timestamp_ms)


def wait_left_ms(state: DeliveryState, now_ms: int, scale: float) -> int:
    """Return how long a pending delivery has still to wait: never longer than the whole wait.

    That bound holds where `now_ms` is of a wrong clock, or `due_ms` is, as in states of versions
    that did not look at the broker's.
    """
    if state.failed_ms:
        whole_ms = state.due_ms - state.failed_ms
    else:
        whole_ms = math.ceil((wait_before_attempt(state.attempt) or 0.0) * scale * 1000)
    return max(0, min(state.due_ms - now_ms, whole_ms))


def attempted(
    before: DeliveryState, result: Result, timestamp_ms: int, scale: float, max_age_ms: int
) -> DeliveryState:
    """Return the state after an attempt: sent, due again, or given up after the last cycle.

    A dry run makes one attempt of each delivery. A fault of our own side is none: the delivery
    waits for as long as its alert is not too old to page anybody.
    """
    if result.accepted:
        return finished(before, DeliveryStatus.SENT, timestamp_ms)
    if result.is_dry_run:
        return finished(before, DeliveryStatus.DRY_RUN, timestamp_ms)
    if result.is_own_fault:
        if timestamp_ms - (before.alerted_ms or before.since_ms) > max_age_ms:
            reason = DeadLetterReason.STALE
            return finished(before, DeliveryStatus.GIVEN_UP, timestamp_ms, reason)
        return msgspec.structs.replace(
            before, due_ms=result.finished_at_ms + pause_ms(scale), failed_ms=result.finished_at_ms
        )
    due_ms = next_due_ms(
        result.finished_at_ms,
        result.attempt,
        scale=scale,
        retry_after_seconds=result.retry_after_seconds,
    )
    if due_ms is None:
        reason = DeadLetterReason.EXHAUSTED
        return finished(before, DeliveryStatus.GIVEN_UP, timestamp_ms, reason)
    return msgspec.structs.replace(
        before, attempt=before.attempt + 1, due_ms=due_ms, failed_ms=result.finished_at_ms
    )


def finished(
    before: DeliveryState, status: DeliveryStatus, timestamp_ms: int, reason: str = ""
) -> DeliveryState:
    """Return the state of a delivery that no further attempt is made of: without its record."""
    return DeliveryState(
        id=before.id,
        status=status,
        client_id=before.client_id,
        integration_id=before.integration_id,
        attempt=before.attempt,
        since_ms=before.since_ms,
        epoch=before.epoch,
        finished_ms=timestamp_ms,
        redrives=before.redrives,
        reason=reason,
    )


def forgotten_state(end: Finished, result: Result) -> DeliveryState:
    """Return the state of a delivery that has ended, as far as it is known: for one more result."""
    return DeliveryState(
        id=result.delivery_id,
        status=end.status,
        client_id=result.client_id,
        integration_id=result.integration_id,
        attempt=end.attempt,
        since_ms=0,
        redrives=end.redrives,
    )
