"""Tries the host of a heartbeat without a ping: it connects, and sends nothing.

Any request to a plain address may count as a ping, whatever its path: some services give each
switch a host of its own.
"""

from __future__ import annotations

from typing import NoReturn
from urllib.parse import urlsplit

import aiohttp

from stream_app.opsgenie.client import OpsgenieClient
from stream_app.opsgenie.key_probe import tried, why_not_reached
from stream_app.setting_groups import DeliverySettings


class _ConnectedError(Exception):
    """The connection has been made, and nothing was sent on it."""


class _Unsent(aiohttp.ClientRequest):
    """A request that ends where it would be sent."""

    async def send(self, _conn: aiohttp.connector.Connection) -> NoReturn:
        """End the attempt; the session then closes the connection."""
        raise _ConnectedError


async def connect(settings: DeliverySettings, url: str) -> tuple[bool, str]:
    """Try name, connection and TLS of a URL's host, on the way that alerts take.

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
            return True, f"{parts.hostname} takes connections: {tried(parts.scheme)} well"
    return False, await why_not_reached(outcome, parts.hostname or "")
