"""The workers' HTTP server: few connections, each for one request and a few seconds.

Why not aiohttp's server: it limits neither the number of connections nor the time that a request's
head may take, and each connection that a stranger keeps open is a file handle that an alert may
need. Here a new connection replaces the oldest one that has not sent a request, so the probes of
an orchestrator are answered whatever others keep open. h11 parses requests and writes answers. With
TLS a connection counts from its first byte, so one that never ends its handshake is no exception.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import h11

from stream_app.domain.errors import StreamAppError
from stream_app.logs import get_logger
from stream_app.worker.tls_stream import TlsContexts, TlsStream

log = get_logger(__name__)

#: Prometheus and the probes of an orchestrator need a handful.
MAX_CONNECTIONS = 32
MAX_HEAD_BYTES = 16 * 1024
#: How long a client may take to send a request, a TLS handshake before it included.
HEAD_SECONDS = 5.0
#: How long a client may take to fetch the answer.
ANSWER_SECONDS = 10.0
METHODS = ("GET", "HEAD")


@dataclass(frozen=True)
class Request:
    """A request for a page. `options` are the names in the query.

    Header names are in lower case. Of several headers with one name the last one counts.
    """

    path: str
    options: frozenset[str] = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """The answer to a request."""

    body: bytes
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"


Page = Callable[[Request], Answer]


class HttpServer:
    """Serves pages by path, over TLS if there are contexts. Making a page must not wait."""

    def __init__(
        self,
        pages: Mapping[str, Page],
        host: str,
        port: int,
        tls_contexts: TlsContexts | None = None,
    ) -> None:
        self._pages = pages
        self._host = host
        self._port = port
        self._tls_contexts = tls_contexts
        self._server: asyncio.Server | None = None
        #: In the order in which they were opened.
        self._connections: dict[_Connection, None] = {}

    async def start(self) -> str:
        """Bind and serve; return the base URL.

        Raises:
            StreamAppError: the address cannot be bound.
        """
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: _Connection(self),
                self._host,
                self._port,
                backlog=MAX_CONNECTIONS,  # so many may be accepted at once, before any is closed
            )
        except OSError as error:
            raise StreamAppError(
                f"cannot serve metrics on {self._host}:{self._port}: {error.strerror or error}: "
                "set STREAM_APP_HTTP__HOST and STREAM_APP_HTTP__PORT"
            ) from None
        port = self._server.sockets[0].getsockname()[1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http{'' if self._tls_contexts is None else 's'}://{host}:{port}"

    async def stop(self) -> None:
        """Stop serving."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.close()
        await self._server.wait_closed()

    def new_tls(self) -> TlsStream | None:
        """Return the TLS of a new connection; None: it is plain."""
        return None if self._tls_contexts is None else TlsStream(self._tls_contexts())

    def admit(self, new: _Connection) -> None:
        """Accept a connection, and close the oldest idle one if there are too many."""
        if len(self._connections) >= MAX_CONNECTIONS:
            idle = (known for known in self._connections if not known.has_asked)
            next(idle, next(iter(self._connections))).abort()
        self._connections[new] = None

    def forget(self, connection: _Connection) -> None:
        """Note that a connection is closed."""
        self._connections.pop(connection, None)

    def answer(self, request: h11.Request) -> Answer:
        """Return the answer to a request."""
        target = request.target.decode("latin-1")
        if "://" in target:  # absolute, as it is sent to a proxy
            target = "/" + target.split("://", 1)[1].partition("/")[2]
        path, _, query = target.partition("?")
        page = self._pages.get(path)
        if page is None:
            return problem(HTTPStatus.NOT_FOUND, f"there are {', '.join(self._pages)}")
        if request.method.decode("latin-1") not in METHODS:
            return problem(HTTPStatus.METHOD_NOT_ALLOWED, f"use {' or '.join(METHODS)}")
        options = frozenset(option.partition("=")[0] for option in query.split("&"))
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers
        }
        try:
            return page(Request(path, options, headers))
        except Exception:
            log.exception("page_failed", path=path)
            return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "see the log of the worker")


def problem(status: HTTPStatus, why: str) -> Answer:
    """Return an answer that says why there is no page."""
    return Answer(f"{status.phrase}: {why}\n".encode(), status)


class _Connection(asyncio.Protocol):
    """A connection for one request and its answer."""

    def __init__(self, server: HttpServer) -> None:
        self.has_asked = False
        self._seen = 0
        self._server = server
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._tls = server.new_tls()
        #: There is one from `connection_made` on.
        self._transport: asyncio.Transport
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - tells the type checker
        self._transport = transport
        self._end_in(HEAD_SECONDS)
        self._server.admit(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Forget the connection."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._server.forget(self)

    def data_received(self, data: bytes) -> None:
        """Read the request; ignore what follows it, such as a body or more requests."""
        if self.has_asked:
            return
        try:
            data = self._decrypted(data)
        except ssl.SSLError as error:
            self._refuse(error)
            return
        if not data:
            return
        try:
            self._parser.receive_data(data[: MAX_HEAD_BYTES + 1 - self._seen])
            self._seen += len(data)
            event = self._parser.next_event()
        except h11.RemoteProtocolError as error:
            self._send(problem(HTTPStatus(error.error_status_hint), "no request that can be read"))
            return
        if isinstance(event, h11.Request):
            self._send(self._server.answer(event), has_body=event.method != b"HEAD")

    def close(self) -> None:
        """Close the connection once its answer is sent."""
        self._transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()
        self._server.forget(self)

    def _decrypted(self, data: bytes) -> bytes:
        """Return what the bytes of the other side say, and go on with the handshake.

        Raises:
            ssl.SSLError: the other side speaks no TLS that is spoken here.
        """
        if self._tls is None:
            return data
        try:
            return self._tls.receive(data)
        finally:
            self._transport.write(self._tls.to_send())

    def _refuse(self, error: ssl.SSLError) -> None:
        """End a connection without TLS. Of plain HTTP a person may want to know what is wrong."""
        if error.reason == "HTTP_REQUEST":
            self._tls = None
            self._send(problem(HTTPStatus.BAD_REQUEST, "this port speaks TLS: use https://"))
        else:
            self.has_asked = True
            self._transport.write_eof()
            self._end_in(ANSWER_SECONDS)

    def _send(self, answer: Answer, *, has_body: bool = True) -> None:
        """Send the answer, and let the other side close.

        If this side closed while bytes are unread, the answer would be lost.
        """
        self.has_asked = True
        headers = [
            ("Content-Type", answer.content_type),
            ("Content-Length", str(len(answer.body))),
            ("Connection", "close"),
        ]
        if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", ", ".join(METHODS)))
        if answer.status == HTTPStatus.UNAUTHORIZED:
            headers.append(("WWW-Authenticate", "Bearer"))
        events: list[h11.Event] = [
            h11.Response(
                status_code=answer.status,
                headers=headers,
                reason=HTTPStatus(answer.status).phrase,
            )
        ]
        if has_body:
            events.append(h11.Data(data=answer.body))
        sent = b"".join(self._parser.send(event) or b"" for event in [*events, h11.EndOfMessage()])
        if self._tls is not None:
            self._tls.send(sent)
            self._tls.close()
            sent = self._tls.to_send()
        self._transport.write(sent)
        self._transport.write_eof()
        self._end_in(ANSWER_SECONDS)

    def _end_in(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(seconds, self.abort)
