"""Each kind of heartbeat against a real server on loopback: what is sent, and what comes of it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import pytest
from aiohttp import web
from pydantic import SecretStr

from stream_app.domain.delivery.reasons import AttemptReason, LocalReason, RefusedError
from stream_app.heartbeat_settings import HeartbeatSettings
from stream_app.opsgenie.destination import Destinations, HeartbeatState, HeartbeatTarget
from stream_app.opsgenie.endpoints import JSM_PATH, Endpoint, resolve_endpoint
from stream_app.setting_groups import DeliverySettings

KEY = "00000000-1111-2222-3333-444444444444"
TOKEN = "ATATT3-the-token-of-the-account"
CLOUD, TEAM = "11111111-2222-3333-4444-555555555555", "4b26961a-a837-49d2-a1fe-0973013e3c3b"
#: Names as people choose them: each is one heartbeat, and no step in an address.
NAMES = [
    *("stream-app", "our pager", "a/b", "a?b#c", "100%", "%2e%2e", "a+b&name=c", "Überwachung"),
    *("пульс", "...", "a\\b", "心拍", "'\"<>", "x" * 200),
]


class Service:
    """A server that answers every request with what a test wants, and keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.status, self.url = 202, ""
        self.headers: dict[str, str] = {}
        self.body: Any = {"result": "PONG - Heartbeat received", "took": 0, "requestId": "r-1"}

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        if isinstance(self.body, bytes):
            return web.Response(status=self.status, body=self.body, headers=self.headers)
        return web.json_response(self.body, status=self.status, headers=self.headers)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield service
    await runner.cleanup()


@pytest.fixture
async def destinations(service: Service) -> AsyncIterator[Destinations]:
    async with Destinations(DeliverySettings(sandbox_url=service.url)) as destinations:
        yield destinations


def opsgenie(
    service: Service, destinations: Destinations, name: str = "stream-app", path: str = ""
) -> HeartbeatTarget:
    def resolve(integration_id: int) -> tuple[Endpoint, str]:
        assert integration_id == 7
        return resolve_endpoint(service.url + path, service.url), KEY

    settings = HeartbeatSettings(target="opsgenie", name=name, integration_id=7)
    target = destinations.open_heartbeat(settings, resolve)
    assert target is not None
    return target


def never(_: int) -> tuple[Endpoint, str]:
    raise AssertionError


def jsm(service: Service, destinations: Destinations, name: str = "stream-app") -> HeartbeatTarget:
    settings = HeartbeatSettings(
        target="jsm",
        name=name,
        cloud_id=CLOUD,
        team_id=TEAM,
        email="ops@acme.example",
        api_token=SecretStr(TOKEN),
        jsm_api=f"{service.url}/jsm/ops/api",
    )
    target = destinations.open_heartbeat(settings, never)
    assert target is not None
    return target


def plain(service: Service, destinations: Destinations, path: str) -> HeartbeatTarget:
    settings = HeartbeatSettings(
        target="url", url=SecretStr(service.url + path), url_hosts=("127.0.0.1",)
    )
    target = destinations.open_heartbeat(settings, never)
    assert target is not None
    return target


def test_without_a_target_there_is_no_heartbeat() -> None:
    assert Destinations(DeliverySettings()).open_heartbeat(HeartbeatSettings(), never) is None


@pytest.mark.parametrize("name", NAMES)
async def test_opsgenie_is_pinged_and_read_by_the_very_name(
    service: Service, destinations: Destinations, name: str
) -> None:
    target = opsgenie(service, destinations, name)
    outcome = await target.ping()
    assert (outcome.accepted, outcome.status, outcome.request_id) == (True, 202, "r-1")
    service.status = 200
    service.body = {"data": {"name": name, "enabled": True, "expired": False}}
    assert (await target.read()).state is HeartbeatState.ALIVE
    ping, read = service.requests
    for request, end in ((ping, "/ping"), (read, "")):
        assert request.method == "GET"
        *folders, last = request.raw_path.removesuffix(end).split("/")
        assert "/".join(folders) == "/v2/heartbeats"
        assert unquote(last) == name
        assert "?" not in request.raw_path
        assert request.headers["Authorization"] == f"GenieKey {KEY}"


@pytest.mark.parametrize("name", NAMES)
async def test_jsm_is_pinged_and_read_by_the_very_name(
    service: Service, destinations: Destinations, name: str
) -> None:
    target = jsm(service, destinations, name)
    assert (await target.ping()).accepted
    service.status = 200
    service.body = {"values": [{"name": name, "enabled": True, "status": "Responsive"}]}
    assert (await target.read()).state is HeartbeatState.ALIVE
    ping, read = service.requests
    base = f"/jsm/ops/api/{CLOUD}/v1/teams/{TEAM}/heartbeats"
    login = base64.b64encode(f"ops@acme.example:{TOKEN}".encode()).decode()
    for request, path in ((ping, f"{base}/ping"), (read, base)):
        assert (request.method, request.path) == ("GET", path)
        assert list(request.query.items()) == [("name", name)]
        assert request.headers["Authorization"] == f"Basic {login}"


