"""Notes and closes of episodes: when they wait, are due, and are skipped, whatever crashes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import pytest

from stream_app.domain.delivery.auto_disable import JudgeRules
from stream_app.domain.delivery.partition_deliveries import DeliveryRules, PartitionDeliveries
from stream_app.domain.delivery.records import (
    Cancel,
    Delivery,
    Folded,
    Result,
    ServiceAction,
    close_of,
    encode_delivery,
)
from stream_app.domain.delivery.state import DeliveryState, DeliveryStatus
from stream_app.domain.delivery.transitions import new_state
from stream_app.domain.episodes.open_alert import REMEMBER_CLOSED_MS, REMEMBER_MS, OpenAlert
from stream_app.domain.episodes.reference import EpisodeReference
from stream_app.domain.errors import DeadLetterReason
from stream_app.domain.times import HOUR_MS

TOPICS = ("deliveries", "delivery-results")
NOW_MS = 1_767_225_600_000
NOW = NOW_MS // 1000
#: Nothing is disabled: its deliveries would be cancelled.
NEVER = JudgeRules(on="never")
ALIAS = "stream-app:1111:episode:0123456789abcdef0123456789abcdef"
PENDING, WAITING = DeliveryStatus.PENDING, DeliveryStatus.WAITING
SENT, SKIPPED = DeliveryStatus.SENT, DeliveryStatus.SKIPPED
Changelog = list[tuple[bytes, bytes | None]]


def reference(window: int, close_after: int = 300, alias: str = ALIAS) -> EpisodeReference:
    """Return one second's window, counted from NOW."""
    return EpisodeReference(alias, 61, "r1", NOW + window, NOW + window + 1, close_after)


def create(window: int, close_after: int = 300) -> Delivery:
    alert_id = f"stream-app:1111:x:{window:032x}"
    episode = reference(window, close_after)
    return Delivery(f"{alert_id}/521", alert_id, 1111, 521, "m", "d", {}, episode=episode)


def note(window: int) -> Delivery:
    told = create(window)
    return msgspec.structs.replace(
        told,
        id=f"{told.alert_id}:note/521",
        message="",
        action=ServiceAction.NOTE,
        after=told.id,
        note="37 more windows",
    )


def folded(window: int) -> Folded:
    told = create(window)
    return Folded(told.id, told.alert_id, 1111, 521, reference(window))


class Record(NamedTuple):
    topic: str
    offset: int
    at_ms: int
    value: Any


class Log:
    """The two topics of a partition, and the partition that reads them."""

    def __init__(self, **rules: Any) -> None:
        self.rules = DeliveryRules(**rules)
        self.state = PartitionDeliveries(TOPICS, self.rules)
        self.records: list[Record] = []
        self.now_ms = NOW_MS

    def append(self, value: Any) -> Record:
        topic = TOPICS[0] if isinstance(value, Delivery) else TOPICS[1]
        offset = sum(record.topic == topic for record in self.records)
        self.now_ms += 1000
        record = Record(topic, offset, self.now_ms, value)
        self.records.append(record)
        return record

    def take(self, *values: Any) -> None:
        for value in values:
            read(self.state, self.append(value))

    def answer(self, delivery_id: str, *, accepted: bool = True, **fields: Any) -> None:
        self.take(self.result(delivery_id, accepted=accepted, **fields))

    def result(self, delivery_id: str, *, accepted: bool = True, **fields: Any) -> Result:
        """Return the result of the attempt that is due."""
        known = self.state.states[delivery_id]
        state = known if isinstance(known, DeliveryState) else None
        action = ServiceAction.CREATE if state is None else state.action
        alias = ALIAS if state is None else state.alias
        made: dict[str, Any] = {
            "integration_type": "opsgenie",
            "reason": "accepted" if accepted else "server_error",
            "request_id": f"request of {delivery_id}",
            "redrives": known.redrives,
            "action": msgspec.UNSET if action is ServiceAction.CREATE else action,
            "alias": alias or msgspec.UNSET,
        }
        return Result(
            delivery_id=delivery_id,
            client_id=1111,
            integration_id=521,
            attempt=known.attempt,
            accepted=accepted,
            message="",
            finished_at_ms=self.now_ms,
            duration_seconds=0.1,
            **{**made, **fields},
        )

    def status(self, delivery: Delivery | str) -> DeliveryStatus:
        name = delivery if isinstance(delivery, str) else delivery.id
        return self.state.states[name].status

    @property
    def alert(self) -> OpenAlert:
        return self.state.opened.values[ALIAS]

    def close(self) -> Delivery:
        """Write the close of the alert as it is now."""
        found = close_of(self.alert)
        self.take(found)
        return found


