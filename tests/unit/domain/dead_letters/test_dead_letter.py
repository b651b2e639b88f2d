from __future__ import annotations

from typing import Any

import pytest

from stream_app.domain.alerts.alert import AlertNotice, NoticeAlert, NoticeTrigger, encode_alert
from stream_app.domain.dead_letters.dead_letter import (
    DeadLetter,
    DeadLetterKind,
    Log,
    Place,
    parse_place,
)
from stream_app.domain.dead_letters.dead_letter_index import DISMISSED, DeadLetterIndex, Selection
from stream_app.domain.errors import UsageError

NOW_MS = 1_767_225_600_000
TOPIC = "deliveries.dlq"
VALUE = b'{"id":"a/521","client_id":1111,"integration_id":521,"details":{"id":"x"}}'


def letter(offset: int = 0, **fields: Any) -> DeadLetter:
    facts: dict[str, Any] = {
        "kind": DeadLetterKind.DELIVERY,
        "place": Place(TOPIC, fields.pop("partition", 1), offset),
        "timestamp_ms": NOW_MS,
        "key": b"521",
        "value": VALUE,
        "headers": (),
        "reason": "exhausted",
        "message": "",
        "attempt": 1,
        "original": Place("deliveries", 1, 17),
        "original_ms": NOW_MS - 1000,
    }
    return DeadLetter(**facts | fields)


def test_a_place_is_read_as_it_is_printed() -> None:
    place = Place("p.events.hits.dlq", 3, 17)
    assert str(place) == "p.events.hits.dlq/3/17"
    assert parse_place(str(place)) == place
    assert place.log == Log("p.events.hits.dlq", 3)


@pytest.mark.parametrize(
    "text", ["", "deliveries", "deliveries/3", "/3/17", "a/3/17/1", "a/-1/2", "a/x/2", "a/1/²"]
)
def test_what_is_no_place_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError, match="is no place of a record: give it as"):
        parse_place(text)


def test_a_delivery_says_who_it_is_for_and_its_key_does_when_it_cannot_be_read() -> None:
    assert (letter().delivery_ids, letter().client_id) == (("a/521",), 1111)
    assert letter(key=b"other").integration_ids == (521,)
    for value in (b"{", b"[1]", b"\xff", b"", None, b"[" * 5000):
        broken = letter(value=value)
        assert (broken.delivery_ids, broken.client_id) == ((), None)
        assert broken.integration_ids == (521,)
    assert letter(value=None, key=b"x").integration_ids == ()
    odd = letter(value=b'{"id":7,"client_id":"1","integration_id":true}', key=None)
    assert (odd.delivery_ids, odd.client_id, odd.integration_ids) == ((), None, ())


def test_an_alert_is_for_all_its_integrations_and_an_event_for_none() -> None:
    value = b'{"id":"a","client_id":5,"integration_ids":[521,522,"x"],"integration_id":9}'
    one = letter(kind=DeadLetterKind.ALERT, value=value, key=b"7")
    assert (one.integration_ids, one.client_id) == ((521, 522), 5)
    assert one.delivery_ids == ("a/521", "a/522")
    assert letter(kind=DeadLetterKind.ALERT, value=b"{", key=b"7").client_id == 7
    event = letter(kind=DeadLetterKind.EVENT, value=value, key=b"7")
    assert (event.integration_ids, event.client_id, event.delivery_ids) == ((), 5, ())
    assert letter(kind=DeadLetterKind.EVENT, value=b"{", key=b"7").client_id is None


def test_the_alert_of_a_trigger_of_notices_is_for_the_integrations_of_the_trigger() -> None:
    notice = AlertNotice("create_user", "", "x", "", {"id": "9"}, 0)
    trigger = NoticeTrigger(61, "New users", "user_created", "r", ())
    value = encode_alert(NoticeAlert("a", 5, "Acme", "EU", notice, (521, 522), trigger))
    one = letter(kind=DeadLetterKind.ALERT, value=value, key=b"5")
    assert (one.integration_ids, one.client_id) == ((521, 522), 5)
    assert one.delivery_ids == ("a/521", "a/522")


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), True),
        (Selection(integration_id=521, client_id=1111), True),
        (Selection(integration_id=522), False),
        (Selection(integration_id=521, client_id=2), False),
        (Selection(reasons=frozenset({"stale", "exhausted"})), True),
        (Selection(reasons=frozenset({"stale"})), False),
        (Selection(since_ms=NOW_MS), True),
        (Selection(since_ms=NOW_MS + 1), False),
        (Selection(until_ms=NOW_MS), False),
        (Selection(until_ms=NOW_MS + 1), True),
        (Selection(places=frozenset({Place(TOPIC, 1, 0)})), True),
        (Selection(places=frozenset({Place(TOPIC, 2, 0)})), False),
    ],
)
def test_a_selection_holds_what_fits_all_its_rules(selection: Selection, expected: bool) -> None:  # noqa: FBT001
    assert selection.holds(letter()) is expected
    assert selection.is_everything == (selection == Selection())


