"""Real servers on loopback that answer badly, for tests of the client."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from stream_app.domain.delivery.reasons import IntegrationType
from stream_app.opsgenie.endpoints import Endpoint

Respond = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """A server and the raw requests (head and body) it got."""

    endpoint: Endpoint
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0


@dataclass
class Played:
    """Which service the servers play."""

    path: str = ""
    type: IntegrationType = IntegrationType.OPSGENIE


played = Played()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    size = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            size = int(line.split(b":")[1])
    return head + await reader.readexactly(size)


@asynccontextmanager
async def serve(respond: Respond, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Answer each request on a connection by `respond` until the connection is closed."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        server.connections += 1
        with suppress(OSError, EOFError, asyncio.CancelledError):
            while not writer.is_closing():
                server.requests.append(await read_request(reader))
                await respond(reader, writer)
                await writer.drain()
        writer.close()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    scheme = "https" if tls else "http"
    url = f"{scheme}://127.0.0.1:{listener.sockets[0].getsockname()[1]}{played.path}/v2/alerts"
    server = Server(Endpoint(url, played.type, is_sandbox=True))
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answers(*parts: bytes, pause_seconds: float = 0.0, then_close: bool = False) -> Respond:
    """Return a responder that sends parts, with a pause before each but the first."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, part in enumerate(parts):
            if number:
                await asyncio.sleep(pause_seconds)
            writer.write(part)
            await writer.drain()
        if then_close:
            writer.close()

    return respond


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body
