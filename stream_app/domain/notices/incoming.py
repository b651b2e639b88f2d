"""Notices as they arrive, from the security cloud, from any script, or from stream_app itself.

A record's value is one notice, a JSON array of notices, or NDJSON. A notice has the documented
envelope `{summary, description?, details: {client_name, cloud, notification_type, ...}}`; our own
notices also have `client_id`, `id` and `stream_app_mark`. Unknown fields are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec

from stream_app.domain.alerts.alert import (
    AlertNotice,
    NoticeAlert,
    NoticeTrigger,
    application_names,
    filtered_applications,
    notice_alert_id,
)
from stream_app.domain.alerts.flat_details import flattened_details
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.events.parts_decoder import PartsDecoder
from stream_app.domain.notices.filter_fields import mentioned_applications
from stream_app.domain.notices.outgoing import Notice
from stream_app.domain.notices.signatures import NO_SIGNATURES, NoticeSigner, alert_identity

#: The kind of notice with a URL that the cloud fetches, which may contain a password.
SPECIFICATION_FAILED = "spec_update_failed"
#: A larger notice is refused: making Python objects of all its parts takes too long.
MAX_NOTICE_BYTES = 256 * 1024
_CREDENTIALS = re.compile(r"://[^\s/?#]*@")


class IncomingNotice(msgspec.Struct, frozen=True):
    """One notice. Without `client_id`, `details` name the client."""

    summary: str
    details: dict[str, Any]
    client_id: int | None = None
    id: str | int | None = None
    description: str | None = None
    stream_app_mark: str | None = None

    @property
    def kind(self) -> str:
        """What happened; empty if the notice does not say."""
        return self.text("notification_type")

    @property
    def integration_id(self) -> int | None:
        """The integration that the notice is about, if there is one."""
        integration = self.details.get("integration")
        number = integration.get("id") if isinstance(integration, dict) else None
        return number if isinstance(number, int) else None

    def text(self, name: str) -> str:
        """Return a text of `details`; empty if there is none."""
        found = self.details.get(name)
        return found if isinstance(found, str) else ""


class Origin(msgspec.Struct, frozen=True):
    """Where a notice was read: `topic` without prefix, `index` in the record's array or lines."""

    topic: str
    partition: int
    offset: int
    index: int
    timestamp_ms: int


class NoticeResult(StrEnum):
    """What became of a notice."""

    MATCHED = "matched"
    UNSUBSCRIBED = "unsubscribed"
    UNKNOWN_KIND = "unknown_kind"
    REJECTED = "rejected"


#: A notice needs no client id, since its details may name the client.
notice_decoder = PartsDecoder(IncomingNotice, needs_client=False, most_bytes=MAX_NOTICE_BYTES)


def check_kind(notice: IncomingNotice) -> None:
    """Refuse a notice that does not say what has happened.

    Raises:
        RejectedEventError: it has no `notification_type`.
    """
    if not notice.kind:
        raise RejectedEventError(
            DeadLetterReason.WRONG_TYPE, "details.notification_type is missing or no text"
        )


def notice_alert(
    notice: IncomingNotice,
    origin: Origin,
    client: Client,
    subscription: str,
    integration_ids: tuple[int, ...],
    signer: NoticeSigner = NO_SIGNATURES,
) -> NoticeAlert:
    """Return the alert of a notice; the client name and cloud in it win over the configured."""
    return NoticeAlert(
        id=notice_alert_id(
            client.client_id, notice.kind, _notice_id(notice, origin, client, signer)
        ),
        client_id=client.client_id,
        client_name=notice.text("client_name") or client.name,
        cloud=notice.text("cloud") or client.cloud,
        notice=_alert_notice(notice, origin, subscription),
        integration_ids=integration_ids,
    )


def triggered_alerts(
    notice: IncomingNotice,
    origin: Origin,
    client: Client,
    triggers: Iterable[Trigger],
    signer: NoticeSigner = NO_SIGNATURES,
) -> list[NoticeAlert]:
    """Return one alert for each of the triggers that match a notice."""
    plain = notice_alert(notice, origin, client, "", (), signer)
    notice_id = _notice_id(notice, origin, client, signer)
    mentioned = mentioned_applications(notice.details, client.applications)
    return [
        msgspec.structs.replace(
            plain,
            id=notice_alert_id(client.client_id, notice.kind, notice_id, one.id),
            integration_ids=one.integration_ids,
            trigger=NoticeTrigger(one.id, one.name, one.template_id, one.revision, one.filters),
            applications=application_names(client, [*filtered_applications(one), *mentioned]),
        )
        for one in triggers
    ]


def _notice_id(
    notice: IncomingNotice, origin: Origin, client: Client, signer: NoticeSigner
) -> tuple[str | int, ...]:
    """Return what identifies the notice: the producer's id, or else where it was read.

    Some ids are reserved for our own notices: see `alert_identity`.
    """
    if notice.id is not None and notice.id != "":
        signed = Notice(client.client_id, str(notice.id), notice.summary, notice.details)
        return alert_identity(signed, notice.description, notice.stream_app_mark, signer)
    return (origin.topic, origin.partition, origin.offset, origin.index)


def _alert_notice(notice: IncomingNotice, origin: Origin, subscription: str) -> AlertNotice:
    clean = _without_credentials if notice.kind == SPECIFICATION_FAILED else str
    details: dict[str, str] = {}
    for name, text in flattened_details(notice.details):
        details.setdefault(name, clean(text))
    return AlertNotice(
        kind=notice.kind,
        subscription=subscription,
        summary=clean(notice.summary),
        description=clean(notice.description or ""),
        details=details,
        appended_ms=origin.timestamp_ms,
    )


def _without_credentials(text: str) -> str:
    """Return a text without the `user:password@` of URLs, which no alert may show."""
    return _CREDENTIALS.sub("://", text)
