"""Checks in the background what became of a sample of the accepted requests.

A 202 says that the service has accepted a request, not that it has made an alert of it. A check
only reports, and changes no delivery: a service that drops an alert by its own rules would drop it
again. So checks must not slow down deliveries: they are limited in number, and have connections of
their own. A lost check does no harm.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgspec

from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.delivery.rate_limit_pauses import DEFAULT_PAUSE_SECONDS
from stream_app.domain.delivery.reasons import AttemptReason, IntegrationType, RefusedError
from stream_app.domain.delivery.records import Checked, Result
from stream_app.domain.delivery.status_checks import CheckOutcome, CheckSample
from stream_app.domain.times import HOUR_MS
from stream_app.kafka.engine.ownership import Ownership
from stream_app.logs import get_logger
from stream_app.metrics import Metrics
from stream_app.opsgenie.destination import (
    Destinations,
    Endpoint,
    RequestCheck,
    RequestStatus,
    check_request,
    is_about_no_alert,
)
from stream_app.setting_groups import DeliverySettings

log = get_logger(__name__)

#: Most checks at a time. Beyond it, accepted requests are not checked.
MAX_CHECKS = 500
#: Most requests of checks in flight.
MAX_IN_FLIGHT = 4

#: Returns a client's integration, its endpoint and its key; raises RefusedError.
Resolve = Callable[[int, int], tuple[Integration, Endpoint, str]]
#: Writes the result of a check to a partition; done when the broker has acknowledged it.
WriteChecked = Callable[[int, Checked], Awaitable[None]]


class _DroppedError(Exception):
    """The check is dropped: it is not this worker's any more, or may not be made now."""


class StatusChecks:
    """A service beside the sender."""

    def __init__(
        self,
        resolve: Resolve,
        write: WriteChecked,
        ownership: Ownership,
        settings: DeliverySettings,
        metrics: Metrics,
        now_ms: Callable[[], int],
    ) -> None:
        self._destinations = Destinations(
            settings.model_copy(update={"max_in_flight": MAX_IN_FLIGHT})
        )
        self._resolve = resolve
        self._write = write
        self._ownership = ownership
        self._scale = settings.retry_scale
        self._metrics = metrics
        self._now_ms = now_ms
        self._sample = CheckSample(settings.status_check_share)
        self._places = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._checks: set[asyncio.Task[None]] = set()
        #: Integration -> time before which its requests are not checked, Unix ms.
        self._paused_until_ms: dict[int, int] = {}
        #: Integrations whose last check found a failure, so that the log says it once.
        self._failing: set[int] = set()

    async def start(self) -> None:
        """Open the client."""
        await self._destinations.__aenter__()

    async def stop(self) -> None:
        """Drop all checks."""
        for task in list(self._checks):
            task.cancel()
        await asyncio.gather(*self._checks, return_exceptions=True)
        await self._destinations.__aexit__(None, None, None)

    def offer(self, partition: int, result: Result) -> None:
        """Start a check of an accepted request if it belongs to the sample; do not wait for it."""
        integration_id, now_ms = result.integration_id, result.finished_at_ms
        if (
            not (result.accepted and result.request_id)
            or len(self._checks) >= MAX_CHECKS
            or self._is_paused(integration_id)
            or not self._sample.chooses(result.delivery_id, integration_id, now_ms)
        ):
            return
        check = self._check(partition, result, result.request_id, self._ownership.generation)
        task = asyncio.create_task(check, name="status check")
        self._checks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._checks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, _DroppedError):
                return
            # The worker goes on: the delivery itself is done, and its result is written.
            log.error("status_check_failed", error=str(error) or type(error).__name__)

    async def _check(
        self, partition: int, result: Result, request_id: str, generation: int
    ) -> None:
        async def ask() -> RequestStatus:
            async with self._places:
                endpoint, key = self._target(result, generation)
                return await self._destinations.open(endpoint, key).status(request_id)

        kind = IntegrationType(result.integration_type)
        check = await check_request(ask, kind, asyncio.sleep, self._scale)
        if result.action is not msgspec.UNSET and is_about_no_alert(check.status):
            # Somebody has closed the alert meanwhile, which is no fault of the integration.
            check = replace(check, outcome=CheckOutcome.SUCCESS)
        self._metrics.request_status.labels(kind, check.outcome).inc()
        self._pause(result.integration_id, kind, check)
        checked = Checked(
            delivery_id=result.delivery_id,
            client_id=result.client_id,
            integration_id=result.integration_id,
            integration_type=result.integration_type,
            request_id=request_id,
            outcome=check.outcome,
            status=check.status,
            checked_at_ms=self._now_ms(),
            epoch=result.epoch,
        )
        self._log(checked)
        await self._write(partition, checked)

    def _target(self, result: Result, generation: int) -> tuple[Endpoint, str]:
        """Return the endpoint to ask and the key, as they are just before each request."""
        if not self._ownership.is_current(generation) or self._is_paused(result.integration_id):
            raise _DroppedError
        try:
            integration, endpoint, key = self._resolve(result.integration_id, result.client_id)
        except RefusedError:
            raise _DroppedError from None
        if integration.epoch != result.epoch:
            raise _DroppedError  # the new target does not know the request
        return endpoint, key

    def _pause(self, integration_id: int, kind: IntegrationType, check: RequestCheck) -> None:
        """Pause the checks of an integration after a rate limit, or if JSM tells no status."""
        if check.answer.reason is AttemptReason.RATE_LIMITED:
            asked = check.answer.retry_after_seconds or DEFAULT_PAUSE_SECONDS * self._scale
            self._paused_until_ms[integration_id] = self._now_ms() + math.ceil(asked * 1000)
        elif kind is IntegrationType.JSM and check.outcome is CheckOutcome.UNKNOWN:
            self._paused_until_ms[integration_id] = self._now_ms() + HOUR_MS

    def _is_paused(self, integration_id: int) -> bool:
        until_ms = self._paused_until_ms.get(integration_id)
        if until_ms is not None and until_ms <= self._now_ms():
            del self._paused_until_ms[integration_id]
            return False
        return until_ms is not None

    def _log(self, checked: Checked) -> None:
        """Log the first failure, and the first success after it."""
        integration_id = checked.integration_id
        facts = {
            "integration_id": integration_id,
            "client_id": checked.client_id,
            "alert_id": checked.alert_id,
            "request_id": checked.request_id,
            "status": checked.status,
        }
        if checked.outcome is CheckOutcome.FAILED and integration_id not in self._failing:
            self._failing.add(integration_id)
            then = "look at the rules of the integration at the service; it is not sent again"
            log.warning("request_not_successful", **facts, then=then)
        elif checked.outcome is CheckOutcome.SUCCESS and integration_id in self._failing:
            self._failing.discard(integration_id)
            log.info("request_successful_again", **facts)
