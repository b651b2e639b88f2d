"""Heartbeats by the real client at the real sandbox: pinged, read, expired, failing on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from pydantic import SecretStr

from stream_app.domain.delivery.reasons import AttemptReason
from stream_app.heartbeat_settings import HeartbeatSettings
from stream_app.opsgenie.destination import (
    Destinations,
    HeartbeatState,
    HeartbeatTarget,
    has_moved,
)
from stream_app.opsgenie.endpoints import Endpoint, resolve_endpoint
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind, Operation
from stream_app.opsgenie.sandbox.heartbeats import Heartbeat
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.opsgenie.sandbox.state import AlertView
from stream_app.setting_groups import DeliverySettings

KEY = "00000000-1111-2222-3333-444444444444"
TOKEN = "fake-token-of-an-account-7777"
NAME = "our pager / 24/7 ü?"
Open = Callable[[str], HeartbeatTarget]


@pytest.fixture
async def expired() -> asyncio.Queue[AlertView]:
    return asyncio.Queue()


@pytest.fixture
async def sandbox(expired: asyncio.Queue[AlertView]) -> AsyncIterator[SandboxOpsgenie]:
    sandbox = SandboxOpsgenie(on_alert=expired.put_nowait)
    yield sandbox
    await sandbox.stop()


@pytest.fixture
async def url(sandbox: SandboxOpsgenie) -> str:
    return await sandbox.start()


@pytest.fixture(params=["opsgenie", "jsm"])
async def opened(url: str, request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    async with Destinations(DeliverySettings(sandbox_url=url)) as destinations:

        def resolve(_: int) -> tuple[Endpoint, str]:
            return resolve_endpoint(url, url), KEY

        def make(name: str) -> HeartbeatTarget:
            settings = HeartbeatSettings(target="opsgenie", name=name, integration_id=7)
            if request.param == "jsm":
                settings = HeartbeatSettings(
                    target="jsm",
                    name=name,
                    cloud_id="cloud",
                    team_id="team",
                    email="ops@acme.example",
                    api_token=SecretStr(TOKEN),
                    jsm_api=f"{url}/jsm/ops/api",
                )
            target = destinations.open_heartbeat(settings, resolve)
            assert target is not None
            return target

        yield make


async def test_a_ping_moves_a_heartbeat(sandbox: SandboxOpsgenie, opened: Open) -> None:
    sandbox.add_heartbeat(Heartbeat(NAME))
    target = opened(NAME)
    before = await target.read()
    assert (before.state, before.last_ping_ms) == (HeartbeatState.EXPIRED, None)
    assert (await target.ping()).accepted
    after = await target.read()
    assert (after.state, after.expires_seconds) == (HeartbeatState.ALIVE, 300)
    assert has_moved(before, after) is True
    (heartbeat,) = sandbox.heartbeats
    assert (heartbeat.pings, heartbeat.expired) == (1, False)
    assert {request.alias for request in sandbox.requests} == {NAME}


async def test_pong_proves_nothing_and_a_reading_does(
    sandbox: SandboxOpsgenie, opened: Open
) -> None:
    target = opened("another")
    assert (await target.ping()).accepted
    assert (await target.read()).state is HeartbeatState.MISSING
    sandbox.add_heartbeat(Heartbeat("another", enabled=False))
    assert (await target.ping()).accepted
    assert (await target.read()).state is HeartbeatState.DISABLED


async def test_a_silence_makes_one_alert_and_the_next_silence_another(
    sandbox: SandboxOpsgenie, opened: Open, expired: asyncio.Queue[AlertView]
) -> None:
    sandbox.add_heartbeat(Heartbeat(NAME, seconds=0.1))
    target = opened(NAME)
    for requests in (1, 2):
        await target.ping()
        alert = await expired.get()
        assert (alert.message, alert.priority) == (f"{NAME} is expired", "P3")
        assert alert.requests == requests
        assert (await target.read()).state is HeartbeatState.EXPIRED
    assert expired.empty()
    assert len(sandbox.alerts) == 1


async def test_pings_fail_on_demand_and_are_lost_on_demand(
    sandbox: SandboxOpsgenie, opened: Open
) -> None:
    sandbox.add_heartbeat(Heartbeat(NAME))
    target = opened(NAME)
    both = (Operation.HEARTBEAT_PING, Operation.HEARTBEAT_READ)
    sandbox.fail(Fault(kind=FaultKind.STATUS, status=403, on=both))
    outcome, reading = await target.ping(), await target.read()
    assert outcome.reason is AttemptReason.FORBIDDEN
    assert reading.state is HeartbeatState.UNREADABLE
    assert "allow its integration" in reading.text or "member of the team" in reading.text
    sandbox.heal()
    fault = Fault(kind=FaultKind.RATE_LIMIT, retry_after="90", on=(Operation.HEARTBEAT_PING,))
    sandbox.fail(fault)
    outcome = await target.ping()
    assert (outcome.reason, outcome.retry_after_seconds) == (AttemptReason.RATE_LIMITED, 90)
    sandbox.heal()
    sandbox.fail(Fault(kind=FaultKind.DISCARD, on=(Operation.HEARTBEAT_PING,)))
    assert (await target.ping()).accepted
    (heartbeat,) = sandbox.heartbeats
    assert heartbeat.pings == 0


async def test_jsm_takes_an_account_and_no_integrations_key(url: str) -> None:
    path = f"{url}/jsm/ops/api/cloud/v1/teams/team/heartbeats"
    async with httpx.AsyncClient() as http:
        for header in ({}, {"Authorization": f"GenieKey {KEY}"}, {"Authorization": "Basic !"}):
            for end in ("", "/ping"):
                answer = await http.get(f"{path}{end}?name=pager", headers=header)
                assert answer.status_code == 401, header
        assert (await http.get(f"{path}/ping", auth=("ops@acme", "t"))).status_code == 400
        assert (await http.get(path, auth=("ops@acme", "t"))).json()["values"] == []
        answer = await http.get(f"{url}/v2/heartbeats/pager/ping", auth=("ops@acme", "t"))
        assert answer.status_code == 401


async def test_heartbeats_are_listed_added_and_removed_by_http(
    url: str, sandbox: SandboxOpsgenie
) -> None:
    path = f"{url}/sandbox/heartbeats"
    async with httpx.AsyncClient() as http:
        assert (await http.get(path)).json() == []
        answer = await http.post(path, json={"name": NAME, "seconds": 0.5, "priority": "P1"})
        assert answer.status_code == 201
        assert (await http.get(path)).json() == [answer.json()]
        assert [one.priority for one in sandbox.heartbeats] == ["P1"]
        for body in (b"{", b"[]", b'{"name": ""}'):
            answer = await http.post(path, content=body)
            assert (answer.status_code, "message" in answer.json()) == (422, True)
        assert (await http.delete(path, params={"name": "x"})).status_code == 404
        assert (await http.delete(path, params={"name": NAME})).status_code == 204
        assert (await http.get(path)).json() == []


async def test_clearing_leaves_heartbeats(url: str, sandbox: SandboxOpsgenie) -> None:
    sandbox.add_heartbeat(Heartbeat(NAME))
    sandbox.clear()
    assert len(sandbox.heartbeats) == 1
