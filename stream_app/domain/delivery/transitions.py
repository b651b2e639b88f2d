"""How a record changes the state of a delivery."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec

from stream_app.domain.delivery.finished_deliveries import FinishedDelivery, KnownDelivery
from stream_app.domain.delivery.records import Delivery, Result, ServiceAction
from stream_app.domain.delivery.retry_schedule import (
    next_due_ms,
    own_fault_wait_ms,
    seconds_before_attempt,
)
from stream_app.domain.delivery.state import DeliveryState, DeliveryStatus
from stream_app.domain.errors import DeadLetterReason

#: Statuses of deliveries that end while their request may be in flight.
_ENDED_UNSENT = frozenset({DeliveryStatus.CANCELLED, DeliveryStatus.SKIPPED})
#: A result is written within this time after its attempt, or the clock of its worker is wrong.
MAX_WRITE_DELAY_MS = 60_000


@dataclass(frozen=True)
class Transition:
    """A change of a delivery's state, and the attempt's result if one caused it.

    `before` still has the delivery's record, which a dead letter needs.
    """

    before: DeliveryState
    after: DeliveryState
    result: Result | None = None


def new_state(
    delivery: Delivery,
    value: bytes,
    offset: int,
    timestamp_ms: int,
    *,
    redrives: int = 0,
    epoch: int = 0,
    alerted_ms: int = 0,
) -> DeliveryState:
    """Return the state of a delivery whose record was just read: due at once.

    Args:
        delivery: as its record says.
        value: the record's bytes.
        offset: of the record.
        timestamp_ms: of the record.
        redrives: how often it has come back from the dead letters.
        epoch: the integration's when it came back. Commands and verdicts of earlier epochs do not
            apply to it.
        alerted_ms: when its alert was appended; 0: not known.
    """
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
        action=delivery.action,
        alias=_alias_to_close(delivery),
        after=delivery.after,
        record=msgspec.Raw(value),
    )


def _alias_to_close(delivery: Delivery) -> str:
    """Return the alias of a delivery's alert if that is to be closed some day, else nothing."""
    episode = delivery.episode
    if episode is None or delivery.action is ServiceAction.NOTE:
        return ""
    is_close = delivery.action is ServiceAction.CLOSE
    return episode.alias if is_close or episode.close_after_seconds else ""


def is_sent_again(known: KnownDelivery, redrives: int) -> bool:
    """Tell whether a known delivery is sent again when its record returns from the dead letters.

    Args:
        known: the delivery as it is known.
        redrives: how often the record has come back.
    """
    is_unsent = known.is_finished and known.status is not DeliveryStatus.SENT
    return is_unsent and redrives > known.redrives


def awaits_result(before: KnownDelivery, result: Result) -> bool:
    """Tell whether a result changes the state of a delivery."""
    if result.accepted and result.redrives < before.redrives:
        return before.status is not DeliveryStatus.SENT
    if (before.redrives, before.attempt) != (result.redrives, result.attempt):
        return False
    is_late = result.accepted and before.status in _ENDED_UNSENT
    return is_late or not before.is_finished


def attempt_ended_ms(result: Result, timestamp_ms: int) -> int:
    """Return when an attempt ended, by the clock of the broker that stamped its result.

    The worker's own time holds only if it can be right: a result is written within a minute.
    """
    return min(max(result.finished_at_ms, timestamp_ms - MAX_WRITE_DELAY_MS), timestamp_ms)


def remaining_wait_ms(state: DeliveryState, now_ms: int, scale: float) -> int:
    """Return how long a pending delivery must still wait, at most its whole wait.

    The bound helps where `now_ms` or `due_ms` comes from a wrong clock. Older versions wrote
    `due_ms` by the worker's clock, not by the broker's.
    """
    if state.failed_ms:
        whole_ms = state.due_ms - state.failed_ms
    else:
        whole_ms = math.ceil((seconds_before_attempt(state.attempt) or 0.0) * scale * 1000)
    return max(0, min(state.due_ms - now_ms, whole_ms))


def state_after_attempt(
    before: DeliveryState, result: Result, timestamp_ms: int, scale: float, max_age_ms: int
) -> DeliveryState:
    """Return the state after an attempt: sent, due again, or given up after the last cycle.

    A dry run makes one attempt of each delivery. A fault of our own side counts as no attempt, and
    neither does a service that has not processed the alert to be closed: the delivery waits, until
    its alert is too old to page anybody.
    """
    if result.accepted:
        return finished_state(before, DeliveryStatus.SENT, timestamp_ms)
    if result.is_dry_run:
        return finished_state(before, DeliveryStatus.DRY_RUN, timestamp_ms)
    if result.is_no_attempt:
        if timestamp_ms - (before.alerted_ms or before.since_ms) > max_age_ms:
            reason = DeadLetterReason.STALE
            return finished_state(before, DeliveryStatus.GIVEN_UP, timestamp_ms, reason)
        return msgspec.structs.replace(
            before,
            due_ms=result.finished_at_ms + own_fault_wait_ms(scale),
            failed_ms=result.finished_at_ms,
        )
    due_ms = next_due_ms(
        result.finished_at_ms,
        result.attempt,
        scale=scale,
        retry_after_seconds=result.retry_after_seconds,
    )
    if due_ms is None:
        reason = DeadLetterReason.EXHAUSTED
        return finished_state(before, DeliveryStatus.GIVEN_UP, timestamp_ms, reason)
    return msgspec.structs.replace(
        before, attempt=before.attempt + 1, due_ms=due_ms, failed_ms=result.finished_at_ms
    )


def finished_state(
    before: DeliveryState, status: DeliveryStatus, timestamp_ms: int, reason: str = ""
) -> DeliveryState:
    """Return the state of a delivery with no further attempt; its record is not kept."""
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


def state_of_finished(end: FinishedDelivery, result: Result) -> DeliveryState:
    """Return what is known of a finished delivery as a state that one more result can change."""
    return DeliveryState(
        id=result.delivery_id,
        status=end.status,
        client_id=result.client_id,
        integration_id=result.integration_id,
        attempt=end.attempt,
        since_ms=0,
        redrives=end.redrives,
    )