def read(state: PartitionDeliveries, record: Record) -> None:
    """Take a record as `deliver` does."""
    if not state.note_record(record.topic, record.offset, record.at_ms):
        return
    value, at_ms = record.value, record.at_ms
    if isinstance(value, Delivery):
        state.add_create(value, record.offset, at_ms)
        body = encode_delivery(value)
        state.add_delivery(new_state(value, body, record.offset, at_ms))
    elif isinstance(value, Folded):
        state.add_folded(value, at_ms)
    elif isinstance(value, Cancel):
        state.cancel(value, at_ms)
    else:
        state.add_result(value, record.offset, at_ms)


def written(state: PartitionDeliveries) -> Changelog:
    cut = state.cut()
    changelog = [*state.records(cut), state.progress_record(cut)]
    state.confirm(cut)
    return changelog


@pytest.mark.parametrize(
    ("ends", "then"),
    [(SENT, PENDING), (DeliveryStatus.DRY_RUN, PENDING), (DeliveryStatus.GIVEN_UP, SKIPPED)],
)
def test_a_note_waits_until_its_alert_is_accepted(ends: DeliveryStatus, then: str) -> None:
    log = Log()
    log.take(create(0), note(0))
    assert (log.status(create(0)), log.status(note(0))) == (PENDING, WAITING)
    if ends is DeliveryStatus.GIVEN_UP:
        for _ in range(16):
            log.answer(create(0).id, accepted=False)
        assert log.status(note(0)) is WAITING
    reason = {"reason": "dry_run", "is_sent": False} if ends is DeliveryStatus.DRY_RUN else {}
    log.answer(create(0).id, accepted=ends is SENT, **reason)
    assert (log.status(create(0)), log.status(note(0))) == (ends, then)
    if then is PENDING:
        released = log.state.pending[note(0).id]
        assert (released.attempt, released.due_ms, released.released_ms) == (1, *[log.now_ms] * 2)
        assert released.pending_since_ms == log.now_ms
        log.answer(note(0).id)
        assert log.status(note(0)) is SENT


def test_what_is_skipped_is_no_dead_letter_and_says_why() -> None:
    log = Log()
    log.take(note(0))
    (transition,) = log.state.cut().transitions
    assert (transition.after.status, transition.after.reason) == (SKIPPED, "not_accepted")


def test_a_note_after_an_accepted_alert_is_due_at_once() -> None:
    log = Log()
    log.take(create(0))
    log.answer(create(0).id)
    log.take(note(0))
    assert log.status(note(0)) is PENDING


def test_waiting_deliveries_count_in_the_bound_and_are_cancelled_with_what_they_wait_for() -> None:
    log = Log(max_pending=2)
    log.take(create(0), note(0), create(1))
    assert log.status(create(1)) is DeliveryStatus.CANCELLED
    log.take(Cancel(1111, 521, DeadLetterReason.INTEGRATION_DISABLED, 0))
    assert [log.status(one) for one in (create(0), note(0))] == [DeliveryStatus.CANCELLED] * 2
    assert {log.state.states[one.id].reason for one in (create(0), note(0))} == {
        "integration_disabled"
    }


