"""Tells whether a service can be reached, and whether it takes a key, without alerting anybody.

No service has an address to check a key at. The probe closes an alert that does not exist: that
needs the same right as creating one, and pages nobody. It is composed from what the service's
documentation and its users say, and has not been verified against the real service.
"""

from __future__ import annotations

import asyncio
import socket
import uuid
from dataclasses import dataclass
from urllib.parse import urlsplit

from stream_app.domain.delivery.reasons import AttemptReason
from stream_app.opsgenie.client import OpsgenieClient
from stream_app.opsgenie.endpoints import Endpoint
from stream_app.opsgenie.outcome import Outcome

UNVERIFIED_PROBE = (
    "this probe is composed from published evidence, and not verified against the real service"
)
PROXY_ADVICE = "is a proxy or a firewall in the way?"
#: What is wrong, by the reason that no answer came. `{host}` and `{why}` are filled in.
UNREACHABLE = {
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
    """Whether a service answers; `text` says what works, or which part does not."""

    outcome: Outcome
    text: str

    @property
    def is_reached(self) -> bool:
        """Tell whether an answer came, whatever it says."""
        return self.outcome.status is not None


async def reach(client: OpsgenieClient, endpoint: Endpoint) -> Reached:
    """Try name, connection and TLS on the way that alerts take, proxies included; no key is sent.

    What fails is found afterwards: behind a proxy a name need not have an address here.
    """
    outcome = await client.reach(endpoint)
    parts = urlsplit(endpoint.alerts_url)
    host = parts.hostname or ""
    if outcome.status is not None:
        well = "name, connection and TLS are" if parts.scheme == "https" else "connection is"
        took = f"HTTP {outcome.status} after {outcome.duration_seconds * 1000:.0f} ms"
        return Reached(outcome, f"{host} answers ({took}): {well} well")
    text = UNREACHABLE.get(outcome.reason, OTHER_FAILURE)
    if outcome.reason is AttemptReason.CONNECT_ERROR and not await _has_address(host):
        text = NO_ADDRESS
    return Reached(outcome, text.format(host=host, why=outcome.message))


async def probe_key(client: OpsgenieClient, endpoint: Endpoint, key: str) -> Outcome:
    """Close an alert that cannot exist."""
    return await client.close_alert(endpoint, key, str(uuid.uuid4()))


async def _has_address(host: str) -> bool:
    try:
        await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return True
