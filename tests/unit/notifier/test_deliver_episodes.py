"""What `deliver` does with notes, closes and folded windows."""

from __future__ import annotations

import msgspec
import pytest

from stream_app.domain.delivery.reasons import SkipReason
from stream_app.domain.delivery.records import (
    Cancel,
    Delivery,
    Folded,
    ServiceAction,
    Skipped,
    decode_result,
    encode_delivery,
    encode_result,
)
from stream_app.domain.episodes.reference import EpisodeReference
from stream_app.domain.errors import DeadLetterReason
from tests.unit.notifier.test_deliver import DELIVERY, NOW_MS, RECORD, TOPICS, Bench

EPISODE = EpisodeReference("stream-app:1:episode:y", 61, "r1", 1, 2, 300)
OF_EPISODE = msgspec.structs.replace(DELIVERY, id="a/521", episode=EPISODE)
NOTE = msgspec.structs.replace(
    OF_EPISODE, id="a:note/521", action=ServiceAction.NOTE, after="a/521", note="37 more"
)


def test_what_waits_is_neither_scheduled_nor_overdue() -> None:
    bench = Bench()
    bench.add(TOPICS[0], encode_delivery(OF_EPISODE))
    bench.add(TOPICS[0], encode_delivery(NOTE), timestamp=NOW_MS - 3_600_000)
    bench.flush()
    assert list(bench.sender.waiting) == ["a/521"]
    assert bench.sample("pending_deliveries") == 1
    assert bench.sample("delivery_oldest_pending_seconds") == 9
    bench.result(1, accepted=True)
    bench.flush()
    assert list(bench.sender.waiting) == ["a:note/521"]
    assert bench.sample("delivery_oldest_pending_seconds") == 9


def test_what_is_skipped_is_told_before_its_state_and_is_no_dead_letter() -> None:
    bench = Bench()
    bench.add(TOPICS[0], encode_delivery(NOTE))
    told, states, _ = bench.flush()
    (send,) = told
    assert (send.topic, send.partition) == ("p.delivery-results", 2)
    assert decode_result(send.value or b"") == Skipped(
        "a:note/521", 1111, 521, SkipReason.NOT_ACCEPTED
    )
    assert ("x-format", b"2") in send.headers
    assert [row.key for row in states] == [b"a:note/521"]


@pytest.mark.parametrize(("delivery", "written"), [(OF_EPISODE, b"2"), (None, b"1")])
def test_a_dead_letter_keeps_the_format_of_its_delivery(
    delivery: Delivery | None, written: bytes
) -> None:
    bench = Bench()
    bench.add(TOPICS[0], RECORD if delivery is None else encode_delivery(delivery))
    bench.flush()
    command = Cancel(1111, 521, DeadLetterReason.INTEGRATION_DISABLED, 0)
    bench.add(TOPICS[1], encode_result(command))
    letters = [send for send in bench.flush()[0] if send.topic == "p.deliveries.dlq"]
    assert [dict(send.headers)["x-format"] for send in letters] == [written]


def test_a_folded_window_extends_its_alert() -> None:
    bench = Bench()
    bench.add(TOPICS[0], encode_delivery(OF_EPISODE))
    later = EpisodeReference(EPISODE.alias, 61, "r1", 9, 10, 300)
    bench.add(TOPICS[1], encode_result(Folded("b/521", "b", 1111, 521, later)))
    assert bench.state(2).opened.values[EPISODE.alias].last_window_end == 10
