"""The HTTP client: each call makes one attempt, and each failure is an outcome, never an exception.

Why httpx on aiohttp's transport: with its own transport httpx makes 240 to 490 POSTs a second, with
this one 2,500 to 3,000. The tests check its timeouts, its trust in certificates, and that it
follows no redirects. Where the transport needs help, a comment says why.
"""

from __future__ import annotations

import asyncio
import base64
import time
from contextlib import aclosing
from dataclasses import replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Self, cast

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from stream_app import __version__
from stream_app.domain.delivery.reasons import AttemptReason
from stream_app.opsgenie.answer_heads import AnswerConnector, WatchedResponse, watch_answer
from stream_app.opsgenie.network import create_ssl_context, read_proxy
from stream_app.opsgenie.outcome import (
    BODY_LIMIT,
    EXPLANATIONS,
    Outcome,
    classify,
    failure,
)
from stream_app.opsgenie.own_faults import own_fault
from stream_app.opsgenie.tunnels import Tunnel, expect_tunnel, proxy_problem, tunnel_trace

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Mapping
    from types import TracebackType

    from stream_app.setting_groups import DeliverySettings

#: Idle connections are closed before the service drops them: a POST on a dropped one is lost.
KEEP_ALIVE_SECONDS = 15.0
#: Longest wait for a body. The status has told before whether the request was accepted.
BODY_SECONDS = 5.0
#: What an attempt may raise. ValueError: a header or a URL that the libraries cannot read;
#: RuntimeError: no thread for the resolver.
FAILURES = (httpx.HTTPError, aiohttp.ClientError, OSError, ValueError, MemoryError, RuntimeError)
#: aiohttp's error -> why no answer came; the first that fits counts.
REASONS_BY_ERROR: dict[type[Exception], AttemptReason] = {
    aiohttp.ClientSSLError: AttemptReason.TLS_ERROR,
    aiohttp.ClientConnectorError: AttemptReason.CONNECT_ERROR,
    aiohttp.ClientResponseError: AttemptReason.BAD_ANSWER,
    ValueError: AttemptReason.BAD_ANSWER,
}


