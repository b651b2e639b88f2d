from __future__ import annotations

import pytest

from stream_app.domain.delivery.retry_schedule import (
    CYCLES_SECONDS,
    LAST_ATTEMPT,
    cycle_of,
    last_due_ms,
    next_due_ms,
    seconds_before_attempt,
)

FINISHED_MS = 1_767_225_661_000


@pytest.mark.parametrize(
    ("attempt", "seconds"),
    [
        (1, 0),
        (2, 1),
        (3, 3),
        (4, 5),
        (5, 10),
        (6, 10),
        (7, 0),
        (8, 1),
        (9, 3),
        (10, 5),
        (11, 30),
        (12, 60),
        (13, 60),
        (14, 180),
        (15, 300),
        (16, 600),
        (17, 1800),
        (18, None),
        (1000, None),
    ],
)
def test_an_attempt_has_its_documented_wait(attempt: int, seconds: float | None) -> None:
    assert seconds_before_attempt(attempt) == seconds


@pytest.mark.parametrize("attempt", [0, -1])
def test_attempts_count_from_one(attempt: int) -> None:
    with pytest.raises(ValueError, match=f"attempt {attempt}: attempts count from 1"):
        seconds_before_attempt(attempt)


def test_seventeen_requests_take_3068_seconds_of_waiting() -> None:
    waits = [seconds_before_attempt(attempt) for attempt in range(1, LAST_ATTEMPT + 1)]
    assert len(waits) == 17
    assert sum(wait for wait in waits if wait is not None) == 3068


def test_the_cycles_last_29_and_39_seconds_and_50_minutes() -> None:
    assert [sum(cycle) for cycle in CYCLES_SECONDS] == [29, 39, 3000]


def test_due_times_of_requests_that_take_no_time_are_the_documented_offsets() -> None:
    now, offsets = FINISHED_MS, []
    for attempt in range(1, LAST_ATTEMPT):
        due = next_due_ms(now, attempt, scale=1, retry_after_seconds=None)
        assert due is not None
        now = due
        offsets.append((now - FINISHED_MS) / 1000)
    assert offsets == [1, 4, 9, 19, 29, 29, 30, 33, 38, 68, 128, 188, 368, 668, 1268, 3068]


def test_nothing_is_due_after_the_last_attempt() -> None:
    assert next_due_ms(FINISHED_MS, 17, scale=1, retry_after_seconds=None) is None
    assert next_due_ms(FINISHED_MS, 17, scale=1, retry_after_seconds=60) is None


@pytest.mark.parametrize(
    ("attempt", "asked", "waited"),
    [
        (1, 60, 60),
        (1, 1.5, 1.5),
        (11, 60, 60),
        (12, 59, 60),
        (16, 60, 1800),
        (6, 0.25, 0.25),
        (1, 7200, 3600),
        (1, 1e308, 3600),
        (1, -1e308, 1),
    ],
)
def test_the_longer_of_the_step_and_the_request_of_the_service_counts(
    attempt: int, asked: float, waited: float
) -> None:
    due = next_due_ms(FINISHED_MS, attempt, scale=1, retry_after_seconds=asked)
    assert due == FINISHED_MS + waited * 1000


def test_the_scale_shortens_the_step_only() -> None:
    assert next_due_ms(0, 16, scale=0.001, retry_after_seconds=None) == 1800
    assert next_due_ms(0, 16, scale=0.001, retry_after_seconds=2) == 2000


@pytest.mark.parametrize(("scale", "due"), [(0.3, 300), (0.0101, 11), (0.01, 10)])
def test_a_scaled_wait_is_rounded_up_to_a_millisecond(scale: float, due: int) -> None:
    assert next_due_ms(0, 1, scale=scale, retry_after_seconds=None) == due


def test_the_immediate_resend_is_due_when_the_failed_request_ended() -> None:
    assert next_due_ms(FINISHED_MS, 6, scale=1, retry_after_seconds=None) == FINISHED_MS


def test_each_attempt_belongs_to_a_cycle_and_knows_when_the_last_one_is_due() -> None:
    cycles = [cycle_of(attempt) for attempt in range(1, LAST_ATTEMPT + 1)]
    assert cycles == [1] * 6 + [2] * 5 + [3] * 6
    assert last_due_ms(FINISHED_MS, 1, 1) == FINISHED_MS + 3_068_000
    assert last_due_ms(FINISHED_MS, LAST_ATTEMPT, 1) == FINISHED_MS
    assert last_due_ms(FINISHED_MS, LAST_ATTEMPT - 1, 0.001) == FINISHED_MS + 1_800
