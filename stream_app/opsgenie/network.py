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
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:]+")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Proxy(httpx.Proxy):
    """A proxy; what is shown of it has no user and no password."""

    def __repr__(self) -> str:
        return f"Proxy({str(self.url)!r})"


def create_ssl_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that trusts the usual authorities (or SSL_CERT_FILE's) and `ca_file`'s.

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
        ConfigurationError: it is not the URL of a proxy. The message shows nothing of it: in a
            URL that cannot be read anything may be the password.
    """
    if url is None or not url.get_secret_value().strip():
        return None
    try:
        parts = urlsplit(url.get_secret_value().strip())
        host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        raise _wrong_proxy() from None
    is_bare = parts.path in ("", "/") and not (parts.query or parts.fragment)
    if parts.scheme not in _DEFAULT_PORTS or not _HOST.fullmatch(host) or not is_bare:
        raise _wrong_proxy()
    headers = {}
    if parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or "")
        if ":" in user:
            raise _wrong_proxy()
        # A header, because the transport's own way to give them is deprecated below it.
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers["Proxy-Authorization"] = f"Basic {token}"
    shown_host = f"[{host}]" if ":" in host else host
    return Proxy(f"{parts.scheme}://{shown_host}:{port}", headers=headers)


def _wrong_proxy() -> ConfigurationError:
    return ConfigurationError(
        f"{PROXY_SETTING}: (hidden) is not the URL of a proxy: give http://host:port or "
        "https://host:port, with user:password@ before the host if the proxy wants them "
        "(special characters percent-encoded, such as %40 for @)"
    )
