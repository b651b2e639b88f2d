"""A status counts whatever follows: real servers send heads that are broken in every way."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from stream_app.opsgenie.answer_heads import MAX_HEAD_BYTES, AnswerHead
from stream_app.opsgenie.client import OpsgenieClient
from stream_app.opsgenie.destination import Destination
from stream_app.opsgenie.endpoints import Endpoint, resolve_endpoint
from stream_app.opsgenie.network import create_ssl_context
from stream_app.setting_groups import DeliverySettings
from tests.tls.authority import Authority
from tests.unit.opsgenie.proxies import proxy
from tests.unit.opsgenie.servers import Respond, answer, answers, serve

KEY = "00000000-1111-2222-3333-444444444444"
BODY = b'{"alias":"a","message":"m"}'
GOOD = answer("202 Accepted", b'{"requestId":"r-1"}')
US = "https://api.opsgenie.com/v2/alerts"
EMPTY = b"Content-Length: 0\r\n\r\n"
GZIP = gzip.compress(b"{}" * 99)

#: What follows `HTTP/1.1 <status>`; each was, or might be, too much for the parser.
HEADS = {
    "header of 9,000 bytes": b" x\r\nX-Long: " + b"x" * 9_000 + b"\r\n" + EMPTY,
    "header of 1 MB": b" x\r\nX-Long: " + b"x" * 1_048_576 + b"\r\n" + EMPTY,
    "header of 5 MB": b" x\r\nX-Long: " + b"x" * 5_000_000 + b"\r\n" + EMPTY,
    "header name of 70 kB": b" x\r\n" + b"x" * 70_000 + b": x\r\n" + EMPTY,
    "10,000 headers": b" x\r\n" + b"".join(b"X-%d: x\r\n" % n for n in range(10_000)) + EMPTY,
    "100,000 headers": b" x\r\n" + b"x: x\r\n" * 100_000 + EMPTY,
    "reason of 20 kB": b" " + b"x" * 20_000 + b"\r\n" + EMPTY,
    "reason of 3 MB": b" " + b"x" * 3_000_000 + b"\r\n" + EMPTY,
    "reason that is not UTF-8": b" \xff\xfe\x00\x07\r\n" + EMPTY,
    "no reason": b"\r\n" + EMPTY,
    "lines that end in LF": b" x\nContent-Length: 0\n\n",
    "NUL in a header": b" x\r\nX-Odd: a\x00b\r\n" + EMPTY,
    "bytes in a header": b" x\r\nX-Odd: \xff\xfe\x1b[31m\r\n" + EMPTY,
    "bytes in a header's name": b" x\r\nX \xff\x00: x\r\n" + EMPTY,
    "no colon": b" x\r\nno colon here\r\n" + EMPTY,
    "folded header": b" x\r\nX-Folded: a\r\n b\r\n" + EMPTY,
    "header without a name": b" x\r\n: x\r\n" + EMPTY,
    "space before the first header": b" x\r\n X: x\r\n" + EMPTY,
    "CR alone": b" x\rContent-Length: 0\r\r",
    "length that is no number": b" x\r\nContent-Length: many\r\n\r\n",
    "negative length": b" x\r\nContent-Length: -1\r\n\r\n",
    "length of 30 digits": b" x\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n",
    "two lengths": b" x\r\nContent-Length: 0\r\nContent-Length: 7\r\n\r\n",
    "length and chunks": b" x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": b" x\r\nTransfer-Encoding: what, chunked, chunked\r\n\r\n0\r\n\r\n",
    "length too large": b" x\r\nContent-Length: 999\r\n\r\n{}",
    "length too small": b" x\r\nContent-Length: 1\r\n\r\n{} and much more",
    "broken chunks in the same segment": b" x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nbad\r\n",
    "chunks that break off": b" x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    "long chunk extension": b" x\r\nTransfer-Encoding: chunked\r\n\r\n0;"
    + b"x" * 99_999
    + b"\r\n\r\n",
    "broken trailers": b" x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n",
    "broken gzip": b" x\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8bno",
    "cut gzip": b" x\r\nContent-Encoding: gzip\r\nContent-Length: 999\r\n\r\n" + GZIP[:9],
    "garbage behind it": b" x\r\n" + EMPTY + b"\x00\xff garbage\r\n\r\n",
    "another answer behind it": b" x\r\n" + EMPTY + b"HTTP/1.1 418 x\r\n" + EMPTY,
    "cut after the status": b"",
    "cut in the reason": b" Acc",
    "cut after the status line": b" x\r\n",
    "cut in a header": b" x\r\nContent-Le",
    "upgrade": b" x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" + EMPTY,
}
#: What comes before the status line.
BEFORE = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "102, 103": b"HTTP/1.1 102 x\r\n\r\nHTTP/1.1 103 x\r\nLink: <x>\r\n\r\n",
    "199 without a reason": b"HTTP/1.1 199\r\n\r\n",
    "103 of 1 MB": b"HTTP/1.1 103 x\r\nLink: " + b"x" * 1_000_000 + b"\r\n\r\n",
    "103 that is broken": b"HTTP/1.1 103 x\r\nno colon\x00\xff\r\nContent-Length: 7\r\n\r\n",
    "5,000 interim answers": b"HTTP/1.1 102 x\r\n\r\n" * 5_000,
    "empty lines": b"\r\n\r\n\n",
}
STATUSES = {202: "accepted", 401: "unauthorized", 429: "rate_limited", 503: "server_error"}
#: How the server is reached, and the statuses that it answers with there.
WAYS = {"plain": STATUSES, "tls": {202: "accepted"}, "proxy": {401: "unauthorized"}}
GARBAGE = [
    b"\x00\xff\xfe garbage\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.9\r\n",
    b"HTTP/1.1 abc Accepted\r\n\r\n",
    b"HTTP/1.1 20",
    b"HTTP/1.1 2020 x\r\n\r\n",
    b"HTTP/1.1 2.2 x\r\n\r\n",
    b"HTTP/1.1 002 x\r\n\r\n",
    b"HTTP/1.1 99 x\r\n\r\n",
    b"HTTP/1.1\r\n202 x\r\n\r\n",
    b"202 Accepted\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 100 HTTP/1.1 202 x\r\n",
    b"\r\n" * 50_000,
    b'{"result":"HTTP/1.1 202 Accepted"}',
]


def settings(**changes: Any) -> DeliverySettings:
    return DeliverySettings(
        **{"connect_timeout_seconds": 3, "request_timeout_seconds": 10} | changes
    )


@asynccontextmanager
async def way_to(
    respond: Respond, way: str, folder: Path, **changes: Any
) -> AsyncIterator[tuple[Callable[[], OpsgenieClient], Endpoint]]:
    """Serve plainly, by TLS or behind a proxy; yield a factory of clients, and the endpoint."""
    async with AsyncExitStack() as stack:
        endpoint = None
        if way == "plain":
            server = await stack.enter_async_context(serve(respond))
            endpoint = server.endpoint
        else:
            authority = Authority(folder)
            tls = authority.context("127.0.0.1", "api.opsgenie.com")
            server = await stack.enter_async_context(serve(respond, tls))
            endpoint, changes = server.endpoint, changes | {"ca_file": authority.path}
        if way == "proxy":
            port = int(server.endpoint.alerts_url.split(":")[2].split("/")[0])
            tunnel = await stack.enter_async_context(proxy(port))
            url = SecretStr(f"http://127.0.0.1:{tunnel.port}")
            endpoint, changes = resolve_endpoint(US, None), changes | {"proxy_url": url}
        trust = create_ssl_context(changes.get("ca_file"))
        delivery = settings(**changes)
        yield lambda: OpsgenieClient(delivery, ssl_context=trust), endpoint


@asynccontextmanager
async def client_of(
    respond: Respond, way: str, folder: Path, **changes: Any
) -> AsyncIterator[tuple[OpsgenieClient, Endpoint]]:
    async with (
        way_to(respond, way, folder, **changes) as (reach, endpoint),
        reach() as client,
    ):
        yield client, endpoint


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "on a used connection"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_status_that_came_counts_whatever_follows(
    way: str, is_first: object, tmp_path: Path
) -> None:
    async def respond(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        if sent is not GOOD:
            await writer.drain()
            writer.close()

    found, expected = {}, {}
    async with way_to(respond, way, tmp_path) as (reach, endpoint):
        for name, rest in HEADS.items():
            for status, reason in WAYS[way].items():
                async with reach() as client:
                    if not is_first:
                        sent = GOOD
                        assert (await Destination(endpoint, KEY, client).post(BODY)).accepted
                    sent = b"HTTP/1.1 %d%s" % (status, rest)
                    outcome = await Destination(endpoint, KEY, client).post(BODY)
                found[name, status] = outcome.status, str(outcome.reason)
                expected[name, status] = status, reason
    assert found == expected


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("before", BEFORE)
async def test_what_comes_before_a_status_does_not_hide_it(
    before: str, status: int, tmp_path: Path
) -> None:
    head = b"HTTP/1.1 %d x\r\nRetry-After: 7\r\n" % status
    for rest in (EMPTY, b"no colon\r\n" + EMPTY):
        respond = answers(BEFORE[before] + head + rest, then_close=True)
        async with client_of(respond, "plain", tmp_path) as (client, endpoint):
            outcome = await Destination(endpoint, KEY, client).post(BODY)
        assert (outcome.status, outcome.reason) == (status, STATUSES[status])
        assert outcome.retry_after_seconds == (7 if status == 429 else None)


@pytest.mark.parametrize(
    "version",
    [b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2", b"HTTP/2.0", b"HTTP/9.9", b"http/1.1", b"Http/1.0"],
)
@pytest.mark.parametrize("code", [200, 201, 202, 204, 206, 226, 299])
async def test_any_2xx_of_any_version_is_success(version: bytes, code: int, tmp_path: Path) -> None:
    respond = answers(version + b" %d x\r\nContent-Length: 2\r\n\r\n{}" % code, then_close=True)
    async with client_of(respond, "plain", tmp_path) as (client, endpoint):
        outcome = await Destination(endpoint, KEY, client).post(BODY)
    assert (outcome.status, outcome.accepted) == (code, True)


@pytest.mark.parametrize(
    "rest",
    [
        b"Retry-After: 90\r\nX-Long: " + b"x" * 9_000 + b"\r\n",
        b"X-Long: " + b"x" * 9_000 + b"\r\nRetry-After: 90\r\n",
        b"X-Long: " + b"x" * 1_048_576 + b"\r\nRetry-After: 90\r\n",
        b"X: x\r\n" * 10_000 + b"Retry-After: 90\r\n",
        b"no colon\r\nRETRY-after:90\r\nX-Odd: \x00\r\n",
        b"Retry-After: 90\r\nContent-Length: many\r\n",
        b"Retry-After: 90\r\nX-Long: " + b"x" * 5_000_000 + b"\r\n",
    ],
)
async def test_a_429_is_obeyed_whatever_stands_around_it(rest: bytes, tmp_path: Path) -> None:
    respond = answers(b"HTTP/1.1 429 x\r\n" + rest + b"\r\n", then_close=True)
    async with client_of(respond, "plain", tmp_path) as (client, endpoint):
        outcome = await Destination(endpoint, KEY, client).post(BODY)
    assert (outcome.status, outcome.retry_after_seconds) == (429, 90)


async def test_the_body_behind_a_head_that_cannot_be_read_is_read(tmp_path: Path) -> None:
    body = b'{"message":"Key format is not valid!","requestId":"r-9"}'
    respond = answers(b"HTTP/1.1 422 x\r\nno colon\r\n\r\n" + body, then_close=True)
    async with client_of(respond, "plain", tmp_path) as (client, endpoint):
        outcome = await Destination(endpoint, KEY, client).post(BODY)
    assert (outcome.reason, outcome.request_id) == ("key_format", "r-9")


@pytest.mark.parametrize(
    "end",
    [
        b"HTTP/1.1 202 x",
        b"HTTP/1.1 202 x\r\nX-Endless: ",
        b"HTTP/1.1 202 x\r\nContent-Length: 99\r\n\r\n",
        b"HTTP/1.1 202 x\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_a_head_or_body_that_never_ends_is_bounded_in_time(
    end: bytes, tmp_path: Path
) -> None:
    started = time.monotonic()
    respond = answers(end, *([b"x"] * 1000), pause_seconds=0.02)
    async with client_of(respond, "plain", tmp_path, request_timeout_seconds=0.4) as (client, to):
        assert (await Destination(to, KEY, client).post(BODY)).accepted
    assert time.monotonic() - started < 10


async def test_a_body_delays_an_answer_for_seconds_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_app.opsgenie.client.BODY_SECONDS", 0.2)
    respond = answers(b"HTTP/1.1 202 x\r\nContent-Length: 99\r\n\r\n", b"x", pause_seconds=60)
    async with client_of(respond, "plain", tmp_path, request_timeout_seconds=50) as (client, to):
        outcome = await Destination(to, KEY, client).post(BODY)
    assert outcome.accepted
    assert outcome.duration_seconds < 30


@pytest.mark.parametrize("start", [b"HTTP/1.1 202 x\r\nX: ", b"HTTP/1.1 103 x\r\nX: "])
async def test_a_head_that_never_ends_is_bounded_in_memory(start: bytes, tmp_path: Path) -> None:
    sent = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(start)
        while not writer.is_closing() and sent < 4 * MAX_HEAD_BYTES:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536
        writer.close()

    async with client_of(flood, "plain", tmp_path) as (client, endpoint):
        outcome = await Destination(endpoint, KEY, client).post(BODY)
    assert outcome.reason == ("accepted" if b"202" in start else "bad_answer")
    assert sent < 4 * MAX_HEAD_BYTES


@pytest.mark.parametrize("way", ["plain", "tls"])
@pytest.mark.parametrize("garbage", GARBAGE)
async def test_what_has_no_status_is_a_failure_of_the_network(
    garbage: bytes, way: str, tmp_path: Path
) -> None:
    respond = answers(garbage, then_close=True)
    async with client_of(respond, way, tmp_path) as (client, endpoint):
        outcome = await Destination(endpoint, KEY, client).post(BODY)
    assert outcome.status is None
    assert outcome.reason in ("bad_answer", "connection_lost")


async def test_a_status_that_comes_in_single_bytes_counts(tmp_path: Path) -> None:
    for rest in (b" x\r\nno colon\r\n\r\n", b" x\r\n" + EMPTY, b""):
        head = b"HTTP/1.1 100 x\r\n\r\nHTTP/1.1 202" + rest
        respond = answers(*(bytes([byte]) for byte in head), then_close=True, pause_seconds=0.001)
        async with client_of(respond, "plain", tmp_path) as (client, endpoint):
            assert (await Destination(endpoint, KEY, client).post(BODY)).accepted


@pytest.mark.parametrize("stray", [GOOD, b"HTTP/1.1 202 Accepted\r\nno colon\r\n\r\n", b"x"])
async def test_an_answer_that_nobody_asked_for_is_not_the_next_one(
    stray: bytes, tmp_path: Path
) -> None:
    """Bytes that come unasked must not make the next alert pass for accepted."""
    has_sent = asyncio.Event()

    async def respond(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if has_sent.is_set():
            writer.write(answer("503 x"))
            return
        writer.write(GOOD)
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.write(stray)
        await writer.drain()
        has_sent.set()

    async with client_of(respond, "plain", tmp_path) as (client, endpoint):
        assert (await Destination(endpoint, KEY, client).post(BODY)).accepted
        await has_sent.wait()
        await asyncio.sleep(0.1)
        assert (await Destination(endpoint, KEY, client).post(BODY)).status == 503


async def test_a_proxy_with_a_large_head_lets_alerts_pass(tmp_path: Path) -> None:
    large = b"HTTP/1.1 200 x\r\nX-Long: " + b"x" * 20_000 + b"\r\n\r\n"
    authority = Authority(tmp_path)
    tls = authority.context("api.opsgenie.com")
    async with serve(answers(GOOD), tls) as server:
        port = int(server.endpoint.alerts_url.split(":")[2].split("/")[0])
        async with proxy(port, established=large) as tunnel:
            url = SecretStr(f"http://127.0.0.1:{tunnel.port}")
            delivery = settings(ca_file=authority.path, proxy_url=url)
            async with OpsgenieClient(delivery) as client:
                outcome = await Destination(resolve_endpoint(US, None), KEY, client).post(BODY)
    assert outcome.accepted


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_the_same_is_read_however_the_bytes_are_cut(size: int) -> None:
    before = b"\r\nHTTP/1.1 103 x\r\nDate: x\n\nHTTP/1.1 100\r\n\r\n"
    final = b"HTTP/1.1 429 Too many\r\nRetry-After: 5\r\nbad\r\ndate:1\r\nDate: 2\r\n\r\nbody"
    sent = before + final
    answer, passed = AnswerHead(), b""
    for start in range(0, len(sent), size):
        passed += answer.feed(sent[start : start + size])
    answer.end()
    assert passed == b"HTTP/1.1 429 OK\r\n\r\nbody"
    assert answer.status == 429
    assert answer.headers == {"retry-after": "5", "date": "1, 2"}


@pytest.mark.parametrize("status", [202, 103])
def test_little_is_kept_of_an_answer(status: int) -> None:
    answer = AnswerHead()
    answer.feed(b"HTTP/1.1 %d x\r\n" % status)
    for _ in range(100):
        answer.feed(b"Date: " + b"x" * 60_000)
        answer.feed(b"\r\nX: x")
    assert len(answer._line) < 10_000
    assert answer.headers == {}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b"Content-Length: 7", b"Content-Length: 7"),
        (b"Content-Length: 7\r\nContent-Length: 7", b"Content-Length: 7"),
        (b"Content-Length: 7\r\nContent-Length: 8", b"Connection: close"),
        (b"Content-Length: +7", b"Connection: close"),
        (b"Content-Length: 7\r\nConnection: Close", b"Content-Length: 7\r\nConnection: close"),
        (b"Transfer-Encoding: CHUNKED", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: gzip", b"Connection: close"),
        (b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked\r\nConnection: close"),
        (
            b"Content-Length: 7\r\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: chunked\r\nConnection: close",
        ),
    ],
)
def test_a_connection_is_used_again_only_where_the_end_of_the_body_is_clear(
    lines: bytes, expected: bytes
) -> None:
    head = AnswerHead().feed(b"HTTP/1.1 202 x\r\n" + lines + b"\r\n\r\n")
    assert head == b"HTTP/1.1 202 OK\r\n" + expected + b"\r\n\r\n"
