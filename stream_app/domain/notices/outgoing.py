"""Notices that stream_app writes to `events.account` itself.

Their bodies have the form that the product documents for each `notification_type`. A notice's id
depends only on what happened, so a notice that is written twice is one alert for its readers.
"""

from __future__ import annotations

from typing import Any

import msgspec

from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.configuration.statuses import IntegrationStatus
from stream_app.domain.delivery.auto_disable import Verdict
from stream_app.domain.times import HOUR_MS


class Notice(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happened to an account; its kind is `notification_type` in `details`.

    `stream_app_mark` is the signature: see `signatures.py`.
    """

    client_id: int
    id: str
    summary: str
    details: dict[str, Any]
    stream_app_mark: str = ""

    @property
    def key(self) -> bytes:
        """The record's key."""
        return str(self.client_id).encode()


_encode = msgspec.json.Encoder(order="deterministic").encode


def encode_notice(notice: Notice) -> bytes:
    """Return the record's value; equal notices give equal bytes."""
    return _encode(notice)


def notice_of(
    client_id: int,
    client: Client | None,
    notice_id: str,
    kind: str,
    summary: str,
    **details: object,
) -> Notice:
    """Return a notice about a client; name and cloud are left out if it is not configured."""
    known = {"client_name": client.name, "cloud": client.cloud} if client else {}
    body = {**known, "notification_type": kind, **details}
    return Notice(client_id, notice_id, f"[Wallarm] {summary}", body)


def integration_details(integration_id: int, integration: Integration | None) -> dict[str, object]:
    """Return what a notice says about an integration, which may be deleted by now."""
    kind = integration.type if integration else "opsgenie"
    return {"id": integration_id, "type": kind, "name": integration.name if integration else ""}


def integration_broken(
    verdict: Verdict,
    status: IntegrationStatus,
    client: Client | None,
    integration: Integration | None,
) -> Notice:
    """Return the notice that the judge has disabled an integration; one for each epoch."""
    return notice_of(
        verdict.client_id,
        client,
        f"integration_broken/{verdict.integration_id}/{verdict.epoch}",
        "integration_broken",
        "Integration was disabled because of delivery errors",
        integration=integration_details(verdict.integration_id, integration),
        failed=verdict.failed,
        total=verdict.total,
        window_hours=status.window_hours,
        last_status=verdict.last_status,
        last_reason=verdict.last_reason,
    )


def deliveries_overflowed(
    client_id: int,
    client: Client | None,
    integration_id: int,
    integration: Integration | None,
    at_ms: int,
) -> Notice:
    """Return the notice that an integration has too many pending deliveries; one for each hour.

    The product has no such notice: its kind is our own.
    """
    return notice_of(
        client_id,
        client,
        f"deliveries_overflowed/{integration_id}/{at_ms // HOUR_MS}",
        "deliveries_overflowed",
        "Alerts of an integration are held back: too many wait for it",
        integration=integration_details(integration_id, integration),
    )


def alerts_stale(
    client_id: int, client: Client | None, max_age_seconds: float, at_ms: int
) -> Notice:
    """Return the notice that alerts were too old to page anybody; one for each hour.

    The product has no such notice: its kind is our own.
    """
    return notice_of(
        client_id,
        client,
        f"alerts_stale/{client_id}/{at_ms // HOUR_MS}",
        "alerts_stale",
        "Alerts were too old to be sent",
        max_age_seconds=max_age_seconds,
    )
