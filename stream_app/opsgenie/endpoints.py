"""Where an integration may send to: an allow-list, so that a key never goes to another host.

Hosts are compared exactly; there is no pattern that a look-alike could match. A sandbox is allowed
only if the setting names it, and only on loopback.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stream_app.domain.delivery.reasons import IntegrationType
from stream_app.domain.errors import ConfigurationError
from stream_app.domain.foreign_text.hidden_keys import hide_keys
from stream_app.domain.foreign_text.network_names import is_loopback

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from stream_app.setting_groups import DeliverySettings

ALERTS_PATH = "/v2/alerts"
JSM_PATH = "/jsm/ops/integration"
HTTPS_PORT = 443
SANDBOX_SETTING = "STREAM_APP_DELIVERY__SANDBOX_URL"
#: Host -> (its path before `/v2/alerts`, its type).
HOSTS = {
    "api.opsgenie.com": ("", IntegrationType.OPSGENIE),
    "api.eu.opsgenie.com": ("", IntegrationType.OPSGENIE),
    "api.atlassian.com": (JSM_PATH, IntegrationType.JSM),
}
#: Host of one Opsgenie region -> (name of the other region, its host).
OTHER_REGIONS = {
    "api.opsgenie.com": ("EU", "api.eu.opsgenie.com"),
    "api.eu.opsgenie.com": ("US", "api.opsgenie.com"),
}
ALLOWED = ", ".join(f"https://{host}{path}{ALERTS_PATH}" for host, (path, _) in HOSTS.items())


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that alerts may be posted to; `alerts_url` ends in `/v2/alerts`."""

    alerts_url: str
    integration_type: IntegrationType
    is_sandbox: bool


def resolve_endpoint(api: str, sandbox_url: str | None) -> Endpoint:
    """Return the endpoint that an integration's `target.api` names.

    Args:
        api: a base URL, or the whole URL with `/v2/alerts`; either may end in a slash.
        sandbox_url: the setting that allows a sandbox, or None.

    Raises:
        ConfigurationError: `api` is not allowed, or the setting is no http URL on loopback.
    """
    sandbox_origin = None if sandbox_url is None else _sandbox_origin(sandbox_url)
    parts = _split(api)
    base = None if parts is None else _base_path(parts)
    if parts is not None and base is not None:
        origin = f"{parts.scheme}://{parts.netloc.lower()}"
        if origin == sandbox_origin and base in ("", JSM_PATH):
            kind = IntegrationType.JSM if base else IntegrationType.OPSGENIE
            return Endpoint(f"{origin}{base}{ALERTS_PATH}", kind, is_sandbox=True)
        host = parts.hostname or ""
        path, kind = HOSTS.get(host, ("", IntegrationType.OPSGENIE))
        is_https = parts.scheme == "https" and parts.port in (None, HTTPS_PORT)
        if host in HOSTS and is_https and base == path:
            return Endpoint(f"https://{host}{path}{ALERTS_PATH}", kind, is_sandbox=False)
    sandbox = f", or the sandbox at {sandbox_origin}" if sandbox_origin else ""
    raise ConfigurationError(
        f"target.api: {_shown(api)} is not allowed: use one of {ALLOWED}{sandbox} "
        f"({SANDBOX_SETTING} allows a sandbox on loopback)"
    )


def allowed_endpoint(api: str, settings: DeliverySettings) -> Endpoint:
    """Return the endpoint that an integration's `target.api` names, as these settings allow it.

    Raises:
        ConfigurationError: `api` is not allowed, or it is a real service and waits are shortened.
    """
    endpoint = resolve_endpoint(api, settings.sandbox_url)
    check_retry_scale(settings.retry_scale, endpoint)
    return endpoint


def other_region(endpoint: Endpoint) -> tuple[str, Endpoint] | None:
    """Return the name and the endpoint of Opsgenie's other region; None: there is none.

    A key works in one region only, so a key that is refused may belong to the other one.
    """
    region, host = OTHER_REGIONS.get(urlsplit(endpoint.alerts_url).hostname or "", ("", ""))
    return (region, resolve_endpoint(f"https://{host}", None)) if host else None


def check_retry_scale(scale: float, endpoint: Endpoint) -> None:
    """Refuse shortened waits for a real service, which they would flood.

    Raises:
        ConfigurationError: `scale` is not 1 and `endpoint` is not a sandbox.
    """
    if scale != 1 and not endpoint.is_sandbox:
        raise ConfigurationError(
            f"STREAM_APP_DELIVERY__RETRY_SCALE: {scale} is refused for {endpoint.alerts_url}: "
            "only a sandbox may be sent to faster than documented; unset it or set it to 1"
        )


def _sandbox_origin(sandbox_url: str) -> str:
    """Return `http://host:port` of the sandbox setting."""
    parts = _split(sandbox_url)
    if (
        parts is None
        or parts.scheme != "http"
        or not is_loopback(parts.hostname or "")
        or _base_path(parts) not in ("", JSM_PATH)
    ):
        raise ConfigurationError(
            f"{SANDBOX_SETTING}: {_shown(sandbox_url)} is not a sandbox on loopback: give a URL "
            "such as http://127.0.0.1:8480"
        )
    return f"http://{parts.netloc.lower()}"


def _split(url: str) -> SplitResult | None:
    """Split a plain URL; None if it has anything that two parsers could read differently."""
    url = url.strip()
    if not re.fullmatch(r"[A-Za-z0-9:/.\[\]_-]+", url):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if it is no number
    except ValueError:
        return None
    return None if parts.netloc.endswith(":") else parts


def _base_path(parts: SplitResult) -> str:
    return parts.path.removesuffix("/").removesuffix(ALERTS_PATH).removesuffix("/")


def _shown(url: str) -> str:
    """Return a URL for an error message, without anything that may be a key."""
    return repr(hide_keys(url.split("?", 1)[0])[:200])
