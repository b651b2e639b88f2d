"""How requests leave this network: which authorities are trusted, and through which proxy."""

from __future__ import annotations

import base64
import re
import ssl
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import httpx

from stream_app.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import SecretStr

CA_SETTING = "STREAM_APP_DELIVERY__CA_FILE"
PROXY_SETTING = "STREAM_APP_DELIVERY__PROXY_URL"
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*|[0-9A-Fa-f:]+")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Proxy(httpx.Proxy):
    """A proxy whose `repr` shows neither user nor password."""

    def __repr__(self) -> str:
        return f"Proxy({str(self.url)!r})"


def create_ssl_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that trusts the usual authorities (or SSL_CERT_FILE's), and `ca_file`'s.

    Raises:
        ConfigurationError: the file cannot be read, or holds no certificate.
    """
    context = httpx.create_ssl_context()
    if ca_file is None:
        return context
    try:
        context.load_verify_locations(cafile=ca_file)
    except ssl.SSLError:
        problem = "holds no certificate: give a file of certificates in PEM"
    except OSError as error:
        problem = f"{error.strerror or error}: give a file of certificates that can be read"
    else:
        return context
    raise ConfigurationError(f"{CA_SETTING}: {ca_file}: {problem}")


def read_proxy(url: SecretStr | None) -> Proxy | None:
    """Return the proxy of the setting; None: there is none.

    Raises:
        ConfigurationError: it is not the URL of a proxy. The message shows no part of it: in a
            URL that cannot be parsed, any part may be the password.
    """
    text = "" if url is None else url.get_secret_value().strip()
    try:
        return _parse(text) if text else None
    except (ValueError, httpx.InvalidURL):
        # This error may show the URL, so the other one is raised outside of its `except`.
        problem = ConfigurationError(
            f"{PROXY_SETTING}: (hidden) is not the URL of a proxy: give http://host:port or "
            "https://host:port, with user:password@ before the host if the proxy wants them "
            "(special characters percent-encoded, such as %40 for @)"
        )
    raise problem


def _parse(text: str) -> Proxy:
    """Return the proxy at a URL, or raise ValueError or httpx.InvalidURL."""
    parts = urlsplit(text)
    default_port = _DEFAULT_PORTS.get(parts.scheme)
    if default_port is None:
        raise ValueError
    host, port = parts.hostname or "", parts.port or default_port
    is_bare = parts.path in ("", "/") and not (parts.query or parts.fragment)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not (_HOST.fullmatch(host) and is_bare) or ":" in user:
        raise ValueError
    headers = {}
    if parts.username is not None:
        # As a header, because aiohttp has deprecated the way in which the transport passes them.
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers["Proxy-Authorization"] = f"Basic {token}"
    shown_host = f"[{host}]" if ":" in host else host
    return Proxy(f"{parts.scheme}://{shown_host}:{port}", headers=headers)