class OpsgenieClient:
    """Makes requests over one shared pool of connections; use it as a context manager.

    It logs neither keys nor bodies, follows no redirects, keeps no cookies, and ignores the
    proxies of the environment. The proxy of the settings is asked for a tunnel (CONNECT) to each
    https address, so it sees neither key nor body. The sandbox on loopback (http) needs no proxy.

    Raises:
        ConfigurationError: the CA file or the proxy of the settings cannot be used.
    """

    def __init__(
        self,
        settings: DeliverySettings,
        *,
        ssl_context: ssl.SSLContext | None = None,
        request_class: type[aiohttp.ClientRequest] = aiohttp.ClientRequest,
    ) -> None:
        self._connect_seconds = settings.connect_timeout_seconds
        self._total_seconds = settings.request_timeout_seconds
        self._max_connections = settings.max_in_flight
        self._ssl_context = ssl_context or create_ssl_context(settings.ca_file)
        self._proxy = read_proxy(settings.proxy_url)
        self._request_class = request_class
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        """Open the pool."""
        session = aiohttp.ClientSession(
            connector=AnswerConnector(
                limit=self._max_connections,
                ssl=self._ssl_context,
                keepalive_timeout=KEEP_ALIVE_SECONDS,
            ),
            # All clients share the session: a cookie from one's service must not reach another's.
            cookie_jar=aiohttp.DummyCookieJar(),
            request_class=self._request_class,
            response_class=WatchedResponse,
            trace_configs=[] if self._proxy is None else [tunnel_trace(self._connect_seconds)],
        )
        direct = AiohttpTransport(verify=self._ssl_context, client=session)
        self._client = httpx.AsyncClient(
            transport=AiohttpTransport(verify=self._ssl_context, client=session, proxy=self._proxy),
            mounts={} if self._proxy is None else {"http://": direct},
            timeout=httpx.Timeout(None, connect=self._connect_seconds),
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def attempt(
        self,
        method: str,
        url: str,
        key: str | None = None,
        body: bytes | None = None,
        *,
        explanations: Mapping[AttemptReason, str] = EXPLANATIONS,
        user: str | None = None,
        hidden: str = "",
    ) -> tuple[Outcome, bytes]:
        """Make one request; return its outcome and the beginning of the answer's body.

        If the connection breaks before an answer to a GET begins, aiohttp asks a second time.

        Once its status has come an answer counts, even if the rest of its head cannot be read or
        its body breaks off. A 2xx means accepted: to send again would page a second time if
        somebody has closed the alert meanwhile.

        Args:
            method: of HTTP.
            url: an address that is allowed.
            key: an API key, or the API token of `user`; None: the address needs none.
            body: JSON; None: there is none.
            explanations: what each reason means for this request.
            user: whom HTTP's basic authentication names.
            hidden: a secret part of the address. With one, nothing is quoted from the answer.
        """
        key = None if key is None else key.strip()
        if key is not None and not (key.isascii() and key.isprintable() and key):
            return failure(AttemptReason.KEY_FORMAT, "nothing was sent"), b""
        secret = hidden or key or ""
        taken = bytearray()
        outcome: Outcome | None = None
        tunnel: Tunnel | None = None
        watch = watch_answer()
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._total_seconds) as limit:
                if self._proxy is not None:
                    tunnel = expect_tunnel(limit if url.startswith("https:") else None)
                login = _authorization(key, user)
                await self._exchange(method, url, login, body, taken, limit)
        except FAILURES as error:
            if not watch.head.status:
                outcome = self._explain(error, secret, url, tunnel)
        if watch.head.status:
            outcome = classify(
                watch.head.status,
                watch.head.headers,
                b"" if hidden else bytes(taken),
                key=secret,
                received_at_seconds=time.time(),
                explanations=explanations,
            )
        elif outcome is None:
            outcome = failure(AttemptReason.BAD_ANSWER)
        return replace(outcome, duration_seconds=time.perf_counter() - started), bytes(taken)

    async def _exchange(
        self,
        method: str,
        url: str,
        authorization: str | None,
        body: bytes | None,
        taken: bytearray,
        limit: asyncio.Timeout,
    ) -> None:
        """Send the request, and add the beginning of the answer's body to `taken`."""
        if self._client is None:
            raise RuntimeError("OpsgenieClient is used outside its context manager")
        headers = {
            "Accept": "application/json",
            # A compressed answer could unpack to a thousand times its length.
            "Accept-Encoding": "identity",
            "User-Agent": f"stream-app/{__version__}",
        }
        if authorization is not None:
            headers["Authorization"] = authorization
        if body is not None:
            headers["Content-Type"] = "application/json"
        async with self._client.stream(method, url, content=body, headers=headers) as response:
            soon = asyncio.get_running_loop().time() + BODY_SECONDS
            limit.reschedule(min(soon, limit.when() or soon))
            raw = cast("AsyncGenerator[bytes, None]", response.aiter_raw())
            async with aclosing(raw) as chunks:
                async for chunk in chunks:
                    taken += chunk[: BODY_LIMIT - len(taken)]
                    if len(taken) >= BODY_LIMIT:
                        return

    def _explain(self, error: BaseException, key: str, url: str, tunnel: Tunnel | None) -> Outcome:
        """Return the outcome of an attempt that ended without a status.

        The transport reports a broken connection as a connect timeout. So this judges the error of
        aiohttp behind it, not the one that httpx raises.
        """
        cause = error.__cause__ or error if isinstance(error, httpx.HTTPError) else error
        if (fault := own_fault(cause)) is not None:
            return failure(AttemptReason.LOCAL_ERROR, fault)
        if isinstance(cause, RuntimeError):
            raise cause
        if self._proxy is not None and tunnel is not None and tunnel.is_being_made:
            host = httpx.URL(url).host
            problem = proxy_problem(cause, self._proxy.url, host, self._connect_seconds)
            if problem is not None:
                return failure(AttemptReason.PROXY_ERROR, problem, key=key)
        if isinstance(cause, aiohttp.ConnectionTimeoutError):
            return failure(
                AttemptReason.TIMEOUT, f"no connection within {self._connect_seconds:g} s"
            )
        if isinstance(cause, TimeoutError):
            return failure(AttemptReason.TIMEOUT, f"gave up after {self._total_seconds:g} s")
        detail = cause.message if isinstance(cause, aiohttp.ClientResponseError) else str(cause)
        reasons = (reason for kind, reason in REASONS_BY_ERROR.items() if isinstance(cause, kind))
        return failure(next(reasons, AttemptReason.CONNECTION_LOST), detail, key=key)


def _authorization(key: str | None, user: str | None) -> str | None:
    """Return the header that shows who asks; None: nobody has to say it."""
    if key is None:
        return None
    if user is None:
        return f"GenieKey {key}"
    return f"Basic {base64.b64encode(f'{user}:{key}'.encode()).decode()}"
