"""The sender: posts due deliveries, and writes the result of each attempt for `deliver` to read.

It knows nothing of retries: `deliver` tells it what is due when. It makes one attempt of a delivery
at a time, and only while the partition is this worker's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Protocol

from stream_app.domain.delivery.rate_limit_pauses import MAX_PAUSE_MS, pause_end_ms
from stream_app.domain.delivery.reasons import AttemptReason, LocalReason
from stream_app.domain.delivery.records import Result
from stream_app.domain.delivery.retry_schedule import own_fault_wait_ms
from stream_app.domain.delivery.state import DeliveryState
from stream_app.domain.delivery.transitions import remaining_wait_ms
from stream_app.domain.pacing.due_queue import DueQueue
from stream_app.kafka.cluster.broker_clock import BrokerClock
from stream_app.kafka.engine.ownership import POLL_SECONDS, Ownership, run_beside
from stream_app.setting_groups import DeliverySettings

#: An answer that takes longer is slow.
SLOW_SECONDS = 2.0
#: Most requests a second to a failing integration, until one is accepted: ten thousand resends to
#: a dead endpoint must not slow down the others.
FAILING_PER_SECOND = 5.0
#: Longest sleep of the loop, since the machine may be suspended meanwhile.
MAX_SLEEP_SECONDS = 0.5


@dataclass(frozen=True)
class Job:
    """A delivery that will be due, and the partition that its result goes to."""

    partition: int
    state: DeliveryState


class MakeAttempt(Protocol):
    """Makes one attempt; an exception ends the worker."""

    def __call__(self, state: DeliveryState) -> Awaitable[Result]:
        """Return the attempt's result."""


#: Writes a result to a partition, or raises; done when the broker has acknowledged it.
WriteResult = Callable[[int, Result], Awaitable[None]]


