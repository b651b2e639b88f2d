"""Tunnels through a proxy: a limit on the time to make one, and what went wrong if that failed.

The transport limits the time to connect to the proxy, not the wait for the proxy's answer. Nor does
it tell a request that broke off inside the tunnel from one that never got into it.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp

from stream_app.opsgenie.network import CA_SETTING

if TYPE_CHECKING:
    import httpx


@dataclass(slots=True)
class Tunnel:
    """The tunnel of one attempt. While it is being made, nothing of the request has been sent.

    The tunnel shortens the attempt's time `limit`; `ends_at` keeps the attempt's end meanwhile.
    """

    limit: asyncio.Timeout
    ends_at: float | None = None
    is_being_made: bool = False

    def begin(self, seconds: float) -> None:
        """Give the tunnel a number of seconds, but no more than the attempt has left."""
        self.is_being_made, self.ends_at = True, self.limit.when()
        soon = asyncio.get_running_loop().time() + seconds
        self._end_at(soon if self.ends_at is None else min(soon, self.ends_at))

    def end(self) -> None:
        """Give the attempt its own end back."""
        self.is_being_made = False
        self._end_at(self.ends_at)

    def _end_at(self, when: float | None) -> None:
        if not self.limit.expired():
            self.limit.reschedule(when)


#: The tunnel that this task's request needs. The pool of connections knows only the task.
_expected: ContextVar[Tunnel | None] = ContextVar("expected", default=None)


def expect_tunnel(limit: asyncio.Timeout | None) -> Tunnel | None:
    """Expect this task's next connection to be a tunnel, made within `limit`; None: no tunnel."""
    tunnel = None if limit is None else Tunnel(limit)
    _expected.set(tunnel)
    return tunnel


def tunnel_trace(seconds: float) -> aiohttp.TraceConfig:
    """Return a session's hooks that give each tunnel so many seconds to be made.

    The wait for a free connection of the pool does not count.
    """

    async def begin(*_: object) -> None:
        if (tunnel := _expected.get()) is not None:
            tunnel.begin(seconds)

    async def end(*_: object) -> None:
        if (tunnel := _expected.get()) is not None:
            tunnel.end()

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(begin)
    trace.on_connection_create_end.append(end)
    return trace


def proxy_problem(
    error: BaseException | None, proxy: httpx.URL, target_host: str, seconds: float
) -> str | None:
    """Return what went wrong at the proxy while a tunnel through it was made.

    Args:
        error: aiohttp's error, or a TimeoutError.
        proxy: its URL.
        target_host: the host that was to be reached.
        seconds: how long the tunnel had, for the text.

    Returns:
        None if the service behind the proxy is at fault: the proxy has made the connection.
    """
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _refusal(error.status, target_host)
    if isinstance(error, aiohttp.ClientConnectorError) and error.host == proxy.host:
        return _unreachable(error)
    if isinstance(error, aiohttp.ClientSSLError):
        return None
    if isinstance(error, TimeoutError):
        return f"no way through it to {target_host} within {seconds:g} s"
    # The proxy's answer is not quoted: it may echo the user and the password.
    if isinstance(error, aiohttp.ClientResponseError):
        return "its answer is not HTTP"
    return f"it broke the connection to {target_host} off"


def _unreachable(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientSSLError):
        return f"its certificate or encryption is not trusted ({CA_SETTING}): {error}"
    return f"no connection to it: {error.os_error.strerror or error.os_error}"


def _refusal(status: int, target_host: str) -> str:
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return f"it wants a user and a password, or refuses those it got (HTTP {status})"
    if status == HTTPStatus.FORBIDDEN:
        return f"it does not allow connections to {target_host} (HTTP {status})"
    return f"it answers HTTP {status} and does not connect to {target_host}"
