"""Notices as they come: from this project, from the security cloud, from anybody's script.

A record's value is one notice, a JSON array of them, or NDJSON, in the documented envelope
`{summary, description?, details: {client_name, cloud, notification_type, ...}}`; this project's
own have `client_id`, `id` and `stream_app_mark`, too. Unknown fields are ignored.
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
from stream_app.domain.notices.fields import mentioned_applications
from stream_app.domain.notices.own import Notice
from stream_app.domain.notices.signatures import NO_MARKS, NoticeMarks, identity_of

#: The kind of notice that holds an address which the cloud itself fetches.
SPECIFICATION_FAILED = "spec_update_failed"
_CREDENTIALS = re.compile(r"://[^\s/?#]*@")


class IncomingNotice(msgspec.Struct, frozen=True):
    """One notice. Without `client_id` the client is the one that `details` name."""

    summary: str
    details: dict[str, Any]
    client_id: int | None = None
    id: str | int | None = None
    description: str | None = None
    stream_app_mark: str | None = None

    @property
    def kind(self) -> str:
        """What has happened; empty: the notice does not say."""
        return self.text("notification_type")

    @property
    def integration_id(self) -> int | None:
        """The integration that it is about, if it is about one."""
        integration = self.details.get("integration")
        number = integration.get("id") if isinstance(integration, dict) else None
        return number if isinstance(number, int) else None

    def text(self, name: str) -> str:
        """Return a text of `details`; empty where there is none."""
        found = self.details.get(name)
        return found if isinstance(found, str) else ""


class Origin(msgspec.Struct, frozen=True):
    """Where a notice stands: `topic` without a prefix, `index` in the record's array or lines."""

    topic: str
    partition: int
    offset: int
    index: int
    timestamp_ms: int


#: A larger notice is refused: all of it becomes Python objects, which takes time.
MAX_NOTICE_BYTES = 256 * 1024

#: A notice without a client may name one in its details.
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
    marks: NoticeMarks = NO_MARKS,
) -> NoticeAlert:
    """Return the alert of a notice. What the notice says of its client goes before the record."""
    return NoticeAlert(
        id=notice_alert_id(
            client.client_id, notice.kind, _notice_id(notice, origin, client, marks)
        ),
        client_id=client.client_id,
        client_name=notice.text("client_name") or client.name,
        cloud=notice.text("cloud") or client.cloud,
        notice=_taken(notice, origin, subscription),
        integration_ids=integration_ids,
    )


def triggered_alerts(
    notice: IncomingNotice,
    origin: Origin,
    client: Client,
    triggers: Iterable[Trigger],
    marks: NoticeMarks = NO_MARKS,
) -> list[NoticeAlert]:
    """Return the alerts of the triggers that tell of a notice, one each."""
    plain = notice_alert(notice, origin, client, "", (), marks)
    notice_id = _notice_id(notice, origin, client, marks)
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
    notice: IncomingNotice, origin: Origin, client: Client, marks: NoticeMarks
) -> tuple[str | int, ...]:
    """Return the producer's id alone, or else the place that the notice stands in.

    An id of the project's own is not the producer's: see `identity_of`.
    """
    if notice.id is not None and notice.id != "":
        known = Notice(client.client_id, str(notice.id), notice.summary, notice.details)
        return identity_of(known, notice.description, notice.stream_app_mark, marks)
    return (origin.topic, origin.partition, origin.offset, origin.index)


def _taken(notice: IncomingNotice, origin: Origin, subscription: str) -> AlertNotice:
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
    """Return a text whose addresses have no `user:password@`: no alert shows them to anybody."""
    return _CREDENTIALS.sub("://", text)


class NoticeResult(StrEnum):
    """What became of a notice."""

    MATCHED = "matched"
    UNSUBSCRIBED = "unsubscribed"
    UNKNOWN_KIND = "unknown_kind"
    REJECTED = "rejected"
