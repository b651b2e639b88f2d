"""A destination: all that is asked of an integration's service goes through here.

The notifier imports this module and nothing else of `opsgenie/`, which an import contract holds.
So the types and functions that belong to the interface can be imported from here, too.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from stream_app.heartbeat_settings import HeartbeatSettings
from stream_app.opsgenie.client import OpsgenieClient
from stream_app.opsgenie.endpoints import Endpoint, allowed_endpoint, other_region
from stream_app.opsgenie.heartbeats.reading import (
    HeartbeatReading,
    HeartbeatState,
    has_moved,
)
from stream_app.opsgenie.heartbeats.targets import (
    HeartbeatTarget,
    ResolveIntegration,
    heartbeat_target,
)
from stream_app.opsgenie.outcome import (
    Outcome,
    RequestStatus,
    is_about_no_alert,
    no_alert_left,
    read_request_status,
    says_no_alert,
)
from stream_app.opsgenie.payload import alert_body, fit_alias, note_body, request_body
from stream_app.opsgenie.reach import Reached, reach
from stream_app.opsgenie.request_check import RequestCheck, check_request

__all__ = [
    "UNVERIFIED_PROBE",
    "Destination",
    "Destinations",
    "Endpoint",
    "HeartbeatReading",
    "HeartbeatState",
    "HeartbeatTarget",
    "Outcome",
    "Reached",
    "RequestCheck",
    "RequestStatus",
    "ResolveIntegration",
    "alert_body",
    "allowed_endpoint",
    "check_request",
    "has_moved",
    "is_about_no_alert",
    "note_body",
    "request_body",
]

UNVERIFIED_PROBE = (
    "this probe is composed from published evidence, and not verified against the real service"
)


class Destinations(OpsgenieClient):
    """A client that opens destinations, which share its pool of connections."""

    def open(self, endpoint: Endpoint, key: str = "") -> Destination:
        """Return the destination at an endpoint. Only `reach` works without a key."""
        return Destination(endpoint, key, self)

    def open_heartbeat(
        self, settings: HeartbeatSettings, resolve: ResolveIntegration
    ) -> HeartbeatTarget | None:
        """Return the heartbeat of the settings; None: they name none.

        Args:
            settings: the settings of the heartbeat, as `load_settings` has checked them.
            resolve: returns an integration's endpoint and key, opened now; raises RefusedError.
        """
        return heartbeat_target(settings, self, resolve)


@dataclass(frozen=True, slots=True)
class Destination:
    """An endpoint with its API key, which is shown nowhere. Each request is one attempt."""

    endpoint: Endpoint
    key: str = field(repr=False)
    _client: OpsgenieClient = field(repr=False)

    def other_region(self) -> tuple[str, Destination] | None:
        """Return the service's other region, by name, with the same key; None: there is none."""
        found = other_region(self.endpoint)
        return None if found is None else (found[0], replace(self, endpoint=found[1]))

    async def post(self, body: bytes) -> Outcome:
        """Create an alert; `body` comes from `alert_body` or `request_body`."""
        outcome, _ = await self._client.attempt("POST", self.endpoint.alerts_url, self.key, body)
        return outcome

    async def status(self, request_id: str) -> RequestStatus:
        """Ask once what became of an accepted request."""
        url = f"{self.endpoint.alerts_url}/requests/{quote(request_id, safe='')}"
        outcome, body = await self._client.attempt("GET", url, self.key)
        return read_request_status(outcome, body, key=self.key.strip())

    async def check(
        self, request_id: str, sleep: Callable[[float], Awaitable[None]], scale: float
    ) -> RequestCheck:
        """Ask until what became of an accepted request is known, or cannot be known."""
        kind = self.endpoint.integration_type
        return await check_request(lambda: self.status(request_id), kind, sleep, scale)

    async def note(self, alias: str, body: bytes) -> Outcome:
        """Add a note to the open alert with an alias; `body` comes from `note_body`."""
        outcome, _ = await self._act(alias, "notes", body)
        return outcome

    async def close(self, alias: str, body: bytes = b"{}") -> Outcome:
        """Close the alert with an alias; that there is none is success. `body` as for a note."""
        outcome, answer = await self._act(alias, "close", body)
        return no_alert_left(outcome) if says_no_alert(outcome, answer) else outcome

    async def probe(self) -> Outcome:
        """Close an alert that cannot exist, to see whether the key is accepted.

        The services have no request that checks a key. This one needs the same right as to create
        an alert, and pages nobody. It is based on the service's documentation and on reports of
        its users, and has not been verified against the real service.
        """
        return await self.close(str(uuid.uuid4()))

    async def reach(self) -> Reached:
        """Try name, connection and TLS, without sending the key."""
        return await reach(self._client, self.endpoint)

    async def _act(self, alias: str, action: str, body: bytes) -> tuple[Outcome, bytes]:
        """Ask for an action on the open alert with an alias.

        The alias is encoded: if not, the service may look for another one, and say nothing.
        """
        name = quote(fit_alias(alias), safe="")
        url = f"{self.endpoint.alerts_url}/{name}/{action}?identifierType=alias"
        return await self._client.attempt("POST", url, self.key, body)