def test_a_mark_after_a_dead_letter_says_that_it_was_redriven() -> None:
    index = DeadLetterIndex(Selection())
    for offset in (3, 4, 5):
        index.add_if_selected(letter(offset, original=Place("deliveries", 1, offset)))
    index.note_mark(Place(TOPIC, 1, 6), 4, "deliveries/1/18")
    assert index.redriven_to(Place(TOPIC, 1, 4)) == "deliveries/1/18"
    assert index.redriven_to(Place(TOPIC, 1, 3)) is None
    index.drop_done(but=[TOPIC])
    assert index.offsets() == {Log(TOPIC, 1): [3, 4, 5]}
    index.drop_done()
    assert index.offsets() == {Log(TOPIC, 1): [3, 5]}
    assert index.redriven_to(Place(TOPIC, 1, 4)) == "deliveries/1/18", "`show` still says so"


def test_a_dismissed_dead_letter_is_done_and_was_sent_nowhere() -> None:
    index = DeadLetterIndex(Selection())
    for offset in (3, 4):
        index.add_if_selected(letter(offset, original=Place("deliveries", 1, offset)))
    index.note_mark(Place(TOPIC, 1, 6), 4, DISMISSED)
    assert index.is_dismissed(Place(TOPIC, 1, 4))
    assert not index.is_dismissed(Place(TOPIC, 1, 3))
    assert index.redriven_to(Place(TOPIC, 1, 4)) is None
    index.drop_done(but=[TOPIC], with_dismissed=False)
    assert len(index) == 2
    index.drop_done(but=[TOPIC])
    assert index.offsets() == {Log(TOPIC, 1): [3]}


def test_a_mark_of_another_partition_of_nothing_or_before_its_dead_letter_says_nothing() -> None:
    index = DeadLetterIndex(Selection())
    index.note_mark(Place(TOPIC, 1, 6), 7, "x")
    index.add_if_selected(letter(7))
    index.note_mark(Place(TOPIC, 1, 8), 9, "x")
    index.note_mark(Place(TOPIC, 2, 8), 7, "x")
    index.note_mark(Place(TOPIC, 1, 7), 7, "x")
    assert index.targets == {}
    index.drop_done()
    assert len(index) == 1


def test_dead_letters_of_one_origin_count_as_one_and_are_redriven_together() -> None:
    def filled() -> DeadLetterIndex:
        index = DeadLetterIndex(Selection())
        index.add_if_selected(letter(3, timestamp_ms=20))
        index.add_if_selected(letter(0, partition=2, timestamp_ms=10))
        index.add_if_selected(letter(1, partition=2, event_index=1))
        index.add_if_selected(
            letter(2, partition=2, original_ms=NOW_MS),
        )
        index.add_if_selected(letter(3, partition=2, original=None))
        index.add_if_selected(letter(4, partition=2, original=None))
        return index

    others = [1, 2, 3, 4]
    index = filled()
    index.share_targets()
    index.drop_done()
    index.drop_repeats()
    assert index.offsets() == {Log(TOPIC, 2): [0, *others]}, "the older one of the two"
    index = filled()
    index.note_mark(Place(TOPIC, 1, 9), 3, "deliveries/1/18")
    index.share_targets()
    assert index.redriven_to(Place(TOPIC, 2, 0)) == "deliveries/1/18"
    index.drop_done()
    assert index.offsets() == {Log(TOPIC, 2): others}


def test_the_newest_or_the_oldest_are_kept_over_all_partitions() -> None:
    def filled() -> DeadLetterIndex:
        index = DeadLetterIndex(Selection())
        for offset, partition, at_ms in ((0, 1, 30), (1, 1, 40), (0, 2, 10), (1, 2, 50)):
            index.add_if_selected(
                letter(offset, partition=partition, timestamp_ms=at_ms, reason="stale")
            )
        return index

    newest, oldest = filled(), filled()
    newest.keep_only(2, newest=True)
    assert newest.offsets() == {Log(TOPIC, 1): [1], Log(TOPIC, 2): [1]}
    oldest.keep_only(3, newest=False)
    assert oldest.offsets() == {Log(TOPIC, 1): [0, 1], Log(TOPIC, 2): [0]}
    assert oldest.summary() == {(TOPIC, "stale"): 3}
    assert sorted(entry.timestamp_ms for entry in oldest) == [10, 30, 40]
