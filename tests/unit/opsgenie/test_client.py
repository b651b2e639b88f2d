from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import ssl
import time
from typing import TYPE_CHECKING

import pytest

from stream_app.domain.delivery.reasons import IntegrationType
from stream_app.opsgenie.client import OpsgenieClient
from stream_app.opsgenie.destination import Destination
from stream_app.opsgenie.endpoints import JSM_PATH, Endpoint
from stream_app.opsgenie.outcome import BODY_LIMIT, Outcome
from stream_app.setting_groups import DeliverySettings
from tests.tls.self_signed import self_signed
from tests.unit.opsgenie import servers
from tests.unit.opsgenie.servers import Played, Respond, answer, answers, serve

if TYPE_CHECKING:
    from pathlib import Path

KEY = "00000000-1111-2222-3333-444444444444"
REQUEST_ID = "43a29c5c-3dbf-4fa4-9c26-f4f71023e120"
BODY = b'{"alias":"a","message":"m"}'
ACCEPTED = answer(
    "202 Accepted",
    f'{{"result":"Request will be processed","requestId":"{REQUEST_ID}"}}'.encode(),
    "Content-Type: application/json",
)


def delivery(**changes: float) -> DeliverySettings:
    return DeliverySettings(
        **{"connect_timeout_seconds": 1, "request_timeout_seconds": 5} | changes
    )


def endpoint_at(url: str) -> Endpoint:
    return Endpoint(url, IntegrationType.OPSGENIE, is_sandbox=True)


async def post(respond: Respond, **changes: float) -> Outcome:
    async with serve(respond) as server, OpsgenieClient(delivery(**changes)) as client:
        return await Destination(server.endpoint, KEY, client).post(BODY)


