from __future__ import annotations

import pytest

from stream_app.domain.errors import UsageError
from stream_app.domain.replay.copying import (
    Remainder,
    parse_remainder,
    remainder_texts,
    seconds_to_now,
)

NOW_MS = 1_767_225_600_400


@pytest.mark.parametrize("now_ms", [NOW_MS, NOW_MS + 599, NOW_MS - 400])
def test_the_newest_event_is_not_ahead_of_its_record_and_a_second_old_at_most(now_ms: int) -> None:
    newest = NOW_MS // 1000 - 7200
    age = now_ms / 1000 - (newest + seconds_to_now(newest, now_ms))
    assert 0 <= age <= 1


@pytest.mark.parametrize("seconds", [None, 0, 7, -86_400])
def test_a_remainder_survives_its_texts(seconds: int | None) -> None:
    remainder = Remainder(
        {"events.hits": [(3, 10), (10, 10)], "a.events.attacks": [(0, 5)]}, seconds
    )
    texts = remainder_texts(remainder)
    shift = "" if seconds is None else f"{seconds:+}s"
    assert texts == [f"events.hits=3:10,10:10{shift}", f"a.events.attacks=0:5{shift}"]
    assert parse_remainder(texts) == remainder


def test_texts_of_different_copies_are_refused() -> None:
    with pytest.raises(UsageError, match="have the same shift"):
        parse_remainder(["events.hits=3:10+7s", "events.attacks=0:5"])


@pytest.mark.parametrize(
    "text", ["", "events.hits", "events.hits=3", "events.hits=3:x", "a=1:2,", "a=1:2+s", "a=1:2+7"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="as the interrupted run printed it"):
        parse_remainder([text])
