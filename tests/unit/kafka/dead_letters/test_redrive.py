"""What a dead letter becomes on its way back, and which records are marks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.partitioner import DefaultPartitioner

from stream_app.domain.dead_letters.dead_letter import DeadLetterKind, Place
from stream_app.domain.errors import DeadLetterReason
from stream_app.kafka.dead_letters.reading import dead_letter_of, is_mark
from stream_app.kafka.dead_letters.redrive import RedriveOutcome, mark_headers, redriven
from stream_app.kafka.dead_letters.writing import (
    HEADERS,
    attempt_of,
    dead_letter_headers,
    epoch_of,
    number_of,
)
from tests.unit.domain.dead_letters.test_dead_letter import letter

Headers = list[tuple[str, bytes]]


def record(headers: Headers, **fields: Any) -> SimpleNamespace:
    facts = {"topic": "deliveries.dlq", "partition": 1, "offset": 5, "timestamp": 9, "key": b"521"}
    return SimpleNamespace(
        **facts | {"value": b"v", "timestamp_type": 0, "headers": tuple(headers)} | fields
    )


def buried(headers: Headers, **fields: Any) -> Headers:
    """Return the headers of the dead letter of a record that came with headers of its own."""
    return dead_letter_headers(
        record(headers, **fields), "deliveries", 1, DeadLetterReason.EXHAUSTED, "no"
    )


def test_a_redriven_record_keeps_its_headers_and_has_one_attempt_more() -> None:
    headers = buried([("trace", b"t")])
    one = dead_letter_of(record(headers), DeadLetterKind.DELIVERY)
    assert (one.attempt, one.reason, one.message) == (1, "exhausted", "no")
    assert one.original == Place("deliveries", 1, 5)
    back = redriven(one, "deliveries", 8, epoch=7)
    assert back.headers == [*headers[:-1], ("x-attempt", b"2"), ("x-epoch", b"7")]
    assert (attempt_of(back.headers), epoch_of(back.headers)) == (2, 7)
    second = redriven(
        dead_letter_of(record(back.headers), DeadLetterKind.DELIVERY), "deliveries", 8, epoch=None
    )
    assert second.headers == [*headers[:-1], ("x-attempt", b"3")]


def test_a_redriven_record_goes_to_its_old_partition_or_by_its_key_if_that_is_gone() -> None:
    assert redriven(letter(original=Place("deliveries", 5, 1)), "deliveries", 6, 1).partition == 5
    assert (
        redriven(letter(original=Place("deliveries", 6, 1)), "deliveries", 6, 1).partition is None
    )
    assert redriven(letter(original=None), "deliveries", 6, 1).partition is None


def test_a_key_has_the_same_partition_as_with_other_producers() -> None:
    """Murmur2 of the key, as the default of Kafka's own clients; route's producer has it, too."""
    choose = DefaultPartitioner()
    everyone = list(range(8))
    assert [choose(str(key).encode(), everyone, everyone) for key in (521, 522, 1111)] == [
        _murmur2(str(key).encode()) % 8 for key in (521, 522, 1111)
    ]


def test_marks_are_told_from_dead_letters_and_no_producer_can_write_one() -> None:
    sent = redriven(letter(4), "deliveries", 8, epoch=7)
    mark = mark_headers(sent.dead_letter.place, RedriveOutcome(sent, 1, 18).target)
    assert is_mark(record(mark))
    assert dict(mark)["x-redriven-to"] == b"deliveries/1/18"
    assert number_of(mark, "x-redriven-offset") == 4
    forged = buried([*mark, ("x-epoch", b"9"), ("x-original-size", b"3"), ("own", b"kept")])
    assert not is_mark(record(forged))
    assert [name for name, _ in forged if name not in HEADERS] == ["own"]
    assert "x-redriven-offset" not in dict(forged)
    assert epoch_of(forged) == 0
    older = [("x-redriven-offset", b"4"), ("x-error-reason", b"stale")]
    assert not is_mark(record(older)), "a letter that kept such a header of its producer"


@pytest.mark.parametrize("text", [b"", b"-1", b"1.5", b"x", "²".encode(), b"9" * 19])
def test_a_header_without_a_valid_number_gives_none(text: bytes) -> None:
    assert number_of([("x-original-offset", text)], "x-original-offset") is None
    one = dead_letter_of(
        record([("x-original-topic", b"deliveries"), ("x-original-offset", text)]),
        DeadLetterKind.DELIVERY,
    )
    assert (one.original, one.attempt) == (None, 1)


def _murmur2(data: bytes) -> int:
    """Return the positive murmur2 of Kafka's `Utils.murmur2`, written out for comparison."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * m & mask
        k = (k ^ (k >> 24)) * m & mask
        h = (h * m & mask) ^ k
    if rest := data[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ (h >> 13)) * m & mask
    return (h ^ (h >> 15)) & 0x7FFFFFFF