@pytest.fixture(autouse=True, params=[Played(), Played(JSM_PATH, IntegrationType.JSM)])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run every test against both services; return the path before `/v2/alerts`."""
    monkeypatch.setattr(servers, "played", request.param)
    return str(request.param.path)


async def test_an_alert_is_posted_as_the_service_wants_it(path: str) -> None:
    async with serve(answers(ACCEPTED)) as server, OpsgenieClient(delivery()) as client:
        outcome = await Destination(server.endpoint, f" {KEY}\n", client).post(BODY)
    assert outcome.accepted
    assert (outcome.status, outcome.request_id) == (202, REQUEST_ID)
    assert 0 < outcome.duration_seconds < 5
    head, body = server.requests[0].split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    assert lines[0] == f"POST {path}/v2/alerts HTTP/1.1"
    assert f"Authorization: GenieKey {KEY}".lower() in [line.lower() for line in lines]
    assert "content-type: application/json" in [line.lower() for line in lines]
    assert body == BODY


async def test_connections_are_used_again() -> None:
    async with serve(answers(ACCEPTED)) as server, OpsgenieClient(delivery()) as client:
        for _ in range(5):
            assert (await Destination(server.endpoint, KEY, client).post(BODY)).accepted
    assert (server.connections, len(server.requests)) == (1, 5)


async def test_no_more_connections_are_open_than_allowed() -> None:
    slow = answers(b"", ACCEPTED, pause_seconds=0.05)
    async with serve(slow) as server, OpsgenieClient(delivery(max_in_flight=3)) as client:
        outcomes = await asyncio.gather(
            *(Destination(server.endpoint, KEY, client).post(BODY) for _ in range(9))
        )
    assert all(outcome.accepted for outcome in outcomes)
    assert server.connections == 3


async def test_a_server_that_never_answers_is_a_timeout() -> None:
    started = time.monotonic()
    outcome = await post(answers(b"", ACCEPTED, pause_seconds=30), request_timeout_seconds=0.3)
    assert (outcome.reason, outcome.status) == ("timeout", None)
    assert "gave up after 0.3 s" in outcome.message
    assert 0.3 <= outcome.duration_seconds <= time.monotonic() - started < 3


async def test_a_head_that_drips_is_bounded_in_total() -> None:
    drip = answers(*(bytes([byte]) for byte in ACCEPTED), pause_seconds=0.05)
    outcome = await post(drip, request_timeout_seconds=0.4)
    assert outcome.reason == "timeout"
    assert outcome.duration_seconds < 3


async def test_a_body_that_drips_is_bounded_in_total_and_its_status_counts() -> None:
    head = b"HTTP/1.1 503 x\r\nContent-Length: 10000\r\n\r\n"
    outcome = await post(
        answers(head, *([b"x"] * 1000), pause_seconds=0.05), request_timeout_seconds=0.4
    )
    assert (outcome.reason, outcome.status) == ("server_error", 503)
    assert 0.4 <= outcome.duration_seconds < 3


async def test_an_accepted_request_stays_accepted_when_its_answer_breaks_off() -> None:
    head = f"HTTP/1.1 202 x\r\nContent-Length: 99\r\nX-Request-ID: {REQUEST_ID}\r\n\r\n".encode()
    outcome = await post(answers(head + b'{"res', then_close=True))
    assert outcome.accepted
    assert outcome.request_id == REQUEST_ID


async def test_a_connection_that_is_never_accepted_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as full:
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        await asyncio.sleep(0.1)
        async with OpsgenieClient(delivery(connect_timeout_seconds=0.3)) as client:
            outcome = await Destination(endpoint_at(f"http://127.0.0.1:{port}/"), KEY, client).post(
                BODY
            )
        for filler in fillers:
            filler.close()
    assert outcome.reason == "timeout"
    assert "no connection within 0.3 s" in outcome.message
    assert outcome.duration_seconds < 3


async def test_a_closed_port_is_a_connect_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    async with OpsgenieClient(delivery()) as client:
        outcome = await Destination(endpoint_at(f"http://127.0.0.1:{port}/"), KEY, client).post(
            BODY
        )
    assert (outcome.reason, outcome.status) == ("connect_error", None)


async def test_a_host_without_an_address_is_a_connect_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def find_nothing(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", find_nothing)
    async with OpsgenieClient(delivery()) as client:
        outcome = await Destination(endpoint_at("http://host.invalid/"), KEY, client).post(BODY)
    assert outcome.reason == "connect_error"
    assert "host.invalid" in outcome.message


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
async def test_a_redirect_is_not_followed(status: str) -> None:
    async with serve(answers(ACCEPTED)) as elsewhere:
        location = f"Location: {elsewhere.endpoint.alerts_url}"
        outcome = await post(answers(answer(status, b"", location)))
    assert outcome.reason == "redirect"
    assert not outcome.accepted
    assert elsewhere.connections == 0


async def test_a_self_signed_certificate_is_refused(tmp_path: Path) -> None:
    context, _ = self_signed(tmp_path)
    async with serve(answers(ACCEPTED), context) as server, OpsgenieClient(delivery()) as client:
        outcome = await Destination(server.endpoint, KEY, client).post(BODY)
    assert (outcome.reason, outcome.status) == ("tls_error", None)
    assert server.requests == []


async def test_a_trusted_certificate_is_accepted(tmp_path: Path) -> None:
    context, certificate = self_signed(tmp_path)
    trusting = ssl.create_default_context(cafile=certificate)
    async with (
        serve(answers(ACCEPTED), context) as server,
        OpsgenieClient(delivery(), ssl_context=trusting) as client,
    ):
        assert (await Destination(server.endpoint, KEY, client).post(BODY)).accepted


async def test_a_trusted_certificate_of_another_host_is_refused(tmp_path: Path) -> None:
    context, certificate = self_signed(tmp_path, "127.0.0.2")
    trusting = ssl.create_default_context(cafile=certificate)
    async with (
        serve(answers(ACCEPTED), context) as server,
        OpsgenieClient(delivery(), ssl_context=trusting) as client,
    ):
        outcome = await Destination(server.endpoint, KEY, client).post(BODY)
    assert outcome.reason == "tls_error"
    assert server.requests == []


async def test_a_server_without_tls_is_a_tls_error() -> None:
    async def speak_plainly(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer("400 Bad Request"))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak_plainly, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, OpsgenieClient(delivery()) as client:
        outcome = await Destination(endpoint_at(url), KEY, client).post(BODY)
    assert outcome.reason == "tls_error"


async def test_a_reset_connection_is_a_lost_one() -> None:
    async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    assert (await post(reset)).reason == "connection_lost"


async def test_a_connection_closed_without_an_answer_is_a_lost_one() -> None:
    assert (await post(answers(b"", then_close=True))).reason == "connection_lost"


async def test_a_broken_connection_is_tried_once_only() -> None:
    closing = answers(b"", then_close=True)
    async with serve(closing) as server, OpsgenieClient(delivery()) as client:
        await Destination(server.endpoint, KEY, client).post(BODY)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff\xfe garbage\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 abc Accepted\r\n\r\n",
    ],
)
async def test_an_answer_that_is_no_http_is_a_bad_answer(garbage: bytes) -> None:
    outcome = await post(answers(garbage, then_close=True))
    assert (outcome.reason, outcome.status) == ("bad_answer", None)
    assert len(outcome.message) <= 500


@pytest.mark.parametrize(
    "odd",
    [
        b"HTTP/1.1 202 \xff\xfe\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 202\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 202 x\r\nX-Odd: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 202 x\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.0 202 x\r\n\r\nbody to the end",
    ],
)
async def test_an_odd_answer_with_a_status_counts(odd: bytes) -> None:
    assert (await post(answers(odd, then_close=True))).accepted


async def test_a_body_of_broken_chunks_does_not_undo_the_status() -> None:
    head = b"HTTP/1.1 202 x\r\nTransfer-Encoding: chunked\r\n\r\n"
    broken = answers(head, b"zz\r\nbad\r\n", pause_seconds=0.1)
    assert (await post(broken, request_timeout_seconds=0.5)).accepted


async def test_a_body_without_end_is_read_to_the_limit_only() -> None:
    sent = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 400 x\r\nContent-Length: 999999999\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 4096)
            await writer.drain()
            sent += 4096

    outcome = await post(flood)
    assert outcome.reason == "bad_request"
    assert outcome.duration_seconds < 4
    assert BODY_LIMIT <= sent < 64 * 1024 * 1024


async def test_a_compressed_answer_is_neither_wanted_nor_unpacked() -> None:
    body = gzip.compress(b'{"message":"a thousand times longer"}')
    compressed = answer("400 x", body, "Content-Encoding: gzip")
    async with serve(answers(compressed)) as server, OpsgenieClient(delivery()) as client:
        outcome = await Destination(server.endpoint, KEY, client).post(BODY)
    assert outcome.reason == "bad_request"
    assert "longer" not in outcome.message
    assert b"accept-encoding: identity\r\n" in server.requests[0].lower()


# One of the client's two cookie jars would not keep the cookies of bare addresses anyway.
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_cookies_of_one_answer_are_not_sent_with_the_next_request(host: str) -> None:
    with_cookie = answer("202 x", b"", "Set-Cookie: session=1; Path=/")
    async with serve(answers(with_cookie)) as server, OpsgenieClient(delivery()) as client:
        endpoint = endpoint_at(server.endpoint.alerts_url.replace("127.0.0.1", host))
        for _ in range(2):
            assert (await Destination(endpoint, KEY, client).post(BODY)).accepted
    assert b"cookie" not in server.requests[1].lower()


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await post(answers(ACCEPTED))).accepted


@pytest.mark.parametrize("key", ["", "  ", "kéy", "a\nb", "a\r\nX-Evil: 1", "a\x00b"])
async def test_a_key_no_header_can_carry_is_not_sent(key: str) -> None:
    async with serve(answers(ACCEPTED)) as server, OpsgenieClient(delivery()) as client:
        outcome = await Destination(server.endpoint, key, client).post(BODY)
    assert (outcome.reason, outcome.status) == ("key_format", None)
    assert not key.strip() or key not in outcome.message
    assert server.connections == 0


async def test_the_key_is_in_no_log_and_no_outcome(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = answer("401 x", f'{{"message":"bad key {KEY}","requestId":"{KEY}"}}'.encode())
    for respond in (
        answers(echo),
        answers(f"HTTP/1.1 2x2 {KEY}\r\n\r\n".encode(), then_close=True),
        answers(f"{KEY}: x\r\n\r\n".encode(), then_close=True),
    ):
        assert KEY not in repr(await post(respond))
    assert KEY not in caplog.text


async def test_a_cancelled_attempt_is_cancelled() -> None:
    async with (
        serve(answers(b"", ACCEPTED, pause_seconds=30)) as server,
        OpsgenieClient(delivery()) as client,
    ):
        task = asyncio.create_task(Destination(server.endpoint, KEY, client).post(BODY))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_the_status_of_a_request_is_asked_with_its_key(path: str) -> None:
    body = b'{"data":{"isSuccess":true,"status":"Created alert","alertId":"x","alias":"a"}}'
    async with serve(answers(answer("200 OK", body))) as server, OpsgenieClient(delivery()) as c:
        status = await Destination(server.endpoint, KEY, c).status("../x y")
    assert (status.is_success, status.status) == (True, "Created alert")
    line = f"GET {path}/v2/alerts/requests/..%2Fx%20y HTTP/1.1\r\n"
    assert server.requests[0].startswith(line.encode())


async def test_an_alert_is_closed_by_its_alias(path: str) -> None:
    async with serve(answers(ACCEPTED)) as server, OpsgenieClient(delivery()) as client:
        assert (await Destination(server.endpoint, KEY, client).close("a/b c")).accepted
    head = server.requests[0].split(b"\r\n", 1)[0]
    line = f"POST {path}/v2/alerts/a%2Fb%20c/close?identifierType=alias HTTP/1.1"
    assert head == line.encode()
    assert KEY.encode() in server.requests[0]


async def test_a_service_is_reached_without_a_key(path: str) -> None:
    async with serve(answers(answer("401 x"))) as server, OpsgenieClient(delivery()) as client:
        assert (await Destination(server.endpoint, "", client).reach()).outcome.status == 401
    assert server.requests[0].startswith(f"GET {path}/v2/alerts HTTP/1.1\r\n".encode())
    assert b"authorization" not in server.requests[0].lower()


async def test_a_client_that_is_not_open_says_so() -> None:
    with pytest.raises(RuntimeError, match="outside its context manager"):
        await Destination(endpoint_at("http://127.0.0.1:9/"), KEY, OpsgenieClient(delivery())).post(
            BODY
        )
