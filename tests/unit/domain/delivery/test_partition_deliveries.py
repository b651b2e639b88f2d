from __future__ import annotations

import heapq
from itertools import count
from typing import Any

import msgspec
import pytest

from stream_app.domain.delivery.finished_deliveries import REMEMBER_MS, FinishedDelivery
from stream_app.domain.delivery.partition_deliveries import DeliveryRules, PartitionDeliveries
from stream_app.domain.delivery.records import Cancel, Delivery, Result, encode_delivery
from stream_app.domain.delivery.retry_schedule import LAST_ATTEMPT
from stream_app.domain.delivery.state import DeliveryStatus, encode_state
from stream_app.domain.delivery.stored_deliveries import is_reserved
from stream_app.domain.delivery.transitions import new_state
from stream_app.domain.errors import DeadLetterReason
from stream_app.domain.times import HOUR_MS

TOPICS = ("deliveries", "delivery-results")
NOW_MS = 1_767_225_600_000
DELIVERY = Delivery("stream-app:1:x/521", "stream-app:1:x", 1111, 521, "Title", "Text", {"a": "b"})
RECORD = encode_delivery(DELIVERY)
OFFSETS = count()
Changelog = list[tuple[bytes, bytes | None]]


def partition(scale: float = 1.0) -> PartitionDeliveries:
    return PartitionDeliveries(TOPICS, DeliveryRules(retry_scale=scale))


def result(attempt: int = 1, *, accepted: bool = False, **fields: Any) -> Result:
    return Result(
        delivery_id=DELIVERY.id,
        client_id=1111,
        integration_id=521,
        integration_type="opsgenie",
        attempt=attempt,
        accepted=accepted,
        reason="accepted" if accepted else "server_error",
        message="",
        finished_at_ms=fields.pop("finished_at_ms", NOW_MS),
        duration_seconds=0.1,
        **fields,
    )


def add(state: PartitionDeliveries, found: Result, timestamp_ms: int) -> bool:
    """Add a result to a state, each with an offset of its own."""
    return state.add_result(found, next(OFFSETS), timestamp_ms)


def with_delivery(scale: float = 1.0) -> PartitionDeliveries:
    state = partition(scale)
    assert state.note_record("deliveries", 7, NOW_MS)
    assert state.add_delivery(new_state(DELIVERY, RECORD, 7, NOW_MS))
    return state


def flush(state: PartitionDeliveries) -> Changelog:
    """Cut, confirm, and return what was written to the changelog."""
    cut = state.cut()
    written: Changelog = state.records(cut)
    state.confirm(cut)
    return [*written, state.progress_record(cut)]


def restored(changelog: Changelog) -> PartitionDeliveries:
    state = partition()
    for key, value in changelog:
        state.restore(key, value)
    return state


def only(state: PartitionDeliveries) -> Any:
    (found,) = state.states.values()
    return found


def test_a_new_delivery_is_due_at_once_with_its_own_bytes() -> None:
    state = only(with_delivery())
    assert (state.status, state.attempt, state.due_ms) == (DeliveryStatus.PENDING, 1, NOW_MS)
    assert bytes(state.record) == RECORD
    assert (state.offset, state.since_ms) == (7, NOW_MS)


def test_a_known_delivery_is_ignored_pending_or_finished() -> None:
    state = with_delivery()
    assert not state.add_delivery(new_state(DELIVERY, RECORD, 8, NOW_MS + 1))
    assert only(state).offset == 7
    add(state, result(accepted=True), NOW_MS + 1000)
    assert not state.add_delivery(new_state(DELIVERY, RECORD, 9, NOW_MS + 2000))
    assert only(state).status is DeliveryStatus.SENT


def test_a_record_read_again_is_known_by_its_offset() -> None:
    state = partition()
    assert state.note_record("deliveries", 7, NOW_MS)
    assert not state.note_record("deliveries", 7, NOW_MS)
    assert state.note_record("delivery-results", 7, NOW_MS), "each topic has its own offsets"


