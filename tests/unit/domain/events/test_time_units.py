"""Times in other units than seconds are recognised."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stream_app.domain.counting.partition_counts import PartitionCounts
from stream_app.domain.events.model import EventKind
from tests.unit.domain.counting.test_poison import BASE, Record, standard

UNITS = {"milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
FIELDS = [
    (EventKind.HITS, "request_time"),
    (EventKind.HITS, "create_time"),
    (EventKind.HITS, "time"),
    (EventKind.ATTACKS, "first_time"),
    (EventKind.INCIDENTS, "first_time"),
    (EventKind.INCIDENTS, "create_time"),
    (EventKind.ATTACKS, "time"),
]


def message(kind: EventKind, event: dict[str, Any], timestamp: int = BASE * 1000) -> str:
    value = json.dumps({"client_id": 1, **event}).encode()
    tally = PartitionCounts(kind).count([Record(0, value, timestamp)], standard(kind))
    ((_, part),) = tally.rejected
    return part.message


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(("kind", "field"), FIELDS)
def test_a_time_in_another_unit_is_recognised(kind: EventKind, field: str, unit: str) -> None:
    number = BASE * UNITS[unit]
    values: list[Any] = [number, float(number)]
    if field == "time":
        values.append(str(number))
    for value in values:
        assert f"it looks like {unit}: send seconds" in message(kind, {field: value})
    assert unit in message(kind, {field: number}, timestamp=-1)


@pytest.mark.parametrize("seconds", [1e300, 1.7e308, 10**30, 10**400])
@pytest.mark.parametrize(("kind", "field"), FIELDS)
def test_a_time_of_hundreds_of_digits_is_shortened(
    kind: EventKind, field: str, seconds: float
) -> None:
    assert len(told := message(kind, {field: seconds})) < 200, told


@pytest.mark.parametrize("number", [10**400, -(10**30), 10**20])
def test_a_client_of_hundreds_of_digits_is_shortened(number: int) -> None:
    assert len(told := message(EventKind.HITS, {"client_id": number})) < 100, told


def test_a_number_that_a_person_can_read_is_not_shortened() -> None:
    assert message(EventKind.HITS, {"client_id": 10**19}).startswith(f"client {10**19} is not in")


@pytest.mark.parametrize("seconds", [BASE + 301, BASE + 86_400, 10**11 - 1, 10**20, 10**30])
def test_a_time_that_is_only_ahead_is_not_taken_for_another_unit(seconds: int) -> None:
    assert "looks like" not in message(EventKind.HITS, {"request_time": seconds})
