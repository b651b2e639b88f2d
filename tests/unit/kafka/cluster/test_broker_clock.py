"""The time that a worker goes by, whatever its own clock shows."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from stream_app.kafka.cluster.broker_clock import BrokerClock, ClockReading

TRUE_MS = 1_767_225_600_000


class Machine:
    """A worker whose clock is off; `steady` begins anywhere."""

    def __init__(self, ahead_ms: int) -> None:
        self.ahead_ms, self.true_ms = ahead_ms, TRUE_MS
        self.clock = BrokerClock(
            lambda: self.true_ms + self.ahead_ms, lambda: self.true_ms - TRUE_MS + 7
        )

    def send(self, there_ms: int = 3, back_ms: int = 5, kind: int = 1) -> None:
        """Send a record, and take its acknowledgement."""
        before_ms = self.clock.steady_ms()
        self.true_ms += there_ms
        stamp = SimpleNamespace(timestamp=self.true_ms, timestamp_type=kind)
        self.true_ms += back_ms
        self.clock.note_sent(before_ms, stamp)


def test_before_the_brokers_time_is_known_it_is_the_machines_time() -> None:
    machine = Machine(1234)
    assert (machine.clock.now_ms(), machine.clock.ahead_seconds) == (TRUE_MS + 1234, None)
    machine.send(kind=0)
    assert machine.clock.ahead_seconds is None, "that time is the producer's own"


@given(
    st.integers(-(10**9), 10**9),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 5000)), min_size=1),
)
def test_the_time_is_as_exact_as_the_quickest_answer(
    ahead_ms: int, ways: list[tuple[int, int]]
) -> None:
    machine = Machine(ahead_ms)
    for way in ways:
        machine.send(*way)
        machine.true_ms += 60_000
    off_ms = machine.clock.now_ms() - machine.true_ms
    assert abs(off_ms) <= min(max(way) for way in ways)
    ahead_seconds = machine.clock.ahead_seconds
    assert ahead_seconds is not None
    assert ahead_seconds * 1000 + off_ms == pytest.approx(ahead_ms)


def test_a_right_clock_is_left_alone() -> None:
    machine = Machine(0)
    for _ in range(5):
        machine.send(500, 2)
        assert machine.clock.now_ms() == machine.true_ms


def test_setting_the_machines_clock_changes_nothing_and_is_logged_once_each_way() -> None:
    machine = Machine(0)
    with capture_logs() as logs:
        machine.send()
        for ahead_ms in (7_200_000, 7_200_000, -61_000, 60_000, -60_000):
            machine.ahead_ms = ahead_ms
            assert machine.clock.now_ms() == machine.true_ms
            machine.send()
    told = [{key: row[key] for key in row if key != "log_level"} for row in logs]
    assert told == [
        {"event": "clock_off", "seconds_ahead": 7200, "then": "set it by NTP"},
        {"event": "clock_right"},
    ]


def test_the_clusters_own_answer_sets_the_time_too() -> None:
    machine = Machine(-7_200_000)
    steady_ms = machine.clock.steady_ms()
    machine.clock.note(ClockReading(steady_ms, machine.true_ms, steady_ms))
    assert machine.clock.ahead_seconds == -7200
    assert machine.clock.now_ms() == machine.true_ms
