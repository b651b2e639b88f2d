"""When a flush is due, and what a batch keeps until it is acknowledged."""

from __future__ import annotations

import pytest

from stream_app.kafka.fetched_records import FetchedRecords
from stream_app.kafka.flushing import FlushLimits
from stream_app.kafka.record_batches import BatchValue

LIMITS = FlushLimits(interval_seconds=0.25, max_events=1000)


@pytest.mark.parametrize(
    ("events", "seconds", "changes", "due"),
    [
        (999, 0.24, 0, False),
        (1000, 0.0, 0, True),
        (1, 0.25, 0, True),
        # A flush that writes little for its events does not wait any longer...
        (1000, 0.0, 50, True),
        (20, 0.25, 1, True),
        # ... one that writes much waits for more of them, or for other bounds.
        (1000, 0.0, 51, False),
        (1020, 0.0, 51, True),
        (19, 0.25, 1, False),
        (19, 0.99, 1, False),
        (19, 1.0, 1, True),
        (9_999, 0.0, 10_000, False),
        (10_000, 0.0, 10_000, True),
    ],
)
def test_a_flush_waits_for_more_events_while_it_would_write_much_for_them(
    events: int, seconds: float, changes: int, *, due: bool
) -> None:
    assert LIMITS.is_due(events, seconds, lambda: changes) is due


def test_what_a_flush_would_write_is_not_asked_for_before_a_limit_is_reached() -> None:
    def changes() -> int:
        raise AssertionError("this takes time for each batch")

    assert not LIMITS.is_due(999, 0.24, changes)


def test_a_released_batch_keeps_its_place_and_its_size_but_not_its_records() -> None:
    released = []
    records = FetchedRecords([object()] * 3)
    records.start, records.end = 7, 12
    value = BatchValue(records, 1, lambda: released.append(True))
    value.release()
    assert released == [True]
    assert (value.start, value.end, value.size, len(value.records)) == (7, 12, 3, 0)
