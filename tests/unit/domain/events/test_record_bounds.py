"""Small compressed records that unfold to much: their cost is bounded, and nothing is lost."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from stream_app.domain.counting.partition_counts import PartitionCounts
from stream_app.domain.counting.tally import Tally
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.events.decoder import EventDecoder
from stream_app.domain.events.model import EventKind
from stream_app.domain.events.parts_decoder import MAX_RECORD_BYTES, MAX_REFUSED_PARTS
from stream_app.domain.notices.incoming import notice_decoder
from tests.unit.domain.counting.test_poison import (
    BASE,
    KINDS,
    Record,
    events_of,
    refusals,
    standard,
)

GOOD = b'{"client_id":1,"request_time":%d,"type":"sqli"}' % BASE
WRONG_TYPE, TOO_LARGE = DeadLetterReason.WRONG_TYPE, DeadLetterReason.TOO_LARGE
UNREAD = DeadLetterReason.UNREAD


def count(*values: bytes, kind: EventKind = EventKind.HITS) -> Tally:
    records = [Record(offset, value) for offset, value in enumerate(values)]
    return PartitionCounts(kind).count(records, standard(kind))


@pytest.fixture
def peak() -> Iterator[list[int]]:
    """Trace memory while a test runs, and give the test a list for the peak that it reads."""
    tracemalloc.start()
    found: list[int] = []
    yield found
    tracemalloc.stop()


@pytest.mark.parametrize(("form", "between"), [(b"[%s]", b","), (b"%s", b"\n")])
@pytest.mark.parametrize("before", [[], [GOOD] * 3])
def test_after_the_most_bad_parts_the_rest_of_a_record_is_one_dead_letter_that_can_be_sent_again(
    form: bytes, between: bytes, before: list[bytes]
) -> None:
    rest = [b"2"] * 7 + [GOOD]
    value = form % between.join([*before, *[b"1"] * MAX_REFUSED_PARTS, *rest])
    tally = count(value, GOOD)
    assert tally.counted == len(before) + 1
    letters = refusals(tally)
    first = len(before)
    assert letters[:-1] == [(first + n, b"1", WRONG_TYPE) for n in range(MAX_REFUSED_PARTS)]
    assert letters[-1] == (first + MAX_REFUSED_PARTS, form % between.join(rest), UNREAD)
    again = count(letters[-1][1])
    assert (again.counted, len(again.rejected)) == (1, 7)


def test_exactly_the_most_bad_parts_leave_no_rest() -> None:
    tally = count(b"[%s]" % b",".join([b"1"] * MAX_REFUSED_PARTS))
    assert [part.value for _, part in tally.rejected] == [b"1"] * MAX_REFUSED_PARTS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [b"[" + b"1," * 200_000 + b"1]", b"1\n" * 200_000])
def test_a_great_many_bad_parts_cost_little(kind: EventKind, value: bytes, peak: list[int]) -> None:
    tally = count(value, kind=kind)
    peak.append(tracemalloc.get_traced_memory()[1])
    assert len(tally.rejected) == events_of(tally) == MAX_REFUSED_PARTS + 1
    assert peak[0] < 40_000_000


def test_a_great_many_bad_notices_cost_little() -> None:
    parts = list(notice_decoder.parts(b"[" + b"1," * 200_000 + b"1]"))
    assert len(parts) == MAX_REFUSED_PARTS + 1


@pytest.mark.parametrize("part", [GOOD, b"1", b'{"client_id":1,"domain":"a"}'])
def test_a_record_that_is_too_large_is_one_dead_letter_whatever_it_holds(part: bytes) -> None:
    fits = b"[" + part
    fits += b" " * (MAX_RECORD_BYTES - 1 - len(fits)) + b"]"
    value = fits[:-1] + b" ]"
    assert len(fits) == MAX_RECORD_BYTES
    tally = count(GOOD, value, GOOD)
    assert refusals(tally) == [(None, value, TOO_LARGE)]
    assert tally.counted == 2
    assert TOO_LARGE not in [reason for _, _, reason in refusals(count(fits))]
    with pytest.raises(RejectedEventError, match="the record has 4194305 bytes"):
        EventDecoder(EventKind.HITS).decode_shapes(value)


def test_the_events_of_a_record_that_decode_and_cannot_be_used_have_the_same_bound() -> None:
    events: list[dict[str, Any]] = [{"client_id": 9, "n": n} for n in range(MAX_REFUSED_PARTS + 5)]
    texts = [json.dumps(event).encode() for event in events]
    tally = count(b"[%s]" % b",".join([GOOD, *texts, GOOD]))
    assert tally.counted == 2
    assert len(tally.rejected) == MAX_REFUSED_PARTS + 1
    assert sum(part.events for _, part in tally.rejected) == len(events)
    _, last = tally.rejected[-1]
    assert (last.index, last.reason) == (MAX_REFUSED_PARTS + 1, DeadLetterReason.UNKNOWN_CLIENT)
    assert json.loads(last.value) == events[MAX_REFUSED_PARTS:]
    assert last.message.startswith("the first of 5 more events of the record: client 9 is not in")
