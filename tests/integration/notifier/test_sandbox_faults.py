"""Failures on demand over real connections: how the client takes each, and the commands."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from stream_app.opsgenie.client import OpsgenieClient
from stream_app.opsgenie.destination import Destination
from stream_app.opsgenie.endpoints import Endpoint, resolve_endpoint
from stream_app.opsgenie.outcome import Outcome
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind, Operation
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.opsgenie.sandbox.state import RequestView
from stream_app.setting_groups import DeliverySettings
from tests import processes
from tests.integration.harness import NO_TLS
from tests.processes import STREAM_APP

KEY, OTHER_KEY = "00000000-1111-2222-3333-444444444444", "00000000-1111-2222-3333-555555555555"
HEADERS = {"Authorization": f"GenieKey {KEY}"}
BODY = b'{"message":"m","alias":"a"}'


class Bench:
    """A running sandbox, the product's client and a plain one."""

    def __init__(self, sandbox: SandboxOpsgenie, endpoint: Endpoint) -> None:
        self.sandbox = sandbox
        self.endpoint = endpoint
        self.client: OpsgenieClient
        self.http: httpx.AsyncClient

    def fail(self, kind: FaultKind, **fields: Any) -> None:
        self.sandbox.fail(Fault(kind=kind, **fields))

    async def post(self, key: str = KEY) -> Outcome:
        return await Destination(self.endpoint, key, self.client).post(BODY)

    @property
    def noted(self) -> list[tuple[int, str]]:
        return [(request.status, request.fault) for request in self.sandbox.requests]


@asynccontextmanager
async def running(path: str = "", **settings: Any) -> AsyncIterator[Bench]:
    sandbox = SandboxOpsgenie(processing_ms=0)
    url = await sandbox.start()
    bench = Bench(sandbox, resolve_endpoint(url + path, url))
    try:
        async with (
            OpsgenieClient(DeliverySettings(**settings)) as bench.client,
            httpx.AsyncClient(
                base_url=url, trust_env=False, verify=NO_TLS, headers=HEADERS
            ) as bench.http,
        ):
            yield bench
    finally:
        await sandbox.stop()


@pytest.mark.parametrize(
    ("kind", "fields", "status", "reason", "said"),
    [
        ("status", {}, 500, "server_error", "Internal Server Error"),
        ("status", {"status": 503}, 503, "server_error", "Service Unavailable"),
        ("status", {"status": 599}, 599, "server_error", "Failed on demand"),
        ("status", {"status": 302}, 302, "redirect", "Found"),
        ("status", {"status": 401}, 401, "unauthorized", "Could not authenticate"),
        ("status", {"status": 402}, 402, "payment_required", "plan"),
        ("status", {"status": 403}, 403, "forbidden", "the key is of the wrong kind"),
        ("status", {"status": 404}, 404, "not_found", "Not Found"),
        ("status", {"status": 422}, 422, "unprocessable", "message: Message can not be empty."),
        ("status", {"status": 429}, 429, "rate_limited", "too many requests"),
        ("key-format", {}, 422, "key_format", "Key format is not valid!"),
        ("redirect", {}, 302, "redirect", "Moved"),
        ("redirect", {"status": 307}, 307, "redirect", "Moved"),
        ("rate-limit", {}, 429, "rate_limited", "too many requests"),
        ("reset", {}, None, "connection_lost", ""),
        ("garbage", {}, None, "bad_answer", ""),
        ("lost-answer", {}, None, "connection_lost", ""),
    ],
)
@pytest.mark.parametrize("path", ["", "/jsm/ops/integration"])
async def test_the_client_recognises_every_failure_and_the_next_request_passes(
    path: str, kind: str, fields: dict[str, Any], status: int | None, reason: str, said: str
) -> None:
    async with running(path) as bench:
        bench.fail(FaultKind(kind), requests=1, **fields)
        outcome = await bench.post()
        assert (outcome.status, outcome.reason) == (status, reason)
        assert said in outcome.message
        assert len(bench.sandbox.alerts) == (kind == "lost-answer")
        assert (await bench.post()).accepted
    assert bench.noted == [(status or 0, kind), (202, "")]
    assert [request.alias for request in bench.sandbox.requests] == ["a", "a"]
    (alert,) = bench.sandbox.alerts
    assert alert.requests == 1 + (kind == "lost-answer")


async def test_a_request_hangs_until_its_client_gives_up_and_is_seen_at_once() -> None:
    async with running(request_timeout_seconds=0.4) as bench:
        bench.fail(FaultKind.HANG, requests=1)
        hanging = asyncio.create_task(bench.post())
        async with asyncio.timeout(60):
            while not bench.sandbox.requests:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)
        assert not hanging.done()
        outcome = await hanging
        assert outcome.reason == "timeout"
        assert outcome.duration_seconds >= 0.4
        assert (await bench.post()).accepted
    assert bench.noted == [(0, "hang"), (202, "")]


