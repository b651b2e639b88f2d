"""Requests and the sandbox's answers are valid by the services' published descriptions."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from pydantic import SecretStr

from stream_app import heartbeat_settings
from stream_app.heartbeat_settings import HeartbeatSettings
from stream_app.opsgenie.destination import Destinations, Endpoint, HeartbeatState
from stream_app.opsgenie.endpoints import resolve_endpoint
from stream_app.opsgenie.heartbeats import reading
from stream_app.opsgenie.sandbox import heartbeats
from stream_app.opsgenie.sandbox.heartbeats import Heartbeat
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.opsgenie.sandbox.service import Exchange
from stream_app.setting_groups import DeliverySettings
from tests.unit.opsgenie.heartbeats import published
from tests.unit.opsgenie.heartbeats.test_targets import NAMES

KEY = "00000000-1111-2222-3333-444444444444"


class Around:
    """A sandbox, and what its descriptions do not allow in the requests that it got."""

    def __init__(self, sandbox: SandboxOpsgenie, url: str) -> None:
        self.sandbox, self.url = sandbox, url
        self.problems: list[str] = []
        self.requests = 0
        sandbox._api.steps.insert(0, self._look)

    async def _look(self, exchange: Exchange) -> web.Response | None:
        request = exchange.request
        described = published.JSM_REQUESTS if exchange.is_jsm else published.OPSGENIE_REQUESTS
        self.requests += 1
        self.problems += published.request_problems(
            described, request.method, request.raw_path, request.query
        )
        if await request.read():
            self.problems.append("no body")
        return None


@pytest.fixture
async def around() -> AsyncIterator[Around]:
    sandbox = SandboxOpsgenie()
    yield Around(sandbox, await sandbox.start())
    await sandbox.stop()


@pytest.mark.parametrize("kind", ["opsgenie", "jsm"])
async def test_each_request_is_a_described_one(around: Around, kind: str) -> None:
    def resolve(_: int) -> tuple[Endpoint, str]:
        return resolve_endpoint(around.url, around.url), KEY

    async with Destinations(DeliverySettings(sandbox_url=around.url)) as destinations:
        for name in NAMES:
            around.sandbox.add_heartbeat(Heartbeat(name))
            settings = HeartbeatSettings(target="opsgenie", name=name, integration_id=7)
            if kind == "jsm":
                settings = HeartbeatSettings(
                    target="jsm",
                    name=name,
                    cloud_id="cloud",
                    team_id="team",
                    email="ops@acme.example",
                    api_token=SecretStr("fake-token"),
                    jsm_api=f"{around.url}/jsm/ops/api",
                )
            target = destinations.open_heartbeat(settings, resolve)
            assert target is not None
            assert (await target.ping()).accepted
            assert (await target.read()).state is HeartbeatState.ALIVE
    assert (around.problems, around.requests) == ([], 2 * len(NAMES))


def test_the_sandbox_answers_with_described_fields() -> None:
    pinged = Heartbeat("pager", last_ping_ms=1_767_225_600_000, expired=False)
    for one in (pinged, Heartbeat("pager", seconds=0.1)):
        opsgenie, jsm = one.as_opsgenie(), one.as_jsm("team")
        assert published.answer_problems(published.OPSGENIE_FIELDS, opsgenie) == []
        assert published.answer_problems(published.JSM_FIELDS, jsm) == []
        for interval in (opsgenie["interval"], jsm["interval"]):
            assert isinstance(interval, int)
            assert interval >= published.LEAST_INTERVAL
        assert opsgenie["intervalUnit"] in published.UNITS


def test_the_limits_are_the_described_ones() -> None:
    assert heartbeat_settings.NAME_LIMIT == published.NAME_LIMIT
    assert heartbeats.MESSAGE_LIMIT == published.MESSAGE_LIMIT
    assert tuple(reading.UNIT_SECONDS) == published.UNITS


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("POST", "/v2/heartbeats/pager/ping", {}),
        ("GET", "/v2/heartbeats/a/b/ping", {}),
        ("GET", "/v2/heartbeats/pager/pong", {}),
        ("GET", "/v2/heartbeats/pager", {"name": "x"}),
    ],
)
def test_the_check_itself_refuses_what_is_not_described(
    method: str, path: str, query: dict[str, str]
) -> None:
    assert published.request_problems(published.OPSGENIE_REQUESTS, method, path, query) != []
