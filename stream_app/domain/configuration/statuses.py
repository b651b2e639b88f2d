"""Statuses of integrations: whether the system has disabled one, and why.

The judge (`domain/delivery/auto_disable.py`) writes them to `status.integrations`. A status holds
until somebody enables the integration. A judge that does not know of that yet may write another one
afterwards. It has an older epoch, and is void.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.errors import InvalidObjectError

#: The only reason for which the system disables an integration.
FAILED_SHARE = "failed_share"


class IntegrationStatus(msgspec.Struct, frozen=True, gc=False):
    """Whether the system has disabled an integration, and why.

    It was disabled at `since_ms` (Unix ms), when `failed` of the `total` requests of the last
    `window_hours` had failed. `epoch` is that of the integration that was judged. `told` are the
    client's other integrations that got a message of it; versions before 0.3.0 do not write it.
    """

    integration_id: int
    client_id: int
    disabled: bool
    reason: str
    epoch: int
    failed: int
    total: int
    window_hours: int
    since_ms: int
    told: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET

    @property
    def id(self) -> int:
        """The integration's id, which is the record's key."""
        return self.integration_id


encode_status = msgspec.json.Encoder(order="deterministic").encode
decode_status = msgspec.json.Decoder(IntegrationStatus).decode


def parse_status(obj: Mapping[str, object]) -> IntegrationStatus:
    """Build a status from its record.

    Raises:
        InvalidObjectError: the record is no status.
    """
    try:
        return msgspec.convert(obj, IntegrationStatus)
    except msgspec.ValidationError as error:
        raise InvalidObjectError("status", sorted(obj), str(error)) from None


def is_disabled_by_system(integration: Integration, status: IntegrationStatus | None) -> bool:
    """Tell whether the system has disabled an integration that nobody has enabled since."""
    return status is not None and status.disabled and status.epoch >= integration.enabled_at