def test_an_accepted_attempt_finishes_the_delivery_and_drops_the_body() -> None:
    state = with_delivery()
    assert add(state, result(accepted=True), NOW_MS + 1000)
    assert state.states[DELIVERY.id] == FinishedDelivery(
        DeliveryStatus.SENT, 1, 0, NOW_MS // HOUR_MS, ""
    )
    assert state.pending == {}


def test_17_requests_on_the_three_documented_cycles_to_the_millisecond_then_give_up() -> None:
    state, finished_ms = with_delivery(), NOW_MS
    waits = [1, 3, 5, 10, 10, 0, 1, 3, 5, 30, 60, 60, 180, 300, 600, 1800]
    assert sum(waits) == 3068
    for attempt, wait in enumerate(waits, 1):
        finished_ms += 250 + attempt  # a wait runs from the end of the request
        assert add(state, result(attempt, finished_at_ms=finished_ms), finished_ms + 40)
        assert only(state).attempt == attempt + 1
        assert only(state).due_ms == finished_ms + wait * 1000
        finished_ms = only(state).due_ms
    assert LAST_ATTEMPT == len(waits) + 1 == 17
    assert add(state, result(17, finished_at_ms=finished_ms), finished_ms)
    assert (only(state).status, only(state).attempt) == (DeliveryStatus.GIVEN_UP, 17)
    assert only(state).reason == "exhausted"
    transitions = state.cut().transitions
    assert [step.result and step.result.attempt for step in transitions] == list(range(1, 18))
    assert bytes(transitions[-1].before.record) == RECORD, "for the dead letter"


@pytest.mark.parametrize("attempt", [1, 6, 7, 11, 17])
def test_success_at_any_step_ends_the_schedule(attempt: int) -> None:
    state = with_delivery()
    for failed in range(1, attempt):
        add(state, result(failed), NOW_MS)
    assert add(state, result(attempt, accepted=True), NOW_MS)
    assert (only(state).status, state.pending) == (DeliveryStatus.SENT, {})


def test_a_longer_retry_after_counts_and_is_not_scaled() -> None:
    state = with_delivery(scale=0.1)
    add(state, result(retry_after_seconds=2.0), NOW_MS)
    assert only(state).due_ms == NOW_MS + 2000


@pytest.mark.parametrize("attempt", [1, 3])
def test_a_result_of_another_attempt_is_ignored(attempt: int) -> None:
    state = with_delivery()
    add(state, result(1), NOW_MS)
    before = only(state)
    assert not add(state, result(attempt, accepted=True), NOW_MS)
    assert only(state) == before


def test_a_result_of_an_unknown_or_finished_delivery_is_ignored() -> None:
    assert not add(partition(), result(), NOW_MS)
    state = with_delivery()
    add(state, result(1, accepted=True), NOW_MS)
    assert not add(state, result(1), NOW_MS)
    assert only(state).status is DeliveryStatus.SENT


def test_only_acknowledged_states_are_durable() -> None:
    state = with_delivery()
    assert list(state.durable_pending()) == []
    cut = state.cut()
    assert list(state.durable_pending()) == []
    state.confirm(cut)
    assert [found.attempt for found in state.durable_pending()] == [1]
    add(state, result(1), NOW_MS)
    assert list(state.durable_pending()) == []


def test_roll_back_undoes_what_is_not_acknowledged_in_both_topics() -> None:
    state = with_delivery()
    flush(state)
    before = only(state)
    state.note_record("delivery-results", 3, NOW_MS)
    add(state, result(1), NOW_MS)
    state.cut()
    state.note_record("delivery-results", 4, NOW_MS)
    add(state, result(2, accepted=True), NOW_MS)
    state.roll_back()
    assert only(state) == before
    assert state.pending == {DELIVERY.id: before}
    assert state.progress_of("deliveries") == 7
    assert state.progress_of("delivery-results") == -1
    assert state.note_record("delivery-results", 3, NOW_MS)
    add(state, result(1), NOW_MS)
    assert [step.after.attempt for step in state.cut().transitions] == [2], "not twice"