def test_what_waits_becomes_a_dead_letter_after_what_it_waits_for_and_comes_back_with_it() -> None:
    log = Log()
    log.take(create(0), note(0))
    log.take(Cancel(1111, 521, DeadLetterReason.INTEGRATION_DISABLED, 0))
    letters = [transition.before for transition in log.state.cut().transitions]
    assert [letter.id for letter in letters] == [create(0).id, note(0).id]
    for letter in letters:
        record = log.append(one := create(0) if letter.id == create(0).id else note(0))
        log.state.add_delivery(
            new_state(one, bytes(letter.record), record.offset, log.now_ms, redrives=1)
        )
    assert (log.status(create(0)), log.status(note(0))) == (PENDING, WAITING)
    log.answer(create(0).id)
    assert log.status(note(0)) is PENDING


def test_only_what_waits_for_nothing_is_to_be_sent() -> None:
    log = Log()
    log.take(create(0), note(0))
    written(log.state)
    assert [state.id for state in log.state.durable_pending()] == [create(0).id]


def test_an_integration_that_closes_nothing_has_no_open_alert() -> None:
    log = Log()
    log.take(create(0, close_after=0), msgspec.structs.replace(create(1), episode=None))
    assert (dict(log.state.opened.values), log.state.cut().opened) == ({}, [])
    assert {state.alias for state in log.state.pending.values()} == {""}


def test_an_open_alert_knows_its_windows_and_its_last_accepted_request() -> None:
    log = Log()
    log.take(create(0), create(5))
    assert (log.alert.begin, log.alert.last_window_end) == (NOW, NOW + 6)
    assert (log.alert.created_offset, log.alert.is_accepted, log.alert.is_closed) == (
        1,
        False,
        False,
    )
    log.answer(create(5).id)
    log.answer(create(0).id, request_id="later")
    log.take(folded(9), folded(3))
    assert (log.alert.last_window_end, log.alert.request_id) == (NOW + 10, "later")
    assert (log.alert.seen_ms, log.alert.created_offset) == (log.now_ms, 1)


def test_a_close_waits_for_pending_creates_and_is_due_when_one_was_accepted() -> None:
    log = Log()
    log.take(create(0), create(5))
    log.answer(create(0).id)
    close = log.close()
    assert log.status(close) is WAITING
    log.answer(create(5).id, accepted=False)
    assert log.status(close) is WAITING
    log.answer(create(5).id)
    state = log.state.pending[close.id]
    assert (state.status, state.due_ms, state.request_id) == (
        PENDING,
        log.now_ms,
        f"request of {create(5).id}",
    )
    assert not log.alert.is_closed
    log.answer(close.id)
    assert (log.status(close), log.alert.is_closed) == (SENT, True)


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"integration_type": "jsm"}, 30),
        ({"request_id": None}, 30),
    ],
)
def test_a_close_is_due_half_a_minute_later_where_the_service_tells_no_states(
    fields: dict[str, Any], seconds: int
) -> None:
    log = Log()
    log.take(create(0))
    log.answer(create(0).id, **fields)
    accepted_ms = log.now_ms
    state = log.state.pending[log.close().id]
    assert (state.due_ms, state.failed_ms) == (accepted_ms + seconds * 1000, accepted_ms)
    assert state.request_id == ""
    log.now_ms += 60_000
    log.take(create(9))
    log.answer(create(9).id, **fields)
    log.now_ms += 60_000
    state = log.state.pending[log.close().id]
    assert (state.due_ms, state.failed_ms) == (log.now_ms, 0)


def test_nothing_is_closed_that_was_never_accepted() -> None:
    log = Log()
    log.take(create(0))
    close = log.close()
    for _ in range(17):
        log.answer(create(0).id, accepted=False)
    assert (log.status(close), log.state.states[close.id].reason) == (SKIPPED, "not_accepted")
    assert log.alert.is_closed  # nobody asks for it again
    orphan = msgspec.structs.replace(close, id="other", episode=reference(0, alias="other"))
    log.take(orphan)
    assert log.status("other") is SKIPPED


