"""A destination: what is asked of an integration's service, and nothing else, goes through here.

The notifier and the commands reach for this, and never for the client, addresses or probes behind
it. Another service would be another class with these methods, chosen by `Destinations.open`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from stream_app.opsgenie.client import OpsgenieClient
from stream_app.opsgenie.endpoints import Endpoint
from stream_app.opsgenie.key_probe import Reached, probe_key, reach
from stream_app.opsgenie.outcome import Outcome, RequestStatus
from stream_app.opsgenie.request_check import RequestCheck, check_request
from stream_app.setting_groups import DeliverySettings


class Destinations:
    """Opens destinations over one shared pool of connections; use it as a context manager.

    Args:
        settings: of deliveries.
        max_in_flight: most requests at a time, where that is not the setting's number.

    Raises:
        ConfigurationError: the CA file or the proxy of the settings cannot be used.
    """

    def __init__(self, settings: DeliverySettings, max_in_flight: int | None = None) -> None:
        if max_in_flight is not None:
            settings = settings.model_copy(update={"max_in_flight": max_in_flight})
        self._client = OpsgenieClient(settings)

    async def __aenter__(self) -> Self:
        """Open the pool."""
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close all connections."""
        await self._client.__aexit__(kind, error, traceback)

    def open(self, endpoint: Endpoint, key: str = "") -> Destination:
        """Return the destination at an endpoint. Only `reach` works without a key."""
        return Destination(endpoint, key, self._client)


@dataclass(frozen=True, slots=True)
class Destination:
    """An endpoint with its API key in the clear, which is shown nowhere. A call is one attempt."""

    endpoint: Endpoint
    key: str = field(repr=False)
    _client: OpsgenieClient = field(repr=False)

    def elsewhere(self, endpoint: Endpoint) -> Destination:
        """Return the destination at another endpoint, with the same key."""
        return replace(self, endpoint=endpoint)

    async def post(self, body: bytes) -> Outcome:
        """Create an alert; `body` comes from `payload.alert_body`."""
        return await self._client.post_alert(self.endpoint, self.key, body)

    async def status(self, request_id: str) -> RequestStatus:
        """Ask once what became of an accepted request."""
        return await self._client.request_status(self.endpoint, self.key, request_id)

    async def check(
        self, request_id: str, sleep: Callable[[float], Awaitable[None]], scale: float
    ) -> RequestCheck:
        """Ask until it is known what became of an accepted request, or cannot be known."""
        kind = self.endpoint.integration_type
        return await check_request(lambda: self.status(request_id), kind, sleep, scale)

    async def close(self, alias: str) -> Outcome:
        """Close the alert of an alias, whether there is one or not."""
        return await self._client.close_alert(self.endpoint, self.key, alias)

    async def probe(self) -> Outcome:
        """Ask for something that needs the right to create alerts, and alerts nobody."""
        return await probe_key(self._client, self.endpoint, self.key)

    async def reach(self) -> Reached:
        """Try name, connection and TLS; the key is not sent."""
        return await reach(self._client, self.endpoint)