def test_roll_back_forgets_a_delivery_that_was_never_acknowledged() -> None:
    state = with_delivery()
    state.roll_back()
    assert not state.states
    assert state.note_record("deliveries", 7, NOW_MS)


def test_the_changelog_gives_the_same_state_again() -> None:
    state = with_delivery()
    state.note_record("delivery-results", 3, NOW_MS)
    add(state, result(1), NOW_MS)
    copy = restored(flush(state))
    assert only(copy) == only(state)
    assert bytes(only(copy).record) == RECORD
    assert [copy.progress_of(topic) for topic in TOPICS] == [7, 3]
    assert list(copy.durable_pending()) == [only(state)]


def test_recovery_is_a_join_whatever_the_order_of_the_records() -> None:
    state, changelog = with_delivery(), []
    changelog += flush(state)
    add(state, result(1), NOW_MS)
    changelog += flush(state)
    add(state, result(2, accepted=True), NOW_MS)
    changelog += flush(state)
    newest = only(state)
    for order in (changelog, changelog[::-1], [*changelog, *changelog[:2]]):
        assert only(restored(order)) == newest
    assert only(restored(changelog[:4][::-1])).attempt == 2


def test_a_state_followed_by_a_stale_record_is_written_again_and_stays_due() -> None:
    state = with_delivery()
    stale = flush(state)
    add(state, result(1), NOW_MS)
    copy = restored([*flush(state), *stale])
    assert [found.attempt for found in copy.durable_pending()] == [2]
    cut = copy.cut()
    assert (cut.changed, dict(cut.repeated)) == ([], {DELIVERY.id: only(state)})
    assert copy.records(cut) == [(DELIVERY.id.encode(), encode_state(only(state)))]
    # If that flush is not acknowledged, the state is written again; else not.
    copy.roll_back()
    copy.confirm(copy.cut())
    assert copy.cut().repeated == []


