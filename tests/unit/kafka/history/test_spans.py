"""What is said when there is nothing to read."""

from __future__ import annotations

import pytest
from aiokafka.structs import TopicPartition

from stream_app.domain.errors import StreamAppError
from stream_app.kafka.history.spans import LogSpans, Span


def refusal(**spans: Span) -> str:
    found = LogSpans()
    found.update({TopicPartition(f"events.{kind}", 0): span for kind, span in spans.items()})
    with pytest.raises(StreamAppError) as caught:
        found.require_records([tp.topic for tp in found])
    return str(caught.value)


def test_records_outside_of_the_range_are_found_by_another_range() -> None:
    text = refusal(hits=Span(9, 9, 4, 9), attacks=Span(0, 0, 0, 0))
    assert "events.hits holds 5 records, at offsets 4 to 8" in text
    assert text.endswith("give another --from or --to")


def test_no_range_helps_where_there_are_no_records() -> None:
    text = refusal(hits=Span(9, 9, 9, 9), attacks=Span(0, 0, 0, 0))
    assert "events.hits holds 0 records; events.attacks holds 0 records" in text
    assert "no event has come" in text
    assert "--from" not in text
