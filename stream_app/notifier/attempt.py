"""One attempt of a delivery: where it goes now, with which key, and its result."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.delivery.dependents import PROCESSING_SECONDS
from stream_app.domain.delivery.reasons import (
    OWN_REASONS,
    UNKNOWN_TYPE,
    AttemptReason,
    LocalReason,
    RefusedError,
)
from stream_app.domain.delivery.records import Delivery, Result, ServiceAction, decode_delivery
from stream_app.domain.delivery.state import DeliveryState
from stream_app.domain.errors import ConfigurationError, ResourceShortageError, SealingError
from stream_app.kafka.configuration.view import Configuration
from stream_app.key_ring import KeyRing
from stream_app.logs import get_logger
from stream_app.metrics import Metrics
from stream_app.opsgenie.destination import (
    Destination,
    Destinations,
    Endpoint,
    Outcome,
    allowed_endpoint,
    request_body,
)
from stream_app.setting_groups import DeliverySettings

log = get_logger(__name__)

NOT_PROCESSED_TEXT = (
    "the service has not processed the alert yet: a close that comes too early would leave it open"
)
#: Shortest time between two log lines about a fault of this machine or its network.
REPEAT_MS = 60_000


class Attempts:
    """Makes single attempts. It opens the key just before each, and keeps it nowhere."""

    def __init__(
        self,
        destinations: Destinations,
        keys: KeyRing,
        configuration: Configuration,
        settings: DeliverySettings,
        metrics: Metrics,
        now_ms: Callable[[], int],
    ) -> None:
        self._destinations = destinations
        self._keys = keys
        self._configuration = configuration
        self._settings = settings
        self._metrics = metrics
        self._now_ms = now_ms
        #: Integration -> why no request may be made, so that the log says it once.
        self._refused: dict[int, LocalReason | AttemptReason] = {}
        self._fault_logged_ms = -REPEAT_MS

    async def make(self, state: DeliveryState) -> Result:
        """Make the attempt that is due; a failure is a result, too."""
        delivery = decode_delivery(state.record)
        try:
            integration, endpoint, key = self.resolve(delivery.integration_id, delivery.client_id)
        except RefusedError as error:
            if error.reason in OWN_REASONS:
                self._log_own_fault(error.reason, str(error))
            else:
                self._log_refusal(delivery, error)
            return self._result(state, UNKNOWN_TYPE, error.reason, str(error))
        self._refused.pop(delivery.integration_id, None)
        destination, kind = self._destinations.open(endpoint, key), endpoint.integration_type
        outcome = await self._request(destination, delivery, state)
        if outcome is None:
            return self._result(state, UNKNOWN_TYPE, LocalReason.NOT_PROCESSED, NOT_PROCESSED_TEXT)
        self._metrics.request_duration.labels(kind).observe(outcome.duration_seconds)
        if outcome.reason in OWN_REASONS:
            self._log_own_fault(outcome.reason, outcome.message)
        result = self._result(state, kind, outcome.reason, outcome.message)
        return msgspec.structs.replace(
            result,
            accepted=outcome.accepted,
            duration_seconds=round(outcome.duration_seconds, 6),
            status=outcome.status,
            request_id=outcome.request_id,
            retry_after_seconds=outcome.retry_after_seconds,
            epoch=integration.epoch,
            is_sent=outcome.reason not in OWN_REASONS,
        )

    async def _request(
        self, destination: Destination, delivery: Delivery, state: DeliveryState
    ) -> Outcome | None:
        """Make a delivery's request; None: the alert that it closes is not processed yet."""
        body = request_body(delivery)
        if delivery.action is ServiceAction.NOTE:
            return await destination.note(delivery.alias, body)
        if delivery.action is ServiceAction.CREATE:
            return await destination.post(body)
        if state.request_id:
            known = await destination.status(state.request_id)
            if known.outcome.reason in OWN_REASONS:
                return known.outcome
            if known.outcome.is_not_processed or (
                known.is_success is None and not self._has_waited(state)
            ):
                return None
        return await destination.close(delivery.alias, body)

    def _has_waited(self, state: DeliveryState) -> bool:
        """Tell whether a close has waited as long as one at a service that tells no states."""
        wait_ms = PROCESSING_SECONDS * 1000 * self._settings.retry_scale
        return self._now_ms() - state.released_ms >= wait_ms

    def resolve(
        self, integration_id: int, client_id: int | None
    ) -> tuple[Integration, Endpoint, str]:
        """Return a client's integration as it is now, where its requests go, and its key.

        Without a client it may be anybody's.

        Raises:
            RefusedError: no request may be made.
        """
        integration, endpoint = target_of(
            self._configuration, self._settings, integration_id, client_id
        )
        try:
            key = self._keys.open(integration.key, integration.key_context)
        except ResourceShortageError as error:
            raise RefusedError(AttemptReason.LOCAL_ERROR, str(error)) from None
        except SealingError as error:
            raise RefusedError(LocalReason.KEY_UNREADABLE, str(error)) from None
        return integration, endpoint, key

    def _log_refusal(self, delivery: Delivery, error: RefusedError) -> None:
        integration_id = delivery.integration_id
        if self._refused.get(integration_id) is not error.reason:
            self._refused[integration_id] = error.reason
            log.error(
                "integration_unusable",
                integration_id=integration_id,
                client_id=delivery.client_id,
                reason=error.reason,
                why=str(error),
            )

    def _log_own_fault(self, reason: str, why: str) -> None:
        if self._now_ms() - self._fault_logged_ms >= REPEAT_MS:
            self._fault_logged_ms = self._now_ms()
            log.error(
                "requests_not_possible",
                reason=reason,
                why=why,
                then="no integration is at fault, and nothing counts against one: deliveries wait",
            )

    def _result(
        self, state: DeliveryState, integration_type: str, reason: str, message: str
    ) -> Result:
        """Count an attempt, and return its result as if nothing had been sent."""
        self._metrics.delivery_attempts.labels(integration_type, reason).inc()
        return unsent_result(state, integration_type, reason, message, self._now_ms())