def test_a_finished_delivery_is_forgotten_after_a_week_of_record_time() -> None:
    state = with_delivery()
    add(state, result(accepted=True), NOW_MS + 1000)
    copy = restored(flush(state))
    # By the hour: the whole hour in which it ended must be a week ago.
    over_ms = (NOW_MS // HOUR_MS + 1) * HOUR_MS + REMEMBER_MS
    for one in (state, copy):
        one.note_record("deliveries", 8, over_ms - 1)
        assert one.cut().changed == []
        one.note_record("deliveries", 9, over_ms)
        cut = one.cut()
        assert cut.changed == [(DELIVERY.id, None)]
        assert one.records(cut) == [(DELIVERY.id.encode(), None)]
        one.roll_back()
        assert only(one).is_finished, "not acknowledged, so it is forgotten once more"
        one.note_record("deliveries", 9, over_ms)
        assert one.cut().changed == [(DELIVERY.id, None)]


def test_a_pending_delivery_is_never_forgotten() -> None:
    state = with_delivery()
    flush(state)
    state.note_record("deliveries", 8, NOW_MS + 10 * REMEMBER_MS)
    assert state.cut().changed == []
    assert list(state.pending) == [DELIVERY.id]


def test_a_tombstone_in_the_changelog_takes_the_state_out() -> None:
    state = with_delivery()
    copy = restored([*flush(state), (DELIVERY.id.encode(), None)])
    assert not copy.states


def disabled(state: PartitionDeliveries) -> Cancel:
    command = state.cancel_command(521, DeadLetterReason.INTEGRATION_DISABLED)
    assert command is not None
    return command


def test_a_command_gives_up_the_pending_deliveries_of_its_integration_and_nothing_else() -> None:
    state = with_delivery()
    other = msgspec.structs.replace(DELIVERY, id="x/7", integration_id=7)
    state.add_delivery(new_state(other, encode_delivery(other), 8, NOW_MS))
    command = disabled(state)
    state.cancel(command, NOW_MS + 5)
    found = state.states[DELIVERY.id]
    assert (found.status, found.reason) == (DeliveryStatus.CANCELLED, "integration_disabled")
    assert list(state.pending) == ["x/7"]
    (transition,) = state.cut().transitions
    assert bytes(transition.before.record) == RECORD, "for the dead letter"
    state.cancel(command, NOW_MS + 6)
    assert state.cut().transitions == [], "the command once more"
    assert state.cancel_command(521, DeadLetterReason.INTEGRATION_DISABLED) is None


def test_a_command_spares_what_is_routed_after_the_integration_was_enabled() -> None:
    state = with_delivery()
    command = disabled(state)
    later = msgspec.structs.replace(DELIVERY, id="y/521", epoch=1)
    state.add_delivery(new_state(later, encode_delivery(later), 8, NOW_MS))
    state.cancel(command, NOW_MS)
    assert list(state.pending) == ["y/521"]


def test_a_deleted_integration_is_forgotten_by_the_judge_too() -> None:
    state = with_delivery()
    add(state, result(1), NOW_MS)
    assert state.judge.totals(521, NOW_MS + 500) == (1, 1)
    state.cancel(Cancel(1111, 521, DeadLetterReason.INTEGRATION_DELETED, 0), NOW_MS)
    assert state.judge.totals(521, NOW_MS + 500) == (0, 0)


def test_a_request_that_was_accepted_after_all_counts_for_a_cancelled_delivery() -> None:
    state = with_delivery()
    state.cancel(disabled(state), NOW_MS)
    assert add(state, result(1, accepted=True), NOW_MS + 9)
    assert (only(state).status, only(state).reason) == (DeliveryStatus.SENT, "")
    assert not state.add_delivery(new_state(DELIVERY, RECORD, 9, NOW_MS, redrives=1)), (
        "it must not page again"
    )


def test_a_delivery_beyond_the_bound_is_given_up_and_the_others_stay() -> None:
    state = PartitionDeliveries(TOPICS, DeliveryRules(max_pending=2))
    for number in range(3):
        one = msgspec.structs.replace(DELIVERY, id=f"{number}/521")
        state.add_delivery(new_state(one, encode_delivery(one), number, NOW_MS))
    assert sorted(state.pending) == ["0/521", "1/521"]
    assert state.states["2/521"].reason == "overflow"
    add(state, msgspec.structs.replace(result(1, accepted=True), delivery_id="0/521"), NOW_MS)
    one = msgspec.structs.replace(DELIVERY, id="3/521")
    state.add_delivery(new_state(one, encode_delivery(one), 9, NOW_MS))
    assert sorted(state.pending) == ["1/521", "3/521"]


def test_a_redriven_delivery_begins_anew_and_ignores_older_results() -> None:
    state = with_delivery()
    state.cancel(disabled(state), NOW_MS)
    assert not state.add_delivery(new_state(DELIVERY, RECORD, 8, NOW_MS))
    assert state.add_delivery(new_state(DELIVERY, RECORD, 9, NOW_MS + 100, redrives=1))
    assert (only(state).attempt, only(state).redrives) == (1, 1)
    assert not add(state, result(1), NOW_MS), "an attempt of before"
    assert not state.add_delivery(new_state(DELIVERY, RECORD, 10, NOW_MS, redrives=1))
    copy = restored(flush(state))
    assert only(copy) == only(state)
    assert add(state, result(1, accepted=True, redrives=1), NOW_MS)
    assert only(state).status is DeliveryStatus.SENT


def test_a_redriven_delivery_has_the_epoch_of_its_redrive_and_obeys_no_command_from_before() -> (
    None
):
    state = with_delivery()
    old = disabled(state)
    state.cancel(old, NOW_MS)
    assert state.add_delivery(new_state(DELIVERY, RECORD, 9, NOW_MS, redrives=1, epoch=7))
    state.cancel(old, NOW_MS + 1)
    assert (only(state).status, only(state).epoch) == (DeliveryStatus.PENDING, 7)
    state.cancel(disabled(state), NOW_MS + 2)
    assert only(state).status is DeliveryStatus.CANCELLED


def test_an_epoch_from_before_the_routing_changes_nothing() -> None:
    state = partition()
    routed = msgspec.structs.replace(DELIVERY, epoch=9)
    assert state.add_delivery(
        new_state(routed, encode_delivery(routed), 7, NOW_MS, redrives=1, epoch=7)
    )
    assert only(state).epoch == 9


def test_a_request_that_is_accepted_after_the_redrive_is_not_made_again() -> None:
    state = with_delivery()
    state.cancel(disabled(state), NOW_MS)
    state.add_delivery(new_state(DELIVERY, RECORD, 9, NOW_MS, redrives=1))
    assert add(state, result(1, accepted=True), NOW_MS + 1), "it was in flight all the time"
    assert (only(state).status, state.pending) == (DeliveryStatus.SENT, {})
    assert not add(state, result(1, accepted=True), NOW_MS + 2)
    assert only(restored(flush(state))) == only(state)


def test_a_429_pauses_the_integration_also_after_a_restart() -> None:
    state = with_delivery()
    add(state, result(1, status=429, retry_after_seconds=90.0), NOW_MS)
    until_ms = NOW_MS + 90_000
    assert state.pauses.until_ms == {521: until_ms}
    add(state, result(2, status=429, retry_after_seconds=0.0), NOW_MS)
    assert state.pauses.until_ms == {521: until_ms}, "the longer one holds"
    copy = restored(flush(state))
    assert copy.pauses.until_ms == {521: until_ms}
    assert only(copy) == only(state)
    add(copy, result(3, status=429), NOW_MS)
    copy.roll_back()
    assert copy.pauses.until_ms == {521: until_ms}
    copy.note_record("delivery-results", 99, until_ms)
    written = dict(flush(copy))
    assert written[b"pause|521"] is None
    assert copy.pauses.until_ms == {}


@pytest.mark.parametrize("reason", ["local_error", "proxy_error"])
def test_a_fault_of_our_own_side_is_no_attempt_and_counts_against_nobody(reason: str) -> None:
    state = with_delivery()
    for number in range(50):
        fault = result(1, finished_at_ms=NOW_MS + number, is_sent=False)
        assert add(state, msgspec.structs.replace(fault, reason=reason), NOW_MS + number)
    assert (only(state).attempt, only(state).due_ms) == (1, NOW_MS + 49 + 10_000)
    assert state.judge.totals(521, NOW_MS) == (0, 0)
    assert only(restored(flush(state))) == only(state)
    for attempt in range(1, LAST_ATTEMPT + 1):
        assert not only(state).is_finished
        add(state, result(attempt), NOW_MS)
    assert only(state).status is DeliveryStatus.GIVEN_UP


def test_a_delivery_waits_for_our_own_side_until_its_alert_is_too_old() -> None:
    state = with_delivery()
    fault = msgspec.structs.replace(result(1, is_sent=False), reason="local_error")
    six_hours_ms = 6 * 3_600_000
    add(state, fault, NOW_MS + six_hours_ms)
    assert not only(state).is_finished
    add(state, fault, NOW_MS + six_hours_ms + 1)
    assert (only(state).status, only(state).reason) == (DeliveryStatus.GIVEN_UP, "stale")


@pytest.mark.parametrize(("asked", "paused_ms"), [(1e308, 3_600_000), (-1e308, 0)])
def test_a_record_may_ask_for_a_pause_of_any_length(asked: float, paused_ms: int) -> None:
    state = with_delivery()
    add(state, result(1, status=429, retry_after_seconds=asked), NOW_MS + 9_000)
    assert state.pauses.until_ms == {521: NOW_MS + paused_ms}


def test_a_pause_has_a_bound_and_ends_with_its_integration_and_its_target() -> None:
    state = with_delivery()
    found = result(1, status=429, retry_after_seconds=1e9, finished_at_ms=4 * NOW_MS)
    add(state, found, NOW_MS)
    assert state.pauses.until_ms == {521: NOW_MS + 3_600_000}
    state.cancel(Cancel(1111, 521, DeadLetterReason.INTEGRATION_DELETED, 0), NOW_MS)
    assert state.pauses.until_ms == {}
    state.add_result(result(1, status=429), next(OFFSETS), NOW_MS, is_judged=False)
    assert state.pauses.until_ms == {}, "of another target than the one it has now"


def test_a_429_that_asks_for_nothing_pauses_for_a_minute() -> None:
    state = with_delivery()
    add(state, result(1, status=429), NOW_MS)
    assert state.pauses.until_ms == {521: NOW_MS + 60_000}
    add(state, result(2, status=503), NOW_MS + 90_000)
    assert state.pauses.until_ms == {521: NOW_MS + 60_000}


@pytest.mark.parametrize("delivery_id", ["progress", "judge|521", "pause|x"])
def test_ids_that_look_like_other_changelog_keys_are_reserved(delivery_id: str) -> None:
    assert is_reserved(delivery_id)
    assert not is_reserved(DELIVERY.id)


def test_the_judge_counts_a_request_once_and_survives_the_changelog() -> None:
    state = with_delivery()
    add(state, result(1), NOW_MS)
    add(state, result(1, is_sent=False), NOW_MS)
    copy = restored(flush(state))
    assert copy.judge.totals(521, NOW_MS + 500) == (1, 1)
    add(copy, result(2), NOW_MS)
    copy.roll_back()
    assert copy.judge.totals(521, NOW_MS + 500) == (1, 1)


def test_a_deleted_integration_without_deliveries_is_still_forgotten() -> None:
    state = with_delivery()
    add(state, result(1, accepted=True), NOW_MS)
    assert state.cancel_command(521, DeadLetterReason.INTEGRATION_DISABLED) is None
    command = state.cancel_command(521, DeadLetterReason.INTEGRATION_DELETED)
    assert command == Cancel(1111, 521, DeadLetterReason.INTEGRATION_DELETED, 0)
    assert state.known_integrations == {521}
    state.cancel(command, NOW_MS)
    assert state.known_integrations == set()


def test_a_total_outage_of_five_minutes_at_ten_alerts_a_second_loses_and_disables_nothing() -> None:
    """Each delivery is tried on its schedule; from the end of the outage on it is accepted."""
    state, up_ms = partition(), NOW_MS + 300_000
    due: list[tuple[int, str, int]] = []
    for number in range(3000):
        one = msgspec.structs.replace(DELIVERY, id=f"{number:04}/521")
        at_ms = NOW_MS + number * 100
        due.append((at_ms, one.id, 1))
    heapq.heapify(due)
    requests = 0
    while due:
        at_ms, delivery_id, attempt = heapq.heappop(due)
        if attempt == 1:
            one = msgspec.structs.replace(DELIVERY, id=delivery_id)
            state.add_delivery(new_state(one, encode_delivery(one), requests, at_ms))
        requests += 1
        found = result(attempt, accepted=at_ms >= up_ms, finished_at_ms=at_ms)
        assert add(state, msgspec.structs.replace(found, delivery_id=delivery_id), at_ms)
        if after := state.pending.get(delivery_id):
            heapq.heappush(due, (after.due_ms, delivery_id, after.attempt))
    cut = state.cut()
    assert cut.verdicts == []
    assert {found.status for found in state.states.values()} == {DeliveryStatus.SENT}
    assert len(state.states) == 3000
    total, failed = state.judge.totals(521, up_ms + 3_600_000)
    assert total == requests
    assert failed / total > 0.6, "the share alone would have disabled it"
