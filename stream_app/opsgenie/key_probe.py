"""Tells whether a service can be reached, and whether it accepts a key, without alerting anybody.

The services have no request that checks a key. So the probe closes an alert that does not exist:
that needs the same right as to create one, and pages nobody. It is based on the service's
documentation and on reports of its users, and has not been verified against the real service.
"""

from __future__ import annotations

import asyncio
import socket
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


async def reach(client: OpsgenieClient, endpoint: Endpoint) -> Reached:
    """Try name, connection and TLS on the way that alerts take, with the proxy; send no key.

    The name is looked up only after a failure: behind a proxy it need not have an address here.
    """
    outcome, _ = await client.attempt("GET", endpoint.alerts_url)
    parts = urlsplit(endpoint.alerts_url)
    host = parts.hostname or ""
    if outcome.status is not None:
        answer = f"HTTP {outcome.status} after {outcome.duration_seconds * 1000:.0f} ms"
        return Reached(outcome, f"{host} answers ({answer}): {tried(parts.scheme)} well")
    return Reached(outcome, await why_not_reached(outcome, host))


def tried(scheme: str) -> str:
    """Return what a connection has tried, with its verb."""
    return "name, connection and TLS are" if scheme == "https" else "connection is"


async def why_not_reached(outcome: Outcome, host: str) -> str:
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
