"""Notices as they arrive, from the security cloud, from any script, or from stream_app itself.

A record's value is one notice, a JSON array of notices, or NDJSON. A notice has the documented
envelope `{summary, description?, details: {client_name, cloud, notification_type, ...}}`; our own
notices also have `client_id`, `id` and `stream_app_mark`. Unknown fields are ignored.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.events.parts_decoder import PartsDecoder

#: A larger notice is refused: making Python objects of all its parts takes too long.
MAX_NOTICE_BYTES = 256 * 1024


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
