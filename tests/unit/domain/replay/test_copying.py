from __future__ import annotations

import pytest

from stream_app.domain.errors import UsageError
from stream_app.domain.replay.copying import (
    Speed,
    due_ms,
    parse_spans,
    seconds_to_now,
    spans_text,
)

NOW_MS = 1_767_225_600_400
FIRST_MS = NOW_MS - 7_200_000


@pytest.mark.parametrize("speed", list(Speed))
@pytest.mark.parametrize("now_ms", [NOW_MS, NOW_MS + 599, NOW_MS - 400])
def test_no_event_lies_ahead_of_its_record_and_the_newest_is_a_second_old_at_most(
    speed: Speed, now_ms: int
) -> None:
    recorded = [FIRST_MS + n * 1000 for n in range(3601)]
    events = [ms // 1000 for ms in recorded]
    delta = seconds_to_now(events[-1], (recorded[0], recorded[-1]), speed, now_ms)
    ages = [
        due_ms(ms, recorded[0], now_ms, speed) / 1000 - (event + delta)
        for ms, event in zip(recorded, events, strict=True)
    ]
    assert min(ages) >= 0
    assert ages[-1] <= 1


def test_records_follow_each_other_as_fast_as_asked() -> None:
    moments = [FIRST_MS, FIRST_MS + 10_000, FIRST_MS - 5]
    assert [due_ms(ms, FIRST_MS, 1000, Speed.REAL) for ms in moments] == [1000, 11_000, 1000]
    assert [due_ms(ms, FIRST_MS, 1000, Speed.TENFOLD) for ms in moments] == [1000, 2000, 1000]
    assert {due_ms(ms, FIRST_MS, 1000, Speed.MAX) for ms in moments} == {1000}


def test_what_is_left_is_read_as_it_is_written() -> None:
    left = {"events.hits": [(3, 10), (10, 10)], "a.events.attacks": [(0, 5)]}
    texts = spans_text(left)
    assert texts == ["events.hits=3:10,10:10", "a.events.attacks=0:5"]
    assert parse_spans(texts) == left


@pytest.mark.parametrize("text", ["", "events.hits", "events.hits=3", "events.hits=3:x", "a=1:2,"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="as the interrupted run has printed it"):
        parse_spans([text])