class Sender:
    """A service beside the agents, with the due times of this worker's pending deliveries.

    How long to wait is computed once, when a delivery is scheduled, and then measured by a clock
    that is never set.

    Args:
        client: is opened when the service starts, and closed when it stops.
        stop_seconds: how long requests in flight may continue when the service is stopped.
    """

    def __init__(
        self,
        *,
        client: contextlib.AbstractAsyncContextManager[Any],
        make_attempt: MakeAttempt,
        write_result: WriteResult,
        ownership: Ownership,
        settings: DeliverySettings,
        stop_seconds: float,
        clock: BrokerClock,
    ) -> None:
        self._client = client
        self._make_attempt = make_attempt
        self._write_result = write_result
        self._ownership = ownership
        self._stop_seconds = stop_seconds
        self._clock = clock
        self._queue: DueQueue[Job] = DueQueue(
            settings.max_in_flight,
            settings.max_in_flight_per_integration,
            settings.max_requests_per_second,
            FAILING_PER_SECOND / settings.retry_scale,
        )
        self._retry_scale = settings.retry_scale
        self._generation = -1
        self._is_stopping = False
        self._wake = asyncio.Event()
        self._resources = AsyncExitStack()
        self._loop: asyncio.Task[None] | None = None
        self._attempts: set[asyncio.Task[None]] = set()

    # -- called by `deliver`

    def clear(self) -> None:
        """Forget all that waits: the partitions have been assigned anew, and the states read."""
        self._generation = self._ownership.generation
        self._queue.clear()

    def schedule(self, partition: int, state: DeliveryState) -> None:
        """Have the attempt of a pending delivery made when it is due."""
        wait_ms = remaining_wait_ms(state, self._clock.now_ms(), self._retry_scale)
        job, due_ms = Job(partition, state), self._clock.steady_ms() + wait_ms
        self._queue.put(state.id, state.integration_id, due_ms, job, attempt=state.attempt)
        self._wake.set()

    def hold(self, integration_id: int, until_ms: int) -> None:
        """Make no attempt for an integration before a time (Unix ms)."""
        wait_ms = min(until_ms - self._clock.now_ms(), MAX_PAUSE_MS)
        self._queue.hold(integration_id, self._clock.steady_ms() + wait_ms)

    def forget(self, delivery_id: str) -> None:
        """Make no further attempt of a delivery."""
        self._queue.discard(delivery_id)

    def waiting_since(self) -> dict[int, int]:
        """Return the integrations with due deliveries, and since when each could be served.

        The times are ms of the clock that is never set.
        """
        return self._queue.waiting_since(self._clock.steady_ms())

    # -- the service

    async def start(self) -> None:
        """Open the client, and start to send what is scheduled."""
        await self._resources.enter_async_context(self._client)
        self._loop = run_beside(self._ownership, self._run(), "sender")

    async def stop(self) -> None:
        """Start no more requests; give those in flight time to end and to write their results.

        A request that does not end in time is cut off. Its delivery stays due, and the next owner
        sends it.
        """
        self._is_stopping = True
        self._wake.set()
        if self._loop is not None:
            await asyncio.wait({self._loop})
        if self._attempts:
            await asyncio.wait(self._attempts, timeout=self._stop_seconds)
        for task in list(self._attempts):
            task.cancel()
        await asyncio.gather(*self._attempts, return_exceptions=True)
        await self._resources.aclose()

    async def _run(self) -> None:
        while not self._is_stopping:
            self._wake.clear()
            seconds = self._dispatch()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()

    def _dispatch(self) -> float | None:
        """Start what is due; return how many seconds to sleep (None: until the next wake)."""
        if not self._queue:
            return None
        if not self._ownership.is_current(self._generation):
            return POLL_SECONDS  # a rebalance: `clear` comes before it is over
        now_ms = self._clock.steady_ms()
        for job in self._queue.take(now_ms):
            task = run_beside(self._ownership, self._attempt(job, self._generation))
            self._attempts.add(task)
            task.add_done_callback(self._attempts.discard)
        due_ms = self._queue.next_due_ms()
        return None if due_ms is None else min((due_ms - now_ms) / 1000, MAX_SLEEP_SECONDS)

    async def _attempt(self, job: Job, generation: int) -> None:
        is_made = False
        try:
            if await self._may_send(generation):
                result = await self._make_attempt(job.state)
                self._note_answer(result)
                # Even after a rebalance: the new owner must know of an attempt that was made.
                await self._write_result(job.partition, result)
                # What counts as no attempt is repeated, and may be queued already.
                is_made = not result.is_no_attempt
        finally:
            self._settle(job, is_made=is_made)

    async def _may_send(self, generation: int) -> bool:
        """Tell, just before a request, whether this worker may still make it.

        A fresh heartbeat alone is not enough. It may come in the middle of a rebalance: a flush may
        still end then, but a request would overlap with one of the next owner.
        """
        is_fresh = await self._ownership.confirm(generation)
        return is_fresh and self._ownership.is_current(generation) and not self._is_stopping

    def _note_answer(self, result: Result) -> None:
        """Note how an integration answers: slowly, not accepting, or asking for a pause.

        The service limits an account and not one alert, so its other deliveries would fail, too.
        """
        integration_id = result.integration_id
        if result.is_own_fault:
            # Its other deliveries would most probably meet the same fault.
            self.hold(integration_id, result.finished_at_ms + own_fault_wait_ms(self._retry_scale))
        if result.reason in (AttemptReason.LOCAL_ERROR, LocalReason.NOT_PROCESSED):
            return  # no request was made
        is_quick = result.duration_seconds < SLOW_SECONDS
        is_accepted = result.accepted or result.is_dry_run
        self._queue.note_result(integration_id, is_quick=is_quick, is_accepted=is_accepted)
        until_ms = pause_end_ms(result, self._retry_scale)
        if until_ms is not None:
            self.hold(integration_id, until_ms)

    def _settle(self, job: Job, *, is_made: bool) -> None:
        """Free the place of an attempt.

        If it was made, it is dropped from the queue, where a rebalance may have put it again.
        """
        waiting = self._queue.waiting(job.state.id)
        if is_made and waiting is not None and waiting.state.order <= job.state.order:
            self._queue.discard(job.state.id)
        self._queue.release(job.state.id)
        self._wake.set()
