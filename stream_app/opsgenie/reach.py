"""Tells whether a service can be reached, without sending a key or alerting anybody."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import urlsplit

import aiohttp

from stream_app.domain.delivery.reasons import AttemptReason
from stream_app.opsgenie.client import OpsgenieClient
from stream_app.opsgenie.endpoints import Endpoint
from stream_app.opsgenie.outcome import Outcome
from stream_app.setting_groups import DeliverySettings

PROXY_ADVICE = "is a proxy or a firewall in the way?"
#: Reason that no answer came -> what is wrong, with `{host}` and `{why}` to be filled in.
UNREACHABLE: dict[str, str] = {
    AttemptReason.LOCAL_ERROR: "{host} was not asked: {why}",
    AttemptReason.TLS_ERROR: "{host} is there and takes connections, but TLS fails: {why}; a proxy "
    "that opens TLS needs its certificate authority to be trusted here",
    AttemptReason.CONNECT_ERROR: "{host} has an address, but takes no connection: {why}; "
    + PROXY_ADVICE,
    AttemptReason.TIMEOUT: "{host} does not answer: {why}; " + PROXY_ADVICE,
    AttemptReason.CONNECTION_LOST: "{host} takes connections, but drops them: {why}; "
    + PROXY_ADVICE,
    AttemptReason.BAD_ANSWER: "{host} takes connections, but what answers is not the service: "
    "{why}; " + PROXY_ADVICE,
}
OTHER_FAILURE = "{host} cannot be reached: {why}"
NO_ADDRESS = "no such host: {host} has no address here: {why}; check the name service"


@dataclass(frozen=True)
class Reached:
    """Whether a service answers; `text` says what works, or what does not."""

    outcome: Outcome
    text: str

    @property
    def is_reached(self) -> bool:
        """Whether an answer came, whatever it says."""
        return self.outcome.status is not None


class _ConnectedError(Exception):
    """The connection has been made, and nothing was sent on it."""


class _Unsent(aiohttp.ClientRequest):
    """A request that ends where it would be sent."""

    async def send(self, _conn: aiohttp.connector.Connection) -> NoReturn:
        """End the attempt; the session then closes the connection."""
        raise _ConnectedError


async def reach(client: OpsgenieClient, endpoint: Endpoint) -> Reached:
    """Try name, connection and TLS on the way that alerts take, with the proxy; send no key.

    The name is looked up only after a failure: behind a proxy it need not have an address here.
    """
    outcome, _ = await client.attempt("GET", endpoint.alerts_url)
    parts = urlsplit(endpoint.alerts_url)
    host = parts.hostname or ""
    if outcome.status is not None:
        answer = f"HTTP {outcome.status} after {outcome.duration_seconds * 1000:.0f} ms"
        return Reached(outcome, f"{host} answers ({answer}): {_tried(parts.scheme)} well")
    return Reached(outcome, await _why_not_reached(outcome, host))


async def connect(settings: DeliverySettings, url: str) -> tuple[bool, str]:
    """Try name, connection and TLS of a heartbeat's host, on the way that alerts take.

    Nothing is sent. Any request to a plain address may count as a ping, whatever its path: some
    services give each switch a host of its own.

    Returns:
        Whether a connection was made, and what works, or what does not. Only the host is named.

    Raises:
        ConfigurationError: the CA file or the proxy of the settings cannot be used.
    """
    parts = urlsplit(url)
    origin = parts._replace(path="/", query="").geturl()
    async with OpsgenieClient(settings, request_class=_Unsent) as client:
        try:
            outcome, _ = await client.attempt("GET", origin)
        except _ConnectedError:
            return True, f"{parts.hostname} takes connections: {_tried(parts.scheme)} well"
    return False, await _why_not_reached(outcome, parts.hostname or "")


def _tried(scheme: str) -> str:
    """Return what a connection has tried, with its verb."""
    return "name, connection and TLS are" if scheme == "https" else "connection is"


async def _why_not_reached(outcome: Outcome, host: str) -> str:
    """Return which part of reaching a host has failed."""
    text = UNREACHABLE.get(outcome.reason, OTHER_FAILURE)
    if outcome.reason is AttemptReason.CONNECT_ERROR and not await _has_address(host):
        text = NO_ADDRESS
    return text.format(host=host, why=outcome.message)


async def _has_address(host: str) -> bool:
    try:
        await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return True
