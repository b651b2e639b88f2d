"""All times inside events are moved by the same seconds, and nothing else changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.domain.events.decoder import EventDecoder
from stream_app.domain.events.model import EventKind
from stream_app.domain.events.times import event_seconds
from stream_app.domain.replay.time_shift import ShiftedValue, TimeShifter
from tests.unit.domain.documented_events import HIT_ENVELOPE

T = 1_767_225_600
HOUR = 3600
HITS, ATTACKS = TimeShifter(EventKind.HITS), TimeShifter(EventKind.ATTACKS)
NOTICES = TimeShifter(None)


def moved(shifter: TimeShifter, event: Any, seconds: int = HOUR) -> Any:
    shifted = shifter.shift(json.dumps(event).encode(), seconds)
    assert shifted.untouched == 0
    assert shifted.value is not None
    return json.loads(shifted.value)


def test_every_documented_time_of_a_hit_is_moved_flat_and_in_its_envelope() -> None:
    times = {"request_time": T, "create_time": T + 3, "time": str(T)}
    later = {"request_time": T + HOUR, "create_time": T + 3 + HOUR, "time": str(T + HOUR)}
    rest = {"client_id": 1, "last_time": 5, "headers": {"time": 7, "request_time": 8}}
    assert moved(HITS, rest | times) == rest | later
    body = {"summary": "x", "time": None, "details": {"client_name": "A", "hit": times}}
    assert moved(HITS, body) == body | {"details": {"client_name": "A", "hit": later}}
    envelope = json.loads(HIT_ENVELOPE)
    hit, was = moved(HITS, envelope)["details"]["hit"], envelope["details"]["hit"]
    assert hit["request_time"] == was["request_time"] + HOUR
    assert hit["create_time"] == was["create_time"] + HOUR
    assert {n for n in hit if hit[n] != was[n]} == {"request_time", "create_time"}


def test_attacks_have_a_first_and_a_last_time() -> None:
    event = {"first_time": T, "last_time": T + 9.25, "create_time": T, "time": T, "request_time": 1}
    assert moved(ATTACKS, event, -10) == {
        "first_time": T - 10,
        "last_time": T - 0.75,
        "create_time": T - 10,
        "time": T - 10,
        "request_time": 1,
    }


def test_the_times_in_the_details_of_notices_are_moved() -> None:
    details = {"expire_at": "2026-01-01 02:27:15 +0300", "from": T, "to": T + HOUR}
    found = moved(NOTICES, {"summary": "s", "details": details}, 86_400)["details"]
    expected = {"from": T + 86_400, "to": T + 90_000, "expire_at": "2026-01-02 02:27:15 +0300"}
    assert found == expected
    free = {"details": {"expire_at": "never", "from": "Ann", "to": ["Bo"]}}
    assert moved(NOTICES, free) == free


def test_everything_else_keeps_its_bytes() -> None:
    value = b'{"p":["\\"request_time\\":5,","a\\u00e9"],"request_time":10,"n":1.50,"x":[ 1 ]}'
    assert HITS.shift(value, 5).value == value.replace(b":10", b":15")


def test_the_parts_of_arrays_and_lines_are_moved_and_bad_ones_stay() -> None:
    good = b'{"request_time":1}'
    assert HITS.shift(b"[%s, nonsense]" % good, 1) == ShiftedValue(b"[%s, nonsense]" % good, 1)
    assert HITS.shift(b"[%s , 7]" % good, 1) == ShiftedValue(b'[{"request_time":2} , 7]', 1)
    lines = b'{"request_time":1}\n{"request_time":"soon"}\n{oops\n{"time":4}\n'
    expected = b'{"request_time":2}\n{"request_time":"soon"}\n{oops\n{"time":5}\n'
    assert HITS.shift(lines, 1) == ShiftedValue(expected, 2)


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"7", b"{", b'{"request_time":1e999}'])
def test_what_cannot_be_decoded_is_copied_as_it_is_and_counted(value: bytes | None) -> None:
    assert HITS.shift(value, 60) == ShiftedValue(value, 1)
    assert list(HITS.seconds_of(value)) == []


TIMES = st.one_of(
    st.integers(0, 2**40), st.floats(0, 2**40, allow_nan=False).map(lambda x: round(x, 3))
)


@given(st.dictionaries(st.sampled_from(["request_time", "create_time"]), TIMES, min_size=1),
       st.integers(-(10**9), 10**9))  # fmt: skip
def test_the_event_time_moves_by_as_many_seconds(times: dict[str, float], seconds: int) -> None:
    decode = EventDecoder(EventKind.HITS).decode_shapes
    value = json.dumps({"client_id": 1, **times}).encode()
    (before,) = decode(value)
    was = event_seconds(before, EventKind.HITS, 0)
    assert list(HITS.seconds_of(value)) == [was]
    if was + seconds < 0:
        return  # whole seconds are cut towards 1970
    (after,) = decode(HITS.shift(value, seconds).value)
    assert event_seconds(after, EventKind.HITS, 0) == was + seconds


def test_the_time_of_an_event_is_found_where_the_decoder_finds_it() -> None:
    events = [
        {"create_time": 3, "time": "2"},
        {"request_time": None, "create_time": 3},
        {"details": {"hit": {"request_time": 9}}},
        {"client_id": 1},
    ]
    value = json.dumps(events).encode()
    assert list(HITS.seconds_of(value)) == [2, 3, 9]
    assert list(NOTICES.seconds_of(value)) == []
