"""Tests the heartbeat of the settings once: whether it is there, and whether a ping reaches it.

A ping is sent only when it is asked for: from the first one on, the service pages when the next one
stays away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from stream_app.domain.delivery.reasons import AttemptReason
from stream_app.notifier.direct.trial_report import (
    HeartbeatStage,
    StepReporter,
    StepStatus,
    TrialResult,
)
from stream_app.opsgenie.destination import (
    HeartbeatReading,
    HeartbeatState,
    HeartbeatTarget,
    has_moved,
)

#: A notifier pings once a minute, and four pings may be lost before anybody is paged.
LEAST_EXPIRY_SECONDS = 300
#: Waits before the readings after a ping, which the service processes after its answer.
READING_WAITS_SECONDS = (1.0, 2.0, 4.0, 8.0)
NOT_KNOWN = "whether pings arrive cannot be known from here"


@dataclass(frozen=True)
class HeartbeatTrial:
    """Tests one heartbeat."""

    target: HeartbeatTarget
    steps: StepReporter
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def run(self, *, ping: bool) -> TrialResult:
        """Read the heartbeat; with `ping` also ping it once, and look whether that arrives."""
        self.steps.say(HeartbeatStage.TARGET, StepStatus.OK, self.target.label)
        before = await self.target.read()
        result = self._say_reading(before)
        if not ping or result is not TrialResult.OK:
            return result
        outcome = await self.target.ping()
        if not outcome.accepted:
            text = f"it failed: {outcome.message}"
            return self.steps.fail(HeartbeatStage.PING, outcome, text)
        text = f"accepted (HTTP {outcome.status}), which by itself proves nothing"
        facts = {"http_status": outcome.status, "request_id": outcome.request_id}
        self.steps.say(HeartbeatStage.PING, StepStatus.OK, text, facts)
        return await self._look_for_arrival(before)

    async def _look_for_arrival(self, before: HeartbeatReading) -> TrialResult:
        stage = HeartbeatStage.ARRIVAL
        moved: bool | None = None
        if before.state is not HeartbeatState.UNREADABLE:
            for wait_seconds in READING_WAITS_SECONDS:
                await self.sleep(wait_seconds)
                after = await self.target.read()
                if after.state is not HeartbeatState.UNREADABLE:
                    moved = has_moved(before, after)
                if moved:
                    text = f"the ping has arrived: {after.text}"
                    return self.steps.say(stage, StepStatus.OK, text)
        if moved is None:
            text = f"{NOT_KNOWN}: nothing here tells when the last one came: look at the service"
            return self.steps.say(stage, StepStatus.UNKNOWN, text)
        waited = sum(READING_WAITS_SECONDS)
        text = f"the ping was accepted, and has not arrived after {waited:g} s: {after.text}"
        return self.steps.say(stage, StepStatus.FAILED, text, result=TrialResult.RETRYABLE)

    def _say_reading(self, reading: HeartbeatReading) -> TrialResult:
        stage = HeartbeatStage.READING
        facts = {"state": reading.state, "expires_seconds": reading.expires_seconds}
        if reading.state in {HeartbeatState.MISSING, HeartbeatState.DISABLED}:
            return self.steps.say(
                stage, StepStatus.FAILED, reading.text, facts, TrialResult.REFUSED
            )
        failure = reading.failure
        if failure is not None and failure.reason is not AttemptReason.FORBIDDEN:
            return self.steps.fail(stage, failure, f"it cannot be read: {reading.text}")
        if reading.state is HeartbeatState.UNREADABLE:
            # A key or an account may have the right to ping, and not the right to read.
            text = f"{NOT_KNOWN}: {reading.text}"
            return self.steps.say(stage, StepStatus.UNKNOWN, text, facts)
        is_alive = reading.state is HeartbeatState.ALIVE
        status = StepStatus.OK if is_alive else StepStatus.NOTE
        self.steps.say(stage, status, reading.text, facts)
        seconds = reading.expires_seconds
        if seconds is not None and seconds < LEAST_EXPIRY_SECONDS:
            self.steps.say(
                stage,
                StepStatus.NOTE,
                f"it expires after {seconds} s without a ping: set {LEAST_EXPIRY_SECONDS} s or "
                "more there, five pings of a notifier, or one slow minute pages",
            )
        return TrialResult.OK
