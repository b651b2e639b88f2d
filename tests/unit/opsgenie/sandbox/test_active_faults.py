from __future__ import annotations

from typing import Any

import pytest

from stream_app.opsgenie.sandbox.active_faults import MAX_KEYS, Faults
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind, Operation

KEY, OTHER_KEY = "00000000-1111-2222-3333-444444444444", "00000000-1111-2222-3333-555555555555"
NOW = 1000.0


def taken(faults: Faults, now: float = NOW, key: str = KEY) -> FaultKind | None:
    fault = faults.take(Operation.CREATE, key, now)
    return fault.kind if fault else None


def faults_of(*faults: Fault) -> Faults:
    found = Faults()
    for fault in faults:
        found.turn_on(fault, NOW)
    return found


def test_a_fault_lasts_for_so_many_requests() -> None:
    faults = faults_of(Fault(kind=FaultKind.HANG, requests=2))
    assert faults
    assert [taken(faults) for _ in range(3)] == ["hang", "hang", None]
    assert not faults
    assert faults.views(NOW) == []


def test_a_fault_lasts_for_a_time() -> None:
    faults = faults_of(Fault(kind=FaultKind.HANG, seconds=5))
    assert [taken(faults, NOW + s) for s in (0, 4.999, 5, 4)] == ["hang", "hang", None, None]


def test_a_fault_ends_at_the_first_of_its_limits() -> None:
    faults = faults_of(Fault(kind=FaultKind.HANG, seconds=5, requests=2))
    assert [taken(faults, NOW + s) for s in (0, 6)] == ["hang", None]


def test_a_fault_without_an_end_stays_until_it_is_cleared() -> None:
    faults = faults_of(Fault(kind=FaultKind.HANG))
    assert {taken(faults, NOW + s) for s in (0, 10**9)} == {"hang"}
    (ended,) = faults.clear(NOW)
    assert (ended.failed, ended.requests_left, ended.seconds_left) == (2, None, None)
    assert taken(faults) is None


def test_faults_for_the_same_requests_are_a_sequence() -> None:
    faults = faults_of(
        Fault(kind=FaultKind.RESET, requests=1),
        Fault(kind=FaultKind.HANG, requests=2),
        Fault(kind=FaultKind.GARBAGE),
    )
    assert [taken(faults) for _ in range(4)] == ["reset", "hang", "hang", "garbage"]


def test_a_fault_does_not_count_the_requests_of_others() -> None:
    faults = faults_of(Fault(kind=FaultKind.HANG, key=KEY, requests=1))
    assert faults.take(Operation.CLOSE, KEY, NOW) is None
    assert taken(faults, key=OTHER_KEY) is None
    assert [taken(faults), taken(faults)] == ["hang", None]


def test_one_fault_can_be_cleared_alone() -> None:
    faults = faults_of(Fault(kind=FaultKind.HANG), Fault(kind=FaultKind.RESET))
    assert [view.id for view in faults.clear(NOW, 1)] == [1]
    assert faults.clear(NOW, 1) == faults.clear(NOW, 99) == []
    assert taken(faults) == "reset"
    assert faults.turn_on(Fault(kind=FaultKind.HANG), NOW).id == 3, "an id is used once"


def test_a_rate_is_a_bucket_of_tokens_for_each_key() -> None:
    faults = faults_of(Fault(kind=FaultKind.RATE_LIMIT, per_second=2))
    limited = "rate-limit"
    assert [taken(faults) for _ in range(3)] == [None, None, limited]
    assert [taken(faults, key=OTHER_KEY) for _ in range(3)] == [None, None, limited]
    assert [taken(faults, NOW + 0.5) for _ in range(2)] == [None, limited]
    # A long silence saves up no more than a second's worth.
    assert [taken(faults, NOW + 100) for _ in range(3)] == [None, None, limited]


@pytest.mark.parametrize("rate", [0.5, 3, 10])
def test_in_the_long_run_no_more_pass_than_the_rate(rate: float) -> None:
    faults = faults_of(Fault(kind=FaultKind.RATE_LIMIT, per_second=rate))
    passed = sum(taken(faults, NOW + tenth / 64) is None for tenth in range(64 * 100))
    assert rate * 100 - 1 <= passed <= rate * 100 + max(1, rate)


def test_a_request_that_a_rate_lets_pass_meets_the_next_fault() -> None:
    faults = faults_of(
        Fault(kind=FaultKind.RATE_LIMIT, per_second=1, requests=1), Fault(kind=FaultKind.HANG)
    )
    assert [taken(faults) for _ in range(3)] == ["hang", "rate-limit", "hang"]


def test_the_keys_that_a_rate_remembers_are_bounded() -> None:
    faults = faults_of(Fault(kind=FaultKind.RATE_LIMIT, per_second=1))
    taken(faults)
    for number in range(MAX_KEYS):
        taken(faults, key=str(number))
    assert len(faults._active[1]._tokens) == MAX_KEYS
    assert taken(faults) is None, "the oldest is forgotten, and has a token again"


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({}, None),
        ({"key": KEY}, "...4444"),
        ({"key_end": "4444"}, "...4444"),
        ({"key": "short"}, "..."),
    ],
)
def test_a_view_tells_what_is_left_and_no_more_of_a_key_than_its_end(
    fields: dict[str, Any], shown: str | None
) -> None:
    faults = faults_of(Fault(kind=FaultKind.STATUS, status=503, requests=3, seconds=60, **fields))
    taken(faults, key=str(fields.get("key", KEY)))
    (view,) = faults.views(NOW + 1.25)
    assert view.as_json() == {
        "id": 1,
        "kind": "status",
        "status": 503,
        "requests": 3,
        "seconds": 60,
        "on": ["create"],
        "key": shown,
        "failed": 1,
        "requests_left": 2,
        "seconds_left": 58.75,
    }
