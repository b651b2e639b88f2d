"""The last message of an integration that a person disables or deletes, sent by the command.

It says why no more messages will come. The command waits for one request and the resends of the
first cycle. If they all fail, the command still does its work.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.delivery.retry_schedule import CYCLES_SECONDS, seconds_before_attempt
from stream_app.domain.errors import ConfigurationError
from stream_app.domain.notices.config_changes import Difference, NoticeType, integration_subject
from stream_app.domain.notices.outgoing import Notice
from stream_app.key_ring import KeyRing
from stream_app.opsgenie.destination import (
    Destinations,
    Outcome,
    alert_body,
    allowed_endpoint,
)
from stream_app.settings import Settings

SYSTEM_EVENT = "system"
LAST_ATTEMPT = 1 + len(CYCLES_SECONDS[0])
#: Answers that a resend would not change: the key or the request is refused.
REFUSED_STATUSES = (401, 403, 422)
#: If a service asks for a longer wait, nothing is resent: a person waits for the command.
MAX_WAIT_SECONDS = 30.0
_ALIAS_CHARACTERS = 32


@dataclass(frozen=True)
class LastMessageResult:
    """The outcome of a last message; `problem` is empty if it was accepted."""

    integration_id: int
    requests: int
    problem: str = ""


@dataclass(frozen=True)
class LastMessageSender:
    """Sends last messages; `actor` is the command, which they name."""

    settings: Settings
    actor: str
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def send(
        self, integration: Integration, client: Client | None, notice_type: NoticeType
    ) -> LastMessageResult:
        """Send the last message of an integration; every failure is a result."""
        delivery = self.settings.delivery
        try:
            endpoint = allowed_endpoint(integration.api, delivery)
            keys = KeyRing.from_settings(self.settings)
            key = keys.open(integration.key, integration.key_context)
            destinations = Destinations(delivery)
        except ConfigurationError as error:
            return LastMessageResult(integration.id, 0, str(error))
        body = _body(integration, client, notice_type, self.actor)
        attempt = 1
        async with destinations:
            destination = destinations.open(endpoint, key)
            while not (outcome := await destination.post(body)).accepted:
                wait = _wait_seconds(outcome, attempt, delivery.retry_scale)
                if wait is None:
                    return LastMessageResult(integration.id, attempt, outcome.message)
                await self.sleep(wait)
                attempt += 1
        return LastMessageResult(integration.id, attempt)


def wants_last_message(integration: Integration) -> bool:
    """Tell whether an integration has selected system events: its own end is one."""
    return SYSTEM_EVENT in integration.events


def _wait_seconds(outcome: Outcome, attempt: int, scale: float) -> float | None:
    """Return how long to wait after a failed attempt; None: it was the last one."""
    step = seconds_before_attempt(attempt + 1)
    asked = outcome.retry_after_seconds or 0.0
    if step is None or attempt >= LAST_ATTEMPT or outcome.status in REFUSED_STATUSES:
        return None
    return None if asked > MAX_WAIT_SECONDS else max(step * scale, asked)


def _body(
    integration: Integration, client: Client | None, notice_type: NoticeType, actor: str
) -> bytes:
    """Return the request's body. Its alias stays the same however often the command is run."""
    facts: Mapping[str, object] | None = (
        None if client is None else {"name": client.name, "cloud": client.cloud}
    )
    subject = integration_subject(integration.id, integration.type, integration.name)
    alias = f"{integration.client_id}/{integration.id}/{integration.epoch}/{notice_type}"
    alias = hashlib.sha256(alias.encode()).hexdigest()[:_ALIAS_CHARACTERS]
    notice = Difference(notice_type, integration.client_id, subject).notice(alias, facts, actor)
    text = _description(notice, integration)
    return alert_body(notice.summary, text, alias, notice.details, integration.alert)


def _description(notice: Notice, integration: Integration) -> str:
    lines = [
        f"Notification type: {notice.details['notification_type']}",
        "",
        f'The integration "{integration.name}" gets no further messages.',
        "",
    ]
    lines += [
        f"{label}: {notice.details[name]}"
        for label, name in (("Client", "client_name"), ("Cloud", "cloud"))
        if name in notice.details
    ]
    return "\n".join(lines)
