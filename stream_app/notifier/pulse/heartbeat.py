"""The heartbeat that is pinged, and whether pings reach it.

The answer PONG proves nothing: a heartbeat that does not exist gives it, too. So the heartbeat is
read twice an hour, before two consecutive pings, where its service allows it.
"""

from __future__ import annotations

from collections.abc import Callable

from stream_app.domain.pulse.note import PulseReason, PulseStop
from stream_app.logs import get_logger
from stream_app.opsgenie.destination import (
    HeartbeatReading,
    HeartbeatState,
    HeartbeatTarget,
    has_moved,
)

log = get_logger(__name__)

#: Time between two checks.
CHECK_MS = 3600 * 1000


class PingedHeartbeat:
    """Pings a heartbeat, and reads it now and then, by a clock that is never set."""

    def __init__(self, target: HeartbeatTarget, steady_ms: Callable[[], int]) -> None:
        self._target = target
        self._steady_ms = steady_ms
        self._check_ms = 0
        #: The reading before the last ping, while a check is on.
        self._earlier: HeartbeatReading | None = None
        self._is_unproven_logged = False
        #: What is wrong with the heartbeat itself: it is pinged all the same.
        self.fault: PulseStop | None = None

    async def ping(self) -> PulseStop | None:
        """Ping it; return why that failed."""
        if self._earlier is not None or self._steady_ms() >= self._check_ms:
            await self._check()
        outcome = await self._target.ping()
        if outcome.accepted:
            return None
        self._earlier = None  # nothing will have moved
        return PulseStop(PulseReason.PING_FAILED, f"{self._target.label}: {outcome.message}")

    async def _check(self) -> None:
        earlier, reading = self._earlier, await self._target.read()
        problem = None
        if reading.state in {HeartbeatState.MISSING, HeartbeatState.DISABLED}:
            problem = reading.text
        elif earlier is not None and has_moved(earlier, reading) is False:
            problem = "its last ping is not ours: check its name, and the key's account"
        if problem is None:
            self.fault = None
        else:
            self.fault = PulseStop(PulseReason.HEARTBEAT, f"{self._target.label}: {problem}")
        is_over = earlier is not None and problem is None
        if is_over and not self._is_unproven_logged and reading.last_ping_ms is None:
            self._is_unproven_logged = True
            log.warning("heartbeat_unproven", heartbeat=self._target.label, why=reading.text)
        self._earlier = None if is_over else reading
        if is_over:
            self._check_ms = self._steady_ms() + CHECK_MS