async def test_a_sandbox_with_hanging_requests_stops_in_time() -> None:
    async with running() as bench:
        bench.fail(FaultKind.HANG, requests=1)
        # So slow that the status, which would count, has not come by the end.
        bench.fail(FaultKind.DRIP, interval_seconds=5)
        waiting = asyncio.gather(bench.post(), bench.post())
        async with asyncio.timeout(60):
            while len(bench.sandbox.requests) < 2:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)
        started = time.monotonic()
        await bench.sandbox.stop()
        assert time.monotonic() - started < 3
        assert [outcome.reason for outcome in await waiting] == ["connection_lost"] * 2


async def test_an_answer_drips_byte_by_byte_and_its_alert_is_there() -> None:
    async with running() as bench:
        bench.fail(FaultKind.DRIP, interval_seconds=0.001, requests=1)
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.http.base_url.port)
        head = f"POST /v2/alerts HTTP/1.1\r\nHost: x\r\nAuthorization: GenieKey {KEY}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
        writer.write(head.encode() + BODY)
        pieces = []
        while piece := await reader.read(1024):
            pieces.append(piece)
        writer.close()
        raw = b"".join(pieces)
    assert raw.startswith(b"HTTP/1.1 202 Accepted\r\n")
    assert b"X-Sandbox: stream-app\r\n" in raw
    assert raw.endswith(b"}")
    assert len(pieces) > len(raw) / 4, "some bytes may come together, not all"
    assert len(bench.sandbox.alerts) == 1


async def test_a_dripping_answer_is_a_timeout_or_is_accepted_by_its_pace() -> None:
    async with running(request_timeout_seconds=1) as bench:
        bench.fail(FaultKind.DRIP, requests=1)
        bench.fail(FaultKind.DRIP, interval_seconds=0.001, requests=1)
        assert (await bench.post()).reason == "timeout"
        assert (await bench.post()).accepted
    assert bench.noted == [(202, "drip"), (202, "drip")]
    assert [alert.requests for alert in bench.sandbox.alerts] == [2]


async def test_what_is_discarded_was_accepted_and_only_its_state_says_so() -> None:
    async with running() as bench:
        bench.fail(FaultKind.DISCARD, requests=2, on=(Operation.CREATE, Operation.CLOSE))
        outcome = await bench.post()
        assert outcome.accepted
        assert outcome.request_id
        state = await Destination(bench.endpoint, KEY, bench.client).status(outcome.request_id)
        assert state.is_success is False
        assert bench.sandbox.alerts == []
        url = "/v2/alerts/b/close?identifierType=alias"
        closed = (await bench.http.post(url)).json()["requestId"]
        assert not (await Destination(bench.endpoint, KEY, bench.client).status(closed)).is_success
        assert (await bench.post()).accepted
        assert len(bench.sandbox.alerts) == 1
    assert [view.alias for view in bench.sandbox.requests if view.fault] == ["a", "b"]


@pytest.mark.parametrize(
    ("fields", "retry_after", "period", "waits"),
    [
        ({}, None, "60", 60),
        ({"retry_after": "7", "period": "1"}, "7", "1", 7),
        ({"retry_after": "soon", "period": "later"}, "soon", "later", None),
        ({"per_second": 0.01}, None, "1", 1),
    ],
)
async def test_a_rate_limit_says_so_in_its_headers(
    fields: dict[str, Any], retry_after: str | None, period: str, waits: float | None
) -> None:
    async with running() as bench:
        bench.fail(FaultKind.RATE_LIMIT, **fields)
        if "per_second" in fields:
            assert (await bench.post()).accepted
        outcome = await bench.post()
        assert (outcome.status, outcome.retry_after_seconds) == (429, waits)
        answer = await bench.http.post("/v2/alerts", content=BODY)
    assert answer.headers["X-RateLimit-State"] == "THROTTLED"
    assert answer.headers["X-RateLimit-Reason"] == "ACCOUNT"
    assert answer.headers["X-RateLimit-Period-In-Sec"] == period
    assert answer.headers.get("Retry-After") == retry_after


