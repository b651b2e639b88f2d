"""What is left of a dead letter that its topic refuses for its size."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError
from structlog.testing import capture_logs

from stream_app.domain.errors import DeadLetterReason
from stream_app.kafka.cluster.topics import TopicNames
from stream_app.kafka.dead_letters.truncation import OversizedRecords, is_dead_letter, truncated
from stream_app.kafka.dead_letters.writing import dead_letter, dead_letter_headers
from stream_app.kafka.state.send import Send
from stream_app.metrics import Metrics

ERROR = MessageSizeTooLargeError("refused")


def refused_record(value: bytes | None, key: bytes | None = b"k", **own: bytes) -> Send:
    headers = tuple(own.items())
    record: Any = SimpleNamespace(offset=7, timestamp=1, key=key, value=value, headers=headers)
    reason = DeadLetterReason.UNDECODABLE
    made = dead_letter_headers(record, "p.events.hits", 3, reason, "it is no JSON")
    return dead_letter("p.events.hits.dlq", key, value, made)


def forms(send: Send) -> list[Send]:
    """Return the dead letter and all that it is truncated to, one after the other."""
    found = [send]
    while (smaller := truncated(found[-1])) is not None:
        found.append(smaller)
    return found


def size(send: Send) -> int:
    texts = [send.key or b"", send.value or b"", *(n.encode() + v for n, v in send.headers)]
    return sum(map(len, texts))


@pytest.mark.parametrize("value", [None, b"", b"{", b"x" * 1000, b"x" * 2_000_000])
@pytest.mark.parametrize("key", [None, b"", b"k" * 100])
def test_a_dead_letter_is_truncated_to_its_coordinates_and_says_how_large_the_record_was(
    value: bytes | None, key: bytes | None
) -> None:
    found = forms(refused_record(value, key, own=b"h" * 20_000))
    sizes = [size(send) for send in found]
    assert len(found) < 30
    # A size that is new costs a header, which a short value does not have.
    assert all(after <= before + 22 for before, after in pairwise(sizes))
    last = dict(found[-1].headers)
    assert last.pop("x-original-size", None) == (str(len(value)).encode() if value else None)
    assert last == {
        "x-original-topic": b"p.events.hits",
        "x-original-partition": b"3",
        "x-original-offset": b"7",
        "x-error-reason": b"undecodable",
        "x-dead-letter-format": b"1",
    }
    assert (found[-1].key, found[-1].value or b"") == (None, b"")
    assert all(is_dead_letter(send) for send in found)


def test_first_the_value_is_halved_then_own_headers_go_then_the_message() -> None:
    found = forms(refused_record(b"x" * 256, own=b"h"))
    assert [len(send.value or b"") for send in found[:5]] == [256, 128, 64, 0, 0]
    assert [len(send.headers) for send in found[3:]] == [13, 12, 11, 6, 6]
    assert "own" not in dict(found[4].headers)
    assert "x-error-message" not in dict(found[5].headers)


def test_a_lost_dead_letter_is_counted_and_logged_and_truncation_is_logged_once() -> None:
    records, metrics = OversizedRecords(TopicNames("p.")), Metrics()
    records.report_to(metrics)
    send: Send | None = refused_record(b"x" * 5000)
    with capture_logs() as logs:
        while send is not None:
            send = records.refused(send, ERROR)
    assert [line["event"] for line in logs] == ["dead_letters_cut", "dead_letter_lost"]
    assert logs[1]["letter"]["x-original-offset"] == "7"
    lost = {"topic": "events.hits"}
    sample = metrics.registry.get_sample_value
    assert sample("stream_app_lost_dead_letters_total", lost) == 1


def test_a_refused_record_is_replaced_by_its_dead_letter_which_is_counted() -> None:
    records, metrics = OversizedRecords(TopicNames("p.")), Metrics()
    records.report_to(metrics)
    found = refused_record(b"{}")
    send = Send("p.deliveries", b"1", b"x", if_too_large=lambda: found)
    assert records.refused(send, ERROR) is found
    reason = {"topic": "events.hits", "reason": "undecodable"}
    assert metrics.registry.get_sample_value("stream_app_dead_letters_total", reason) == 1


def test_a_record_that_is_no_dead_letter_is_not_truncated() -> None:
    with pytest.raises(MessageSizeTooLargeError):
        OversizedRecords(TopicNames("p.")).refused(Send("p.alerts", b"1", b"{}"), ERROR)
