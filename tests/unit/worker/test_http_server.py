"""The workers' HTTP against strangers: raw bytes on real connections."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from structlog.testing import capture_logs

from stream_app.metrics import Metrics
from stream_app.worker import http_server
from stream_app.worker.health import Health, HealthServer
from stream_app.worker.http_server import MAX_CONNECTIONS, MAX_HEAD_BYTES
from tests.conftest import ROOT
from tests.examples import examples

HOST = "127.0.0.1"
#: Requests, and the status of the answer to each.
REQUESTS = [
    (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    (b"GET /livez HTTP/1.0\r\n\r\n", 200),
    (b"GET /readyz?verbose HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    (b"GET /readyz?verbose=1&x=%zz HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    (b"GET http://x/livez HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    (b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\nbody", 200),
    (b"GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 200),
    (b"GET /livez HTTP/1.1\r\nHost: x\r\nExpect: what\r\n\r\n", 200),
    (b"GET /livez HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 200),
    (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 5_000, 200),
    (b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    (b"GET //[ HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    (b"GET /%00%ff HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    (b"GET http://[bad HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    (b"CONNECT livez:443 HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    (b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 405),
    (b"DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    (b"get /livez HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    (b"WHAT-IS_THIS! /livez HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    (b"GET /livez HTTP/1.1\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\nHost: x\r\nX: \x00\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", 400),
    (b"GET /l\xffvez HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n", 431),
    (b"GET /" + b"x" * 1_000_000, 431),
    (b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 10_000 + b"\r\n", 431),
    (b"GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: what\r\n\r\n", 501),
]


@asynccontextmanager
async def serving(health: Health | None = None) -> AsyncIterator[int]:
    metrics = Metrics("detector")
    server = HealthServer(health or Health(metrics), metrics, HOST, 0)
    url = await server.start()
    try:
        yield int(url.rsplit(":", 1)[1])
    finally:
        await server.stop()


async def send(
    port: int,
    *parts: bytes,
    pause_seconds: float = 0.01,
    tls: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
) -> bytes:
    """Return all that comes back until the other side closes."""
    reader, writer = await asyncio.open_connection(
        HOST, port, ssl=tls, server_hostname=server_hostname
    )
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_seconds)
        return await reader.read(-1)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def get(port: int, path: str = "/livez", *headers: str, method: str = "GET") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]
    return await send(port, "\r\n".join(lines).encode("latin-1"))


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def test_probes_get_through_while_a_stranger_holds_connections() -> None:
    async with serving() as port:
        held: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        for number in range(20 * MAX_CONNECTIONS):
            held.append(await asyncio.open_connection(HOST, port))
            if number % 2:
                held[-1][1].write(b"GET /metrics HTTP/1.1\r\nHost: ")
            if number % 50 == 0:
                assert status(await get(port, "/livez")) == 200
        for path in ("/livez", "/readyz", "/metrics"):
            assert status(await get(port, path)) == 200
        await asyncio.sleep(0.05)
        lost = [reader.at_eof() or reader.exception() is not None for reader, _ in held]
        assert lost.count(False) <= MAX_CONNECTIONS
        for _, writer in held:
            writer.close()


async def test_connections_of_slow_readers_are_shed_too() -> None:
    async with serving() as port:
        held = []
        for _ in range(2 * MAX_CONNECTIONS):
            held.append(await asyncio.open_connection(HOST, port, limit=1))
            held[-1][1].write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status(await get(port)) == 200
        for _, writer in held:
            writer.close()


@pytest.mark.parametrize("path", ["/livez", "/metrics"])
async def test_a_request_that_drips_ends_at_its_deadline(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "HEAD_SECONDS", 0.2)
    head = f"GET {path} HTTP/1.1\r\n".encode() + b"X: y\r\n" * 500
    async with serving() as port:
        answer = await send(port, *(bytes([byte]) for byte in head))
    assert answer == b""


async def test_a_client_that_never_fetches_the_answer_is_disconnected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_server, "ANSWER_SECONDS", 0.2)
    async with serving() as port:
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status(await reader.read(-1)) == 200
        with suppress(ConnectionError):
            async with asyncio.timeout(60):
                while True:
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.01)
        assert writer.is_closing()


@pytest.mark.parametrize(("request_bytes", "expected"), REQUESTS)
async def test_every_request_gets_an_answer_and_none_is_a_500(
    request_bytes: bytes, expected: int
) -> None:
    async with serving() as port:
        with capture_logs() as logs:
            answer = await send(port, request_bytes)
            assert status(await get(port)) == 200
    assert answer.count(b"HTTP/1.1 ") == 1
    assert status(answer) == expected
    assert b"\r\nConnection: close\r\n" in answer
    assert logs == []


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/nothing"])
async def test_head_is_answered_as_get_without_the_body(path: str) -> None:
    async with serving() as port:
        head, _, body = (await get(port, path, method="HEAD")).partition(b"\r\n\r\n")
        expected, _, full = (await get(port, path)).partition(b"\r\n\r\n")
    assert body == b""
    assert head.split(b"Content-Length")[0] == expected.split(b"Content-Length")[0]
    assert len(full) > 0


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/openmetrics-text; version=x", 400),
        ("application/openmetrics-text; version=1.\xff", 400),
        ("application/openmetrics-text; version=1.0.0; escaping=\xff", 200),
        ("text/html;q=what, \xff\xfe", 200),
        (";;;=,,,", 200),
        ("", 200),
    ],
)
async def test_no_accept_header_causes_a_500(accept: str, expected: int) -> None:
    async with serving() as port:
        assert status(await get(port, "/metrics", f"Accept: {accept}")) == expected


async def test_no_header_makes_a_500() -> None:
    """A bounded fuzz with a seed that is shown."""
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    words = [
        *("application/openmetrics-text", "text/plain", ";", ",", "version=", "1.0.0", "0.0.1"),
        *("q=", "escaping=", "allow-utf-8", "=", " ", "9" * 30, "\xff", "x", "-1", ".", '"'),
    ]
    async with serving() as port:
        with capture_logs() as logs:
            for _ in range(examples(300)):
                accept = "".join(rng.choices(words, k=rng.randrange(1, 9)))
                answer = await get(port, "/metrics", f"Accept: {accept}")
                assert status(answer) in (200, 400), f"seed {seed}: {accept!r}: {answer[:200]!r}"
    assert logs == [], f"seed {seed}"


async def test_a_page_that_fails_is_logged_and_the_next_one_served() -> None:
    metrics = Metrics("detector")
    health = Health(metrics)

    def fail() -> None:
        raise ValueError("a defect")

    health.set_check("broken", fail)
    async with serving(health) as port:
        with capture_logs() as logs:
            assert status(await get(port, "/readyz")) == 500
        assert status(await get(port, "/livez")) == 200
    assert [line["event"] for line in logs] == ["page_failed"]


async def test_a_stop_does_not_wait_for_strangers() -> None:
    async with asyncio.timeout(60):
        async with serving() as port:
            reader, writer = await asyncio.open_connection(HOST, port)
            await asyncio.sleep(0.05)
        assert await reader.read(-1) == b""
        writer.close()


def test_a_process_with_few_handles_still_opens_connections_of_its_own() -> None:
    """What 250 half-open connections to `/metrics` did to the requests of a notifier."""
    code = """
import asyncio, resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (150, 150))
from stream_app.metrics import Metrics
from stream_app.worker.health import Health, HealthServer
async def main():
    metrics = Metrics("notifier")
    server = HealthServer(Health(metrics), metrics, "127.0.0.1", 0)
    print(await server.start(), flush=True)
    await asyncio.to_thread(input)
    own = [socket.socket() for _ in range(40)]
    print(len(own), flush=True)
    await server.stop()
asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        strangers = [socket.create_connection((HOST, port)) for _ in range(250)]
        for stranger in strangers:
            with suppress(ConnectionError):  # it may have been shed already
                stranger.sendall(b"GET /metrics HTTP/1.1\r\n")
        time.sleep(0.2)
        out, errors = process.communicate("\n", timeout=60)
        for stranger in strangers:
            stranger.close()
    assert (out.strip(), errors) == ("40", "")
