"""A real proxy on loopback, for tests of the client."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field

from tests.unit.opsgenie.servers import Respond


@dataclass
class Proxy:
    """A proxy, and all bytes that clients sent it: heads as they are, tunnels as ciphertext."""

    port: int
    heads: list[bytes] = field(default_factory=list)
    tunnelled: bytearray = field(default_factory=bytearray)


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: bytearray
) -> None:
    with suppress(OSError), closing(writer):
        while chunk := await reader.read(65536):
            seen += chunk
            writer.write(chunk)
            await writer.drain()


@asynccontextmanager
async def proxy(
    target_port: int,
    *,
    refuse: Respond | None = None,
    tls: ssl.SSLContext | None = None,
    established: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n",
) -> AsyncIterator[Proxy]:
    """Tunnel every CONNECT to a port of loopback, whatever host it names.

    `refuse` answers in its place.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(OSError, EOFError, asyncio.CancelledError), closing(writer):
            found.heads.append(await reader.readuntil(b"\r\n\r\n"))
            if refuse is not None:
                await refuse(reader, writer)
                await writer.drain()
                return
            assert found.heads[-1].startswith(b"CONNECT ")
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", target_port)
            writer.write(established)
            await asyncio.gather(
                _pump(reader, inner_writer, found.tunnelled),
                _pump(inner_reader, writer, bytearray()),
            )

    listener = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    found = Proxy(listener.sockets[0].getsockname()[1])
    try:
        yield found
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