@pytest.mark.parametrize("later", [create(9), folded(9), create(-3)])
@pytest.mark.parametrize("failures", [0, 3])
def test_a_close_is_skipped_when_a_further_window_comes_even_while_it_is_resent(
    later: Delivery | Folded, failures: int
) -> None:
    log = Log()
    log.take(create(0))
    log.answer(create(0).id)
    close = log.close()
    for _ in range(failures):
        log.answer(close.id, accepted=False)
    assert log.status(close) is PENDING
    log.take(later)
    assert (log.status(close), log.state.states[close.id].reason) == (SKIPPED, "superseded")
    assert not log.alert.is_closed
    if isinstance(later, Delivery):
        log.answer(later.id)
    again = log.close()
    assert again.id != close.id
    log.answer(again.id)
    assert (log.status(again), log.alert.is_closed) == (SENT, True)


def test_a_late_window_that_is_only_folded_does_not_keep_an_alert_open() -> None:
    log = Log()
    log.take(create(0))
    log.answer(create(0).id)
    close = log.close()
    log.take(folded(-3))
    assert log.status(close) is PENDING


def test_a_create_after_the_close_opens_the_alert_again_and_it_is_closed_once_more() -> None:
    log = Log()
    log.take(create(0))
    log.answer(create(0).id)
    first = log.close()
    log.answer(first.id)
    log.take(folded(1))
    assert log.alert.is_closed  # nothing has opened it
    log.take(create(-5))
    assert not log.alert.is_closed
    log.answer(create(-5).id)
    second = log.close()
    assert second.id != first.id
    log.answer(second.id)
    assert log.alert.is_closed


def test_an_accepted_close_that_was_skipped_meanwhile_counts_for_its_own_windows_only() -> None:
    log = Log()
    log.take(create(0))
    log.answer(create(0).id)
    close = log.close()
    in_flight = log.result(close.id)
    log.take(create(9), in_flight)
    assert (log.status(close), log.alert.is_closed) == (SENT, False)


def test_a_close_that_is_a_dead_letter_is_not_asked_for_again_and_can_be_redriven() -> None:
    log = Log()
    log.take(create(0))
    log.answer(create(0).id)
    close = log.close()
    for _ in range(17):
        log.answer(close.id, accepted=False)
    assert (log.status(close), log.alert.is_closed) == (DeliveryStatus.GIVEN_UP, True)
    record = log.append(close)
    state = new_state(close, encode_delivery(close), record.offset, log.now_ms, redrives=1)
    assert log.state.add_delivery(state)
    assert log.status(close) is PENDING


def test_a_redriven_note_is_sent_even_if_its_alert_is_forgotten() -> None:
    log = Log()
    state = new_state(note(0), encode_delivery(note(0)), 7, NOW_MS, redrives=1)
    assert log.state.add_delivery(state)
    assert log.status(note(0)) is PENDING


def test_a_service_that_has_not_processed_the_alert_fails_nothing_and_is_asked_again() -> None:
    log = Log(max_alert_age_ms=60_000)
    log.take(create(0))
    log.answer(create(0).id)
    close = log.close()
    not_yet = {"reason": "not_processed", "is_sent": False, "status": None}
    log.answer(close.id, accepted=False, **not_yet)
    state = log.state.pending[close.id]
    assert (state.attempt, state.due_ms - state.failed_ms) == (1, 10_000)
    assert log.state.judge.totals(521, log.now_ms) == (1, 0)
    log.now_ms += 70_000
    log.answer(close.id, accepted=False, **not_yet)
    assert (log.status(close), log.state.states[close.id].reason) == (
        DeliveryStatus.GIVEN_UP,
        "stale",
    )


