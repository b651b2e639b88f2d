"""What the log and the metrics say of a pulse that stops."""

from __future__ import annotations

from prometheus_client import generate_latest
from structlog.testing import capture_logs

from stream_app.domain.pulse.note import PulseReason, PulseStop
from stream_app.metrics import Metrics
from stream_app.notifier.pulse.report import PulseReport

GONE = PulseStop(PulseReason.NO_WORKER, "no detector is running")
MISSING = PulseStop(PulseReason.EVENT_MISSING, "an event has not come through")


class Bench:
    def __init__(self) -> None:
        self.metrics = Metrics("notifier")
        self.report = PulseReport(self.metrics, 100)

    def blocked(self) -> dict[str, float]:
        name = 'stream_app_pulse_blocked{reason="'
        rows = [
            line.removeprefix(name).split('"} ')
            for line in generate_latest(self.metrics.registry).decode().splitlines()
            if line.startswith(name)
        ]
        return {reason: float(value) for reason, value in rows}

    def stopped(self, now_ms: int, *stops: PulseStop) -> list[str]:
        with capture_logs() as logs:
            self.report.stopped(now_ms, stops)
        return [f"{row['event']} {row['reason']}" for row in logs]


def test_a_notifier_that_does_not_ping_shows_nothing() -> None:
    bench = Bench()
    assert bench.blocked() == {}
    bench.stopped(0, GONE)
    bench.report.reset()
    assert bench.blocked() == {}


def test_the_metric_has_a_reason_at_once_and_the_log_once_after_a_while() -> None:
    bench = Bench()
    bench.report.pinged(0, 5000, is_well=True)
    assert set(bench.blocked()) == set(PulseReason)
    assert set(bench.blocked().values()) == {0.0}
    assert bench.stopped(99, GONE) == []
    assert bench.blocked()["no_worker"] == 1
    assert bench.stopped(100, GONE) == ["pulse_stopped no_worker"]
    assert bench.stopped(150, GONE) == []
    assert bench.stopped(200, GONE, MISSING) == ["pulse_stopped event_missing"]
    assert bench.stopped(300) == []
    with capture_logs() as logs:
        bench.report.pinged(400, 6000, is_well=True)
        bench.report.pinged(410, 6000, is_well=True)
    assert [row["event"] for row in logs] == ["pulse_back"]
    assert bench.stopped(499, GONE) == []


def test_pings_that_reach_nobody_are_told_too() -> None:
    bench = Bench()
    stop = PulseStop(PulseReason.HEARTBEAT, "it is disabled")
    bench.report.pinged(0, 5000, is_well=True)
    for now_ms in (50, 99):
        bench.report.pinged(now_ms, 5000, is_well=False)
        assert bench.stopped(now_ms, stop) == []
    assert bench.stopped(100, stop) == ["pulse_stopped heartbeat"]


def test_it_tells_when_a_person_must_be_told() -> None:
    report = PulseReport(Metrics("notifier"), 100)
    assert [report.stopped(at_ms, [GONE]) for at_ms in (0, 100, 200)] == [False, True, False]
