"""A heartbeat is read now and then, and said to be at fault if pings do not reach it."""

from __future__ import annotations

from structlog.testing import capture_logs

from stream_app.domain.delivery.reasons import AttemptReason
from stream_app.notifier.pulse.heartbeat import CHECK_MS, PingedHeartbeat
from stream_app.opsgenie.destination import (
    HeartbeatReading,
    HeartbeatState,
    HeartbeatTarget,
    Outcome,
)

ALIVE, MISSING = HeartbeatState.ALIVE, HeartbeatState.MISSING


class Target:
    def __init__(self) -> None:
        self.heartbeat = HeartbeatTarget("heartbeat pager", self._get, self._read)
        self.is_up = True
        self.reads = 0
        self.moves = True
        self.state = ALIVE
        self.tells = True
        self._pings = 0

    async def _get(self, suffix: str) -> tuple[Outcome, bytes]:
        self._pings += self.moves and suffix == "/ping"
        if self.is_up:
            return Outcome(AttemptReason.ACCEPTED, "PONG"), b""
        return Outcome(AttemptReason.TIMEOUT, "no answer"), b""

    def _read(self, _outcome: Outcome, _body: bytes) -> HeartbeatReading:
        self.reads += 1
        return HeartbeatReading(self.state, "as told", self._pings if self.tells else None)


class Bench:
    def __init__(self) -> None:
        self.target, self.now_ms = Target(), 0
        self.heartbeat = PingedHeartbeat(self.target.heartbeat, lambda: self.now_ms)

    async def ping(self, times: int = 1) -> str | None:
        for _ in range(times):
            await self.heartbeat.ping()
        return None if self.heartbeat.fault is None else self.heartbeat.fault.why


async def test_it_is_read_twice_in_an_hour_around_a_ping() -> None:
    bench = Bench()
    assert await bench.ping(5) is None
    assert bench.target.reads == 2
    bench.now_ms = CHECK_MS
    assert await bench.ping(5) is None
    assert bench.target.reads == 4


async def test_one_that_does_not_move_is_at_fault_until_it_does() -> None:
    bench = Bench()
    bench.target.moves = False
    assert await bench.ping() is None
    assert "its last ping is not ours" in str(await bench.ping(4))
    bench.target.moves = True
    assert await bench.ping(2) is None


async def test_one_that_is_missing_is_at_fault_and_is_pinged_all_the_same() -> None:
    bench = Bench()
    bench.target.state = MISSING
    assert await bench.ping() == "heartbeat pager: as told"
    assert await bench.heartbeat.ping() is None


async def test_a_failed_ping_says_why_and_moves_nothing() -> None:
    bench = Bench()
    bench.target.is_up = bench.target.moves = False
    stop = await bench.heartbeat.ping()
    assert str(stop) == "heartbeat pager: no answer (ping_failed)"
    bench.target.is_up = True
    assert await bench.ping() is None


async def test_that_the_service_tells_no_ping_is_said_once() -> None:
    bench = Bench()
    bench.target.tells = False
    with capture_logs() as logs:
        await bench.ping(3)
        bench.now_ms = CHECK_MS
        await bench.ping(3)
    assert [row["event"] for row in logs] == ["heartbeat_unproven"]
    assert bench.heartbeat.fault is None
