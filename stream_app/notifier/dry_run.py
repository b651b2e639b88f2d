"""Attempts of a dry run: they record what would have been posted where, and send nothing.

Nothing here could send: there is no HTTP client and no key. Keys need not even be readable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from stream_app.domain.delivery.reasons import UNKNOWN_TYPE, LocalReason, RefusedError
from stream_app.domain.delivery.records import Result, decode_delivery
from stream_app.domain.delivery.state import DeliveryState
from stream_app.kafka.configuration.view import Configuration
from stream_app.metrics import Metrics
from stream_app.notifier.attempt import target_of, unsent_result
from stream_app.opsgenie.destination import request_body
from stream_app.setting_groups import DeliverySettings


@dataclass(frozen=True)
class DryAttempts:
    """Makes the single attempt that a dry run makes of each delivery."""

    configuration: Configuration
    settings: DeliverySettings
    metrics: Metrics
    now_ms: Callable[[], int]

    async def make(self, state: DeliveryState) -> Result:
        """Return what would have been posted, or why nothing would have been."""
        delivery = decode_delivery(state.record)
        kind: str = UNKNOWN_TYPE
        epoch = state.epoch
        try:
            integration, endpoint = target_of(
                self.configuration, self.settings, delivery.integration_id, delivery.client_id
            )
        except RefusedError as error:
            message = f"dry run, and no request could have been made ({error.reason}): {error}"
        else:
            kind, epoch = endpoint.integration_type, integration.epoch
            what = delivery.message or f"{delivery.action} of {delivery.alias}: {delivery.note}"
            message = f"dry run: not posted to {endpoint.alerts_url}: {what}"
        reason = LocalReason.DRY_RUN
        self.metrics.delivery_attempts.labels(UNKNOWN_TYPE, reason).inc()
        result = unsent_result(state, kind, reason, message, self.now_ms())
        return msgspec.structs.replace(result, epoch=epoch, body=request_body(delivery).decode())