def unsent_result(
    state: DeliveryState, integration_type: str, reason: str, message: str, now_ms: int
) -> Result:
    """Return the result of an attempt that sent nothing."""
    return Result(
        delivery_id=state.id,
        client_id=state.client_id,
        integration_id=state.integration_id,
        integration_type=integration_type,
        attempt=state.attempt,
        accepted=False,
        reason=reason,
        message=message,
        finished_at_ms=now_ms,
        duration_seconds=0.0,
        epoch=state.epoch,
        redrives=state.redrives,
        is_sent=False,
        action=msgspec.UNSET if state.action is ServiceAction.CREATE else state.action,
        alias=state.alias or msgspec.UNSET,
    )


def target_of(
    configuration: Configuration,
    settings: DeliverySettings,
    integration_id: int,
    client_id: int | None,
) -> tuple[Integration, Endpoint]:
    """Return a client's integration as it is now, and where its requests go.

    Raises:
        RefusedError: no request may be made.
    """
    integration = configuration.integrations.get(integration_id)
    if (
        integration is None
        or not configuration.is_usable(integration)
        or client_id not in {None, integration.client_id}
    ):
        whose = "" if client_id is None else f" of client {client_id}"
        raise RefusedError(
            LocalReason.INTEGRATION_UNAVAILABLE,
            f"integration {integration_id}{whose} is not configured or not "
            "active, or the system has disabled it: see `stream-app integrations list`",
        )
    try:
        endpoint = allowed_endpoint(integration.api, settings)
    except ConfigurationError as error:
        raise RefusedError(LocalReason.ENDPOINT_REFUSED, str(error)) from None
    return integration, endpoint