async def test_a_rate_limit_lets_its_number_of_requests_of_each_key_pass() -> None:
    async with running() as bench:
        bench.fail(FaultKind.RATE_LIMIT, per_second=5)
        started = time.monotonic()
        outcomes = await asyncio.gather(
            *(bench.post(key) for _ in range(20) for key in (KEY, OTHER_KEY))
        )
        passed = sum(outcome.accepted for outcome in outcomes)
        grown = 2 * 5 * (time.monotonic() - started)
        assert 10 <= passed <= 10 + grown
        assert {outcome.reason for outcome in outcomes} == {"accepted", "rate_limited"}
        await asyncio.sleep(0.3)
        assert (await bench.post()).accepted


async def test_a_redirect_that_is_followed_is_seen() -> None:
    async with running() as bench:
        bench.fail(FaultKind.REDIRECT)
        assert (await bench.post()).reason == "redirect"
        assert len(bench.sandbox.requests) == 1
        await bench.http.post("/v2/alerts", content=BODY, follow_redirects=True)
    assert bench.sandbox.requests[-1].path == "/v2/alerts/requests/redirected"


async def test_a_failure_is_for_one_key_and_for_create_requests_unless_others_are_named() -> None:
    async with running() as bench:
        bench.fail(FaultKind.STATUS, key_end="4444")
        assert (await bench.post(OTHER_KEY)).accepted
        assert (await bench.post()).reason == "server_error"
        state = await Destination(bench.endpoint, KEY, bench.client).status("none")
        assert state.outcome.status == 404
        bench.fail(FaultKind.STATUS, status=401, on=(Operation.REQUEST_STATUS,))
        state = await Destination(bench.endpoint, OTHER_KEY, bench.client).status("none")
        assert state.outcome.status == 401


async def test_a_wrong_key_is_refused_before_anything_fails_on_demand() -> None:
    async with running() as bench:
        bench.fail(FaultKind.RESET)
        assert (await bench.http.post("/v2/alerts", headers={"Authorization": ""})).is_error
        assert [view.failed for view in bench.sandbox.faults] == [0]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"alias":7}', b"x" * 2_000_000])
async def test_a_body_of_any_kind_can_fail(body: bytes) -> None:
    async with running() as bench:
        bench.fail(FaultKind.STATUS, status=503)
        assert (await bench.http.post("/v2/alerts", content=body)).status_code == 503


async def test_every_request_is_listed_with_the_failure_it_met() -> None:
    told: list[RequestView] = []
    sandbox = SandboxOpsgenie(on_request=told.append)
    url = await sandbox.start()
    try:
        async with httpx.AsyncClient(
            base_url=url, trust_env=False, verify=NO_TLS, headers=HEADERS
        ) as http:
            sandbox.fail(Fault(kind=FaultKind.RESET, requests=1))
            with pytest.raises(httpx.RemoteProtocolError):
                await http.post("/v2/alerts", content=BODY)
            await http.post("/v2/alerts", json={"message": "m"})
            shown = (await http.get("/sandbox/requests")).json()
    finally:
        await sandbox.stop()
    assert [(request.status, request.fault) for request in told] == [(0, "reset"), (202, "")]
    assert [(row["status"], row["fault"]) for row in shown] == [(0, "reset"), (202, "")]


async def test_a_sandbox_starts_again_at_its_address_with_what_it_had() -> None:
    sandbox = SandboxOpsgenie()
    url = await sandbox.start()
    sandbox.fail(Fault(kind=FaultKind.STATUS))
    await sandbox.stop()
    async with httpx.AsyncClient(
        base_url=url, trust_env=False, verify=NO_TLS, headers=HEADERS
    ) as http:
        with pytest.raises(httpx.ConnectError):
            await http.post("/v2/alerts", content=BODY)
        assert await sandbox.start() == url
        try:
            assert (await http.post("/v2/alerts", content=BODY)).status_code == 500
        finally:
            await sandbox.stop()
    assert [view.failed for view in sandbox.faults] == [1]


async def test_the_control_api_adds_lists_and_ends_failures_and_shows_no_key() -> None:
    async with running() as bench:
        path = "/sandbox/faults"
        added = await bench.http.post(path, json={"kind": "hang", "key": KEY, "requests": 3})
        assert added.status_code == 201
        assert (added.json()["id"], added.json()["requests_left"]) == (1, 3)
        await bench.http.post(path, json={"kind": "status", "status": 503})
        assert (await bench.post(OTHER_KEY)).status == 503
        listed = await bench.http.get(path)
        assert [(row["kind"], row["key"], row["failed"]) for row in listed.json()] == [
            ("hang", "...4444", 0),
            ("status", None, 1),
        ]
        assert KEY not in added.text + listed.text
        assert [row["id"] for row in (await bench.http.delete(f"{path}/1")).json()] == [1]
        assert (await bench.http.delete(f"{path}/1")).status_code == 404
        assert [row["failed"] for row in (await bench.http.delete(path)).json()] == [1]
        assert (await bench.http.get(path)).json() == []
        assert (await bench.post()).accepted


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"kind":"status","status":200}', "status: 200: must be a status from 300 to 599"),
        (b'{"kind":"hang","key_end":"' + KEY.encode() + b'"}', "key_end: '(not shown)': must be"),
        (b'{"kind":"boom"}', "kind: 'boom': must be one of status"),
        (b"{", "the body is not JSON"),
        (b"\xff", "the body is not JSON"),
        (b"[]", "must be a JSON object"),
    ],
)
async def test_the_control_api_refuses_what_is_no_fault(content: bytes, said: str) -> None:
    async with running() as bench:
        answer = await bench.http.post("/sandbox/faults", content=content)
        assert answer.status_code == 422
        assert said in answer.json()["message"]
        assert KEY not in answer.text
        assert bench.sandbox.faults == []


