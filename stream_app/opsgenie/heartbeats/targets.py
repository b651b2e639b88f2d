"""The three kinds of heartbeats: each ping or reading is one attempt, and its result an outcome.

Nothing raises and nothing is logged here. No text shows a key, a token, or the path of a plain URL.
Opsgenie documents at most one ping a minute; callers see to it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
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


@dataclass(frozen=True, slots=True)
class HeartbeatTarget:
    """A heartbeat. `label` names it for people, and shows no secret."""

    label: str
    #: Makes one request: to the heartbeat, or with `/ping` to what pings it.
    _get: Callable[[str], Awaitable[tuple[Outcome, bytes]]] = field(repr=False)
    #: None: nothing can be read.
    _reading: Callable[[Outcome, bytes], HeartbeatReading] | None = field(repr=False)

    async def ping(self) -> Outcome:
        """Make one attempt to ping it. That it was accepted does not prove that it exists."""
        outcome, _ = await self._get("/ping")
        return outcome

    async def read(self) -> HeartbeatReading:
        """Make one attempt to read it, for which a key or an account may lack the right.

        Pings are processed after their answer. So read before the next ping, and compare with the
        reading before the last one (`has_moved`).
        """
        return (
            unreadable(NOT_TOLD) if self._reading is None else self._reading(*await self._get(""))
        )


def heartbeat_target(
    settings: HeartbeatSettings, client: OpsgenieClient, resolve: ResolveIntegration
) -> HeartbeatTarget | None:
    """Return the heartbeat of settings in which nothing is wrong; None: they name none."""
    name = settings.name or ""
    if settings.target == "opsgenie":
        return _opsgenie(name, settings.integration_id or 0, client, resolve)
    if settings.target == "jsm":
        return _jsm(name, settings, client)
    if settings.url is not None:
        return _plain(settings.url.get_secret_value().strip(), client)
    return None


def _opsgenie(
    name: str, number: int, client: OpsgenieClient, resolve: ResolveIntegration
) -> HeartbeatTarget:
    """Return a heartbeat of Opsgenie. The key of its integration is opened for each request."""

    async def get(suffix: str) -> tuple[Outcome, bytes]:
        try:
            endpoint, key = resolve(number)
        except RefusedError as error:
            return Outcome(error.reason, str(error)), b""
        if endpoint.integration_type is not IntegrationType.OPSGENIE:
            text = (
                f"integration {number} is one of Jira Service Management, whose keys ping no "
                "heartbeat: set STREAM_APP_HEARTBEAT__TARGET to jsm"
            )
            return Outcome(LocalReason.ENDPOINT_REFUSED, text), b""
        base = endpoint.alerts_url.removesuffix("/alerts")
        url = f"{base}/heartbeats/{quote(name, safe='')}{suffix}"
        return await client.attempt("GET", url, key, explanations=OPSGENIE_EXPLANATIONS)

    label = f"heartbeat {quoted(name)} of Opsgenie, integration {number}"
    return HeartbeatTarget(label, get, read_opsgenie)


def _jsm(name: str, settings: HeartbeatSettings, client: OpsgenieClient) -> HeartbeatTarget:
    """Return a heartbeat of a team in Jira Service Management, by the API token of an account."""
    base = f"{settings.jsm_api.rstrip('/')}/{settings.cloud_id}"
    heartbeats = f"{base}/v1/teams/{settings.team_id}/heartbeats"
    token = "" if settings.api_token is None else settings.api_token.get_secret_value()

    def get(suffix: str) -> Awaitable[tuple[Outcome, bytes]]:
        url = f"{heartbeats}{suffix}?name={quote(name, safe='')}"
        return client.attempt(
            "GET", url, token, explanations=JSM_EXPLANATIONS, user=settings.email or ""
        )

    label = f"heartbeat {quoted(name)} of Jira Service Management"
    return HeartbeatTarget(label, get, partial(read_jsm, name=name))


def _plain(url: str, client: OpsgenieClient) -> HeartbeatTarget:
    """Return a plain address, of which only the host is shown."""
    parts = urlsplit(url)
    hidden = f"{parts.path}?{parts.query}" if parts.query else parts.path or "/"

    def get(_: str) -> Awaitable[tuple[Outcome, bytes]]:
        return client.attempt("GET", url, explanations=URL_EXPLANATIONS, hidden=hidden)

    label = f"the address at {parts.hostname} of STREAM_APP_HEARTBEAT__URL"
    return HeartbeatTarget(label, get, None)