def test_the_alerts_of_a_deleted_integration_and_of_a_month_ago_are_forgotten() -> None:
    log = Log()
    log.take(create(0))
    changelog = written(log.state)
    log.state.now_ms += REMEMBER_MS + HOUR_MS
    changelog += written(log.state)
    assert ALIAS not in log.state.opened.values
    assert dict(restored(changelog).opened.values) == {}
    log = Log()
    log.take(create(0), Cancel(1111, 521, DeadLetterReason.INTEGRATION_DELETED, 0))
    assert dict(log.state.opened.values) == {}


def test_a_closed_alert_is_forgotten_after_some_days_and_an_open_one_is_not() -> None:
    for is_closed in (False, True):
        log = Log()
        log.take(create(0))
        log.answer(create(0).id)
        close = log.close()
        if is_closed:
            log.answer(close.id)
        log.state.now_ms += REMEMBER_CLOSED_MS + HOUR_MS
        written(log.state)
        assert (ALIAS not in log.state.opened.values) is is_closed


def test_a_redriven_close_is_sent_even_if_its_alert_is_forgotten() -> None:
    log = Log()
    log.take(create(0))
    close = close_of(log.alert)
    log = Log()
    assert log.state.add_delivery(new_state(close, encode_delivery(close), 7, NOW_MS))
    assert log.status(close) is SKIPPED
    assert log.state.add_delivery(new_state(close, encode_delivery(close), 8, NOW_MS, redrives=1))
    assert log.status(close) is PENDING


def restored(changelog: Changelog, **rules: Any) -> PartitionDeliveries:
    state = PartitionDeliveries(TOPICS, DeliveryRules(**rules))
    for key, value in changelog:
        state.restore(key, value)
    state.restored()
    return state


def replayed(records: Sequence[Record], cut: int, torn: int) -> PartitionDeliveries:
    """Read records with a flush before one of them, and a crash in the last flush.

    Of that one only `torn` records were written.
    """
    state, changelog = PartitionDeliveries(TOPICS, DeliveryRules(judge=NEVER)), Changelog()
    for index, record in enumerate(records):
        if index == cut:
            changelog += written(state)
        read(state, record)
    changelog += state.records(state.cut())[:torn]
    again = restored(changelog, judge=NEVER)
    for record in records:
        if record.offset > again.progress_of(record.topic):
            read(again, record)
    return again


def known(state: PartitionDeliveries) -> dict[str, Any]:
    """Return what is known, but for times that depend on which topic was read first."""
    ends = {name: found.status for name, found in state.states.items()}
    return ends | {
        name: (alert.order, alert.is_closed) for name, alert in state.opened.values.items()
    }


def told() -> Log:
    """Return a log with a note, folded windows, two closes of which one is superseded, and more."""
    log = Log(judge=NEVER)
    log.take(create(0), note(0), create(1), note(1))
    log.answer(create(0).id)
    for _ in range(17):
        log.answer(create(1).id, accepted=False)
    log.answer(note(0).id)
    log.close()
    log.take(folded(2), create(3), note(3))
    close = log.close()
    log.answer(create(3).id)
    log.answer(note(3).id)
    log.answer(close.id, accepted=False)
    log.answer(close.id)
    log.take(folded(4), create(-1), note(-1))
    log.answer(create(-1).id)
    log.answer(log.close().id)
    return log


@pytest.mark.parametrize("end", range(1, 39))
def test_whatever_a_crash_loses_the_same_records_end_alike(end: int) -> None:
    log = told()
    before = PartitionDeliveries(TOPICS, DeliveryRules(judge=NEVER))
    for record in log.records[:end]:
        read(before, record)
    for cut in range(max(end - 4, 0), end):
        for torn in range(9):
            assert known(replayed(log.records[:end], cut, torn)) == known(before), (cut, torn)
    if end == len(log.records):
        assert known(before) == known(log.state)


def test_the_log_of_the_crashes_has_each_of_its_records_once() -> None:
    assert len(told().records) == 38
