"""The three kinds of heartbeats: each ping or reading is one attempt, and its result an outcome.

Nothing raises and nothing is logged here. No text shows a key, a token, or the path of a plain URL.
Opsgenie documents at most one ping a minute; callers see to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote, urlsplit

from stream_app.domain.delivery.reasons import (
    AttemptReason,
    IntegrationType,
    LocalReason,
    RefusedError,
)
from stream_app.domain.foreign_text.printable import quoted
from stream_app.heartbeat_settings import HeartbeatSettings
from stream_app.opsgenie.client import OpsgenieClient
from stream_app.opsgenie.endpoints import Endpoint
from stream_app.opsgenie.heartbeats.reading import (
    NOT_TOLD,
    HeartbeatReading,
    read_jsm,
    read_opsgenie,
    unreadable,
)
from stream_app.opsgenie.outcome import EXPLANATIONS, Outcome

#: Returns an integration's endpoint and its key; raises RefusedError.
ResolveIntegration = Callable[[int], tuple[Endpoint, str]]

_NO_HEARTBEAT = "there is no such heartbeat: correct STREAM_APP_HEARTBEAT__NAME, or create it"
OPSGENIE_EXPLANATIONS: Mapping[AttemptReason, str] = {
    **EXPLANATIONS,
    AttemptReason.NOT_FOUND: _NO_HEARTBEAT,
    AttemptReason.UNPROCESSABLE: "the service refuses the heartbeat's name",
    AttemptReason.PAYMENT_REQUIRED: "the plan of the account has no heartbeats",
}
JSM_EXPLANATIONS: Mapping[AttemptReason, str] = {
    **EXPLANATIONS,
    AttemptReason.REDIRECT: "the service redirects elsewhere, and a token is never sent to another "
    "address",
    AttemptReason.UNAUTHORIZED: "the e-mail or the API token is wrong, or the token has expired: "
    "make a new one in the Atlassian account",
    AttemptReason.FORBIDDEN: "the account may not do this: make it a member of the team",
    AttemptReason.NOT_FOUND: "there is no such cloud, team or heartbeat: check "
    "STREAM_APP_HEARTBEAT__CLOUD_ID, …__TEAM_ID and …__NAME",
    AttemptReason.UNPROCESSABLE: "the service refuses the heartbeat's name",
    AttemptReason.PAYMENT_REQUIRED: "the plan of the site has no heartbeats",
}
_CHECK_URL = "check STREAM_APP_HEARTBEAT__URL"
URL_EXPLANATIONS: Mapping[AttemptReason, str] = {
    **EXPLANATIONS,
    AttemptReason.REDIRECT: "the service redirects elsewhere, which is not followed: set "
    "STREAM_APP_HEARTBEAT__URL to the new address",
    AttemptReason.UNAUTHORIZED: f"the service wants a sign-in: {_CHECK_URL}",
    AttemptReason.FORBIDDEN: f"the service refuses this: {_CHECK_URL}",
    AttemptReason.NOT_FOUND: f"there is no such address: {_CHECK_URL}",
    AttemptReason.UNPROCESSABLE: f"the service refuses this: {_CHECK_URL}",
    AttemptReason.KEY_FORMAT: f"the service refuses this: {_CHECK_URL}",
}


class HeartbeatTarget(Protocol):
    """A heartbeat. `label` names it for people, and shows no secret."""

    @property
    def label(self) -> str:
        """Return its name for people."""

    async def ping(self) -> Outcome:
        """Make one attempt to ping it. That it was accepted does not prove that it exists."""

    async def read(self) -> HeartbeatReading:
        """Make one attempt to read it.

        Pings are processed after their answer. So read before the next ping, and compare with the
        reading before the last one (`has_moved`).
        """


@dataclass(frozen=True, slots=True)
class OpsgenieHeartbeat:
    """A heartbeat of Opsgenie. The key of its integration is opened for each request."""

    name: str
    integration_id: int
    _client: OpsgenieClient = field(repr=False)
    _resolve: ResolveIntegration = field(repr=False)

    @property
    def label(self) -> str:
        """Return its name for people."""
        return f"heartbeat {quoted(self.name)} of Opsgenie, integration {self.integration_id}"

    async def ping(self) -> Outcome:
        """Make one attempt to ping it."""
        outcome, _ = await self._get("/ping")
        return outcome

    async def read(self) -> HeartbeatReading:
        """Make one attempt to read it, which the key may lack the right for."""
        outcome, body = await self._get("")
        return read_opsgenie(outcome, body)

    async def _get(self, suffix: str) -> tuple[Outcome, bytes]:
        try:
            endpoint, key = self._resolve(self.integration_id)
        except RefusedError as error:
            return Outcome(error.reason, str(error)), b""
        if endpoint.integration_type is not IntegrationType.OPSGENIE:
            text = (
                f"integration {self.integration_id} is one of Jira Service Management, whose keys "
                "ping no heartbeat: set STREAM_APP_HEARTBEAT__TARGET to jsm"
            )
            return Outcome(LocalReason.ENDPOINT_REFUSED, text), b""
        base = endpoint.alerts_url.removesuffix("/alerts")
        url = f"{base}/heartbeats/{quote(self.name, safe='')}{suffix}"
        return await self._client.get(url, key, OPSGENIE_EXPLANATIONS)


@dataclass(frozen=True, slots=True)
class JsmHeartbeat:
    """A heartbeat of a team in Jira Service Management, by the API token of an account.

    `heartbeats_url` is that of the team's heartbeats.
    """

    name: str
    heartbeats_url: str
    email: str = field(repr=False)
    api_token: str = field(repr=False)
    _client: OpsgenieClient = field(repr=False)

    @property
    def label(self) -> str:
        """Return its name for people."""
        return f"heartbeat {quoted(self.name)} of Jira Service Management"

    async def ping(self) -> Outcome:
        """Make one attempt to ping it."""
        outcome, _ = await self._get("/ping")
        return outcome

    async def read(self) -> HeartbeatReading:
        """Make one attempt to read it; when its last ping came is not told."""
        outcome, body = await self._get("")
        return read_jsm(outcome, body, self.name)

    async def _get(self, suffix: str) -> tuple[Outcome, bytes]:
        url = f"{self.heartbeats_url}{suffix}?name={quote(self.name, safe='')}"
        return await self._client.get(url, self.api_token, JSM_EXPLANATIONS, user=self.email)


@dataclass(frozen=True, slots=True)
class UrlHeartbeat:
    """A plain address, of which only the host is shown."""

    url: str = field(repr=False)
    _client: OpsgenieClient = field(repr=False)

    @property
    def label(self) -> str:
        """Return its name for people."""
        return f"the address at {urlsplit(self.url).hostname} of STREAM_APP_HEARTBEAT__URL"

    async def ping(self) -> Outcome:
        """Make one attempt to get the address."""
        parts = urlsplit(self.url)
        hidden = f"{parts.path}?{parts.query}" if parts.query else parts.path or "/"
        outcome, _ = await self._client.get(self.url, None, URL_EXPLANATIONS, hidden=hidden)
        return outcome

    async def read(self) -> HeartbeatReading:
        """Return that nothing can be read."""
        return unreadable(NOT_TOLD)


def heartbeat_target(
    settings: HeartbeatSettings, client: OpsgenieClient, resolve: ResolveIntegration
) -> HeartbeatTarget | None:
    """Return the heartbeat of settings in which nothing is wrong; None: they name none."""
    if settings.target == "opsgenie":
        return OpsgenieHeartbeat(settings.name or "", settings.integration_id or 0, client, resolve)
    if settings.target == "jsm":
        base = f"{settings.jsm_api.rstrip('/')}/{settings.cloud_id}"
        token = "" if settings.api_token is None else settings.api_token.get_secret_value()
        return JsmHeartbeat(
            settings.name or "",
            f"{base}/v1/teams/{settings.team_id}/heartbeats",
            settings.email or "",
            token,
            client,
        )
    if settings.url is not None:
        return UrlHeartbeat(settings.url.get_secret_value().strip(), client)
    return None