async def test_a_plain_address_is_got_without_any_key(
    service: Service, destinations: Destinations
) -> None:
    target = plain(service, destinations, "/ping/7f%2Fsecret%20?run=1&x")
    assert (await target.ping()).accepted
    (request,) = service.requests
    assert request.raw_path == "/ping/7f%2Fsecret%20?run=1&x"
    assert "Authorization" not in request.headers
    assert (await target.read()).state is HeartbeatState.UNREADABLE
    assert len(service.requests) == 1


async def test_a_key_that_cannot_be_used_now_is_an_outcome_and_sends_nothing(
    service: Service, destinations: Destinations
) -> None:
    def resolve(_: int) -> tuple[Endpoint, str]:
        raise RefusedError(LocalReason.KEY_UNREADABLE, "no secret key opens it")

    settings = HeartbeatSettings(target="opsgenie", name="pager", integration_id=7)
    target = destinations.open_heartbeat(settings, resolve)
    assert target is not None
    outcome = await target.ping()
    assert (outcome.reason, outcome.message) == (
        LocalReason.KEY_UNREADABLE,
        "no secret key opens it",
    )
    reading = await target.read()
    assert (reading.state, reading.text) == (HeartbeatState.UNREADABLE, "no secret key opens it")
    assert service.requests == []


async def test_a_key_of_jsm_is_not_sent_to_a_heartbeat(
    service: Service, destinations: Destinations
) -> None:
    outcome = await opsgenie(service, destinations, path=JSM_PATH).ping()
    assert outcome.reason is LocalReason.ENDPOINT_REFUSED
    assert "STREAM_APP_HEARTBEAT__TARGET to jsm" in outcome.message
    assert service.requests == []


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (200, AttemptReason.ACCEPTED),
        (204, AttemptReason.ACCEPTED),
        (302, AttemptReason.REDIRECT),
        (401, AttemptReason.UNAUTHORIZED),
        (402, AttemptReason.PAYMENT_REQUIRED),
        (403, AttemptReason.FORBIDDEN),
        (404, AttemptReason.NOT_FOUND),
        (422, AttemptReason.UNPROCESSABLE),
        (429, AttemptReason.RATE_LIMITED),
        (503, AttemptReason.SERVER_ERROR),
    ],
)
@pytest.mark.parametrize("kind", ["opsgenie", "jsm", "url"])
async def test_a_refused_ping_says_why_and_shows_no_secret(
    service: Service, destinations: Destinations, kind: str, status: int, reason: AttemptReason
) -> None:
    target = {
        "opsgenie": opsgenie(service, destinations),
        "jsm": jsm(service, destinations),
        "url": plain(service, destinations, "/ping/7f-secret?token=8e-secret"),
    }[kind]
    login = base64.b64encode(f"ops@acme.example:{TOKEN}".encode()).decode()
    secrets = (KEY, TOKEN, login, "7f-secret", "8e-secret")
    said = f"GenieKey {KEY} {TOKEN} Basic {login} /ping/7f-secret token=8e-secret"
    service.status, service.body = (
        status,
        {"message": said, "requestId": KEY, "errors": {"n": said}},
    )
    service.headers = {"Retry-After": "90", "Location": f"{service.url}/elsewhere"}
    if kind != "opsgenie":  # the service's own words may show another kind's secret
        service.body["message"] = said.replace(KEY, "")
        service.body["errors"] = {}
    outcome = await target.ping()
    assert (outcome.reason, outcome.status) == (reason, status)
    assert outcome.retry_after_seconds == (90 if status == 429 else None)
    own = {"opsgenie": secrets[:1], "jsm": secrets[1:3], "url": secrets[3:]}[kind]
    for secret in own:
        assert secret not in f"{outcome} {target!r} {target.label}"
    assert len(service.requests) == 1


async def test_a_service_that_does_not_answer_is_told_from_one_that_refuses(
    destinations: Destinations, unused_tcp_port: int
) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}/ping/7f-secret"
    settings = HeartbeatSettings(target="url", url=SecretStr(url), url_hosts=("127.0.0.1",))
    target = destinations.open_heartbeat(settings, never)
    assert target is not None
    outcome = await target.ping()
    assert outcome.reason is AttemptReason.CONNECT_ERROR
    assert "7f-secret" not in f"{outcome} {target!r} {target.label}"
    assert "127.0.0.1" in target.label