async def run(*args: str) -> tuple[int, str, str]:
    words = (*STREAM_APP, "sandbox", *args)
    done = await asyncio.to_thread(processes.run, words, os.environ, timeout=30)
    return done.returncode, done.stdout, done.stderr


async def test_commands_tell_a_running_sandbox_what_to_fail() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stream_app", "sandbox", "--port", "0"),
        *("--fail", "status,status=503,requests=1,key_end=4444"),
        stdout=PIPE,
        stderr=PIPE,
    )
    assert process.stderr
    async with asyncio.timeout(60):
        await process.stderr.readline()
        api = (await process.stderr.readline()).decode().split()[-1]
    url = api.removesuffix("/v2/alerts")
    endpoint = resolve_endpoint(api, api)
    async with OpsgenieClient(DeliverySettings(request_timeout_seconds=1)) as client:
        code, out, err = await run("fail", "hang", "--key", KEY, "--requests", "1", "--url", url)
        assert (code, out) == (0, "")
        assert "fault 2: hang for create requests with the key ...4444, 1 request left" in err
        code, out, _ = await run("fail", "discard", "--on", "close", "--json", "--url", url)
        assert (code, json.loads(out)["id"], json.loads(out)["on"]) == (0, 3, ["close"])
        code, out, _ = await run("faults", "--url", url)
        assert code == 0
        assert out.splitlines()[0].split() == [
            *("ID", "KIND", "WITH", "ON", "KEY", "FAILED", "LEFT")
        ]
        assert "503" in out.splitlines()[1]
        outcomes = [await Destination(endpoint, KEY, client).post(BODY) for _ in range(3)]
        assert [outcome.reason for outcome in outcomes] == ["server_error", "timeout", "accepted"]
        code, out, _ = await run("faults", "--json", "--url", url)
        assert json.loads(out)["kind"] == "discard", "one line"
        code, _, err = await run("heal", "--url", url)
        assert (code, err) == (0, "fault 3 ended: discard, it has failed 0 requests\n")
        code, _, err = await run("heal", "3", "--url", url)
        assert (code, "fault 3 is not on" in err) == (1, True)
        code, _, err = await run("faults", "--url", url)
        assert (code, "nothing fails on demand" in err) == (0, True)
    process.terminate()
    async with asyncio.timeout(60):
        out_bytes, err_bytes = await process.communicate()
    shown = err_bytes.decode()
    assert "failed on demand: status, status 503  POST /v2/alerts  a\n" in shown
    assert "failed on demand: hang, no answer  POST /v2/alerts  a\n" in shown
    assert KEY not in shown + out_bytes.decode()


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("fail", "boom"), 2, "'boom' is not one of 'status'"),
        (("fail", "status", "--status", "200"), 2, "--status: 200: must be a status from 300"),
        (("fail", "hang", "--status", "500"), 2, "--status: 500: is of status and redirect only"),
        (("fail", "hang", "--key-end", KEY), 2, "--key-end: '(not shown)': must be the last 4"),
        (("--fail", "hang,requests=0"), 2, "--fail: requests: 0: must be"),
        (("--port", "1", "faults"), 2, "--port before 'faults' is for starting a sandbox"),
        (("faults", "--url", "http://127.0.0.1:9"), 1, "start one with `stream-app sandbox`"),
        (("heal", "--url", "nonsense"), 1, "no sandbox answers at nonsense"),
    ],
)
async def test_a_command_that_cannot_be_done_says_why(
    args: tuple[str, ...], code: int, said: str
) -> None:
    ended, out, err = await run(*args)
    assert (ended, out) == (code, "")
    assert said in err
    assert KEY not in err


async def test_only_a_sandbox_is_told_to_fail() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        code, _, err = await run("faults", "--url", url)
    assert code == 1
    assert f"{url} is no sandbox of stream-app" in err
