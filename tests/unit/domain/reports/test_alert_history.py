"""The history of an alert follows from its records, in whatever order they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import msgspec
import pytest

from stream_app.domain.dead_letters.dead_letter import Place
from stream_app.domain.delivery.reasons import SkipReason
from stream_app.domain.delivery.records import (
    Delivery,
    Folded,
    Result,
    ServiceAction,
    Skipped,
    close_of,
    delivery_id,
    note_id,
)
from stream_app.domain.delivery.retry_schedule import LAST_ATTEMPT
from stream_app.domain.delivery.state import DeliveryStatus
from stream_app.domain.episodes.open_alert import OpenAlert
from stream_app.domain.episodes.reference import EpisodeReference
from stream_app.domain.errors import StreamAppError, UsageError
from stream_app.domain.reports.alert_history import (
    AlertHistories,
    AlertHistory,
    AlertState,
    find_alert,
    is_named_by,
)
from stream_app.domain.reports.delivery_history import DeadLetterNote, DeliveryHistory
from tests.unit.domain.alerts.test_alert import fired

ALERT = fired()
NAME = delivery_id(ALERT.id, 521)
DELIVERY = Delivery(NAME, ALERT.id, 1, 521, "Title", "Text", {})
FAILED = Result(NAME, 1, 521, "opsgenie", 1, False, "server_error", "HTTP 500", 10_000, 0.1, 500)
ACCEPTED = msgspec.structs.replace(
    FAILED, attempt=2, accepted=True, reason="accepted", finished_at_ms=11_500, status=202
)
DRY_RUN = msgspec.structs.replace(FAILED, reason="dry_run", status=None, is_sent=False)
LETTER = DeadLetterNote(Place("deliveries.dlq", 0, 3), 12_000, "exhausted")


def history(*results: Result, letters: tuple[DeadLetterNote, ...] = ()) -> DeliveryHistory:
    return DeliveryHistory(NAME, 521, DELIVERY, 9_000, 0, list(results), [], list(letters))


def test_a_delivery_that_was_not_tried_is_due_when_it_was_made() -> None:
    assert history().status is DeliveryStatus.PENDING
    assert history().due_ms(1) == 9_000


def test_after_a_failure_the_next_attempt_is_due_by_the_documented_cycle() -> None:
    assert history(FAILED).due_ms(1) == 10_000 + 1_000
    assert history(FAILED).reason == "server_error"
    asked = msgspec.structs.replace(FAILED, retry_after_seconds=60)
    assert history(asked).due_ms(1) == 10_000 + 60_000


def test_an_accepted_delivery_is_sent_and_nothing_is_due() -> None:
    sent = history(ACCEPTED, FAILED, FAILED)
    assert [attempt.attempt for attempt in sent.ordered_attempts] == [1, 2]
    assert (sent.status, sent.due_ms(1), sent.reason) == (DeliveryStatus.SENT, None, "")


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("exhausted", DeliveryStatus.GIVEN_UP),
        ("overflow", DeliveryStatus.CANCELLED),
        ("integration_disabled", DeliveryStatus.CANCELLED),
    ],
)
def test_a_dead_letter_ends_it_until_it_is_redriven(reason: str, status: DeliveryStatus) -> None:
    letter = replace(LETTER, reason=reason)
    assert (history(letters=(letter,)).status, history(letters=(letter,)).reason) == (
        status,
        reason,
    )
    redriven = replace(letter, redriven_to="deliveries/0/9")
    assert history(letters=(redriven,)).status is DeliveryStatus.PENDING


def test_the_last_attempt_gives_it_up_even_before_its_dead_letter_is_read() -> None:
    last = msgspec.structs.replace(FAILED, attempt=LAST_ATTEMPT)
    assert history(last).status is DeliveryStatus.GIVEN_UP
    assert history(last).due_ms(1) is None


def test_a_dry_run_ends_a_delivery_with_its_one_record() -> None:
    found = history(DRY_RUN)
    assert (found.status, found.due_ms(1), found.reason) == (DeliveryStatus.DRY_RUN, None, "")


def test_a_fault_of_our_own_side_counts_as_no_attempt() -> None:
    own = msgspec.structs.replace(
        FAILED, attempt=LAST_ATTEMPT, reason="local_error", status=None, is_sent=False
    )
    found = history(own, own)
    assert (found.status, found.due_ms(1)) == (DeliveryStatus.PENDING, 20_000)
    assert found.next_attempt == LAST_ATTEMPT
    assert history(FAILED).next_attempt == 2
    assert history().next_attempt == 1


def test_after_a_redrive_only_its_own_attempts_say_what_is_due() -> None:
    histories = AlertHistories()
    histories.add_alert(ALERT, 8_000)
    histories.add_delivery(DELIVERY, 9_000, 0)
    histories.add_result(msgspec.structs.replace(FAILED, attempt=LAST_ATTEMPT))
    histories.add_dead_letter(
        (NAME,), replace(LETTER, redriven_to="deliveries/0/9"), is_alert=False
    )
    histories.add_delivery(DELIVERY, 20_000, 1)
    found = histories.by_id[ALERT.id].deliveries[521]
    assert (found.status, found.due_ms(1)) == (DeliveryStatus.PENDING, 20_000)
    histories.add_result(msgspec.structs.replace(FAILED, redrives=1, finished_at_ms=21_000))
    assert found.due_ms(1) == 22_000


def test_the_order_of_the_records_does_not_matter() -> None:
    steps: list[Callable[[AlertHistories], None]] = [
        lambda s: s.add_delivery(DELIVERY, 9_000, 0),
        lambda s: s.add_result(FAILED),
        lambda s: s.add_result(ACCEPTED),
        lambda s: s.add_dead_letter((NAME,), LETTER, is_alert=False),
    ]
    found = set()
    for order in permutations(steps):
        histories = AlertHistories()
        histories.add_alert(ALERT, 8_000)
        for step in order:
            step(histories)
        one = histories.by_id[ALERT.id].deliveries[521]
        found.add((one.status, one.appended_ms, tuple(a.attempt for a in one.ordered_attempts)))
    assert found == {(DeliveryStatus.SENT, 9_000, (1, 2))}


def test_the_state_of_an_alert_is_that_of_its_worst_delivery() -> None:
    histories = AlertHistories()
    histories.add_alert(ALERT, 8_000)
    alert = histories.by_id[ALERT.id]
    states = [alert.state]
    for number, delivery in enumerate(
        (history(ACCEPTED), history(DRY_RUN), history(FAILED), history(letters=(LETTER,)))
    ):
        alert.deliveries[number] = delivery
        states.append(alert.state)
    assert states == [
        AlertState.NO_DELIVERY,
        AlertState.SENT,
        AlertState.DRY_RUN,
        AlertState.PENDING,
        AlertState.FAILED,
    ]


def test_a_stale_alert_is_failed_until_it_is_redriven() -> None:
    histories = AlertHistories()
    histories.add_alert(ALERT, 8_000)
    stale = DeadLetterNote(Place("alerts.dlq", 0, 1), 9_000, "stale", None, (521, 522))
    ids = (NAME, delivery_id(ALERT.id, 522))
    histories.add_dead_letter(ids, stale, is_alert=True)
    alert = histories.by_id[ALERT.id]
    assert (alert.state, alert.dead_letters) == (AlertState.FAILED, [stale])
    assert alert.without_delivery == [n for n in ALERT.integration_ids if n not in {521, 522}]
    alert.dead_letters[0] = replace(stale, redriven_to="alerts/0/4")
    assert alert.state is AlertState.NO_DELIVERY


@pytest.mark.parametrize("number", ["9" * 5000, "٥٢١", "", "-521", "521/"])
def test_a_dead_letter_of_no_delivery_s_id_belongs_to_no_alert(number: str) -> None:
    histories = AlertHistories()
    histories.add_alert(ALERT, 8_000)
    histories.add_dead_letter((f"{ALERT.id}/{number}",), LETTER, is_alert=False)
    assert not histories.by_id[ALERT.id].deliveries


def test_what_was_dismissed_is_not_failed_any_more() -> None:
    dismissed = replace(LETTER, is_dismissed=True)
    alert = AlertHistory(ALERT, 8_000)
    alert.deliveries = {521: history(ACCEPTED), 522: history(letters=(dismissed,))}
    states = [alert.state]
    for number, another in ((523, history(FAILED)), (524, history(letters=(LETTER,)))):
        alert.deliveries[number] = another
        states.append(alert.state)
    assert states == [AlertState.DISMISSED, AlertState.PENDING, AlertState.FAILED]


def test_a_delivery_that_was_accepted_after_all_is_sent_in_spite_of_its_dead_letter() -> None:
    alert = AlertHistory(ALERT, 8_000, deliveries={521: history(ACCEPTED, letters=(LETTER,))})
    assert alert.state is AlertState.SENT


def test_records_of_other_alerts_are_passed_over() -> None:
    histories = AlertHistories()
    histories.add_alert(ALERT, 8_000)
    histories.add_alert(ALERT, 7_000)
    other = msgspec.structs.replace(FAILED, delivery_id="stream-app:9:x:00/521")
    histories.add_result(other)
    histories.add_result(msgspec.structs.replace(FAILED, delivery_id=f"{ALERT.id}/9"))
    alert = histories.by_id[ALERT.id]
    assert (alert.deliveries, alert.records, alert.fired_ms) == ({}, 2, 7_000)


def test_an_alert_is_named_by_a_beginning_of_its_id_or_of_its_hash() -> None:
    digest = ALERT.id.rpartition(":")[2]
    histories = AlertHistories()
    histories.add_alert(ALERT, 8_000)
    for text in (ALERT.id, ALERT.id[:-3], digest, digest[:6]):
        assert is_named_by(ALERT.id, text)
        assert find_alert(histories, text).alert is ALERT
    assert not is_named_by(ALERT.id, digest[1:])


def test_a_whole_id_means_itself_though_another_begins_with_it() -> None:
    histories = AlertHistories()
    for end in ("", "0", "1"):
        histories.add_alert(msgspec.structs.replace(ALERT, id=f"{ALERT.id}{end}"), 8_000)
    assert find_alert(histories, ALERT.id).alert.id == ALERT.id
    with pytest.raises(UsageError, match="names 3 alerts, give more of the id"):
        find_alert(histories, ALERT.id[:-1])
    with pytest.raises(StreamAppError, match="no alert is named nobody: `stream-app alerts list`"):
        find_alert(histories, "nobody")


ALIAS = "stream-app:1111:episode:0123456789abcdef0123456789abcdef"
LATER = fired(ALERT.window_end)


def reference(start: int) -> EpisodeReference:
    return EpisodeReference(ALIAS, 61, "r1", start, start + 1, 300)


def test_notes_closes_and_folded_windows_belong_to_their_alerts_in_any_order() -> None:
    told = msgspec.structs.replace(DELIVERY, episode=reference(0))
    note = msgspec.structs.replace(
        told, id=note_id(ALERT.id, 521), action=ServiceAction.NOTE, after=NAME, note="37 more"
    )
    later = msgspec.structs.replace(
        told, id=delivery_id(LATER.id, 522), alert_id=LATER.id, integration_id=522
    )
    close = close_of(
        OpenAlert(ALIAS, 1, 61, "r1", 521, 0, 90, 1, 300, alert_id=LATER.id, created_offset=7)
    )
    again = msgspec.structs.replace(told, alert_id="another", episode=reference(80))
    accepted = msgspec.structs.replace(ACCEPTED, delivery_id=note.id, attempt=1)
    steps: list[Callable[[AlertHistories], None]] = [
        lambda s: s.add_delivery(note, 9_000, 0),
        lambda s: s.add_result(accepted),
        lambda s: s.add_delivery(close, 9_500, 0),
        lambda s: s.add_result(Skipped(close.id, 1, 521, SkipReason.SUPERSEDED)),
        lambda s: s.add_result(Folded(later.id, LATER.id, 1, 522, reference(60))),
        lambda s: s.add_delivery(again, 9_900, 0),
    ]
    found = set()
    for order in permutations([lambda s: s.add_delivery(told, 9_000, 0), *steps], 7):
        histories = AlertHistories()
        for alert in (ALERT, LATER):
            histories.add_alert(alert, 8_000)
        for step in order:
            step(histories)
        histories.link()
        first, second = histories.by_id[ALERT.id], histories.by_id[LATER.id]
        rows = tuple((one.action, one.status, one.reason) for one in first.all_deliveries)
        found.add((rows, first.state, second.state, second.told_in[522]))
        assert [one.id for one in second.closes] == [close.id]
        assert 522 not in second.without_delivery
    assert found == {
        (
            (
                (ServiceAction.CREATE, DeliveryStatus.PENDING, ""),
                (ServiceAction.NOTE, DeliveryStatus.SENT, ""),
                (ServiceAction.CLOSE, DeliveryStatus.SKIPPED, "superseded"),
            ),
            AlertState.PENDING,
            AlertState.FOLDED,
            "another",
        )
    }


def test_a_note_waits_for_its_alert_and_a_close_for_all_of_them() -> None:
    note = replace(history(), action=ServiceAction.NOTE, after=history(FAILED))
    assert (note.status, note.due_ms(1)) == (DeliveryStatus.WAITING, None)
    assert replace(note, after=history(ACCEPTED)).status is DeliveryStatus.PENDING
    assert replace(note, after=None).status is DeliveryStatus.PENDING
    close = replace(history(), action=ServiceAction.CLOSE)
    assert close.status is DeliveryStatus.WAITING
    not_yet = msgspec.structs.replace(FAILED, reason="not_processed", status=None, is_sent=False)
    tried = replace(close, attempts=[not_yet])
    assert (tried.status, tried.next_attempt, tried.due_ms(1)) == (
        DeliveryStatus.PENDING,
        1,
        20_000,
    )
    alert = AlertHistory(ALERT, 8_000, deliveries={521: history(ACCEPTED)}, closes=[close])
    assert alert.state is AlertState.PENDING


def test_a_folded_window_stays_one_when_its_alert_is_closed() -> None:
    close = replace(history(ACCEPTED), action=ServiceAction.CLOSE)
    episode = EpisodeReference("stream-app:1:episode:x", 61, "r", 1_767_225_600, 1_767_225_601)
    folded = AlertHistory(ALERT, 8_000, folded={521: episode}, closes=[close])
    assert folded.state is AlertState.FOLDED
    elsewhere = replace(folded, deliveries={522: history(ACCEPTED)})
    assert elsewhere.state is AlertState.SENT
    failing = replace(folded, closes=[replace(history(FAILED), action=ServiceAction.CLOSE)])
    assert failing.state is AlertState.PENDING
