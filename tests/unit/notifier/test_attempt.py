"""One attempt against the real sandbox."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from pydantic import SecretStr
from structlog.testing import capture_logs

from stream_app.domain.configuration.alert_options import (
    AlertOptions,
    Priority,
    Responder,
    ResponderType,
)
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.delivery.records import Delivery, Result, encode_delivery
from stream_app.domain.delivery.state import DeliveryState, DeliveryStatus
from stream_app.kafka.configuration.view import Configuration
from stream_app.key_ring import KeyRing
from stream_app.metrics import Metrics
from stream_app.notifier.attempt import Attempts
from stream_app.opsgenie.destination import Destinations
from stream_app.opsgenie.endpoints import JSM_PATH
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.opsgenie.sandbox.service import Exchange
from stream_app.setting_groups import DeliverySettings

NOW_MS = 1_767_225_600_000
KEY = "00000000-1111-2222-3333-444444444444"
DELIVERY = Delivery("stream-app:1:x/521", "stream-app:1:x", 1111, 521, "Title", "Text", {"a": "b"})
STATE = DeliveryState(
    DELIVERY.id,
    DeliveryStatus.PENDING,
    1111,
    521,
    2,
    NOW_MS,
    epoch=3,
    record=msgspec.Raw(encode_delivery(DELIVERY)),
)


class Bench:
    def __init__(self, sandbox: SandboxOpsgenie, url: str, client: Destinations) -> None:
        self.sandbox = sandbox
        self.metrics = Metrics()
        self.configuration = Configuration()
        self._url = url
        self._destinations = client
        self.keys = {"STREAM_APP_KEY_1111_ACME": KEY}
        self.configure()

    def configure(self, **fields: Any) -> None:
        integration = Integration(
            521,
            1111,
            "On-call",
            True,
            "opsgenie",
            self._url,
            "env:STREAM_APP_KEY_1111_ACME",
            (),
            epoch=9,
        )
        changed = msgspec.structs.replace(integration, **fields)
        self.configuration.integrations = {521: changed}

    def attempts(self, **settings: Any) -> Attempts:
        return Attempts(
            self._destinations,
            KeyRing(environ=self.keys),
            self.configuration,
            DeliverySettings(**{"sandbox_url": self._url, **settings}),
            self.metrics,
            lambda: NOW_MS,
        )

    async def make(self, **settings: Any) -> Result:
        return await self.attempts(**settings).make(STATE)

    def count(self, kind: str, reason: str) -> float | None:
        labels = {"integration_type": kind, "reason": reason}
        return self.metrics.registry.get_sample_value("stream_app_delivery_attempts_total", labels)


#: The path of the service that is played, and its label in the metrics.
PLAYED = {"opsgenie": "", "jsm": JSM_PATH}
PATH = ""


@pytest.fixture(autouse=True, params=PLAYED)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run every test against both services; return the one's label."""
    monkeypatch.setattr(f"{__name__}.PATH", PLAYED[request.param])
    return str(request.param)


@asynccontextmanager
async def running() -> AsyncIterator[Bench]:
    sandbox = SandboxOpsgenie()
    url = await sandbox.start() + PATH
    try:
        async with Destinations(DeliverySettings()) as client:
            yield Bench(sandbox, url, client)
    finally:
        await sandbox.stop()


async def test_an_accepted_attempt_says_who_what_and_when(kind: str) -> None:
    async with running() as bench:
        result = await bench.make()
        (request,) = bench.sandbox.requests
        assert (result.delivery_id, result.attempt, result.epoch) == (DELIVERY.id, 2, 9)
        assert (result.accepted, result.status, result.reason) == (True, 202, "accepted")
        assert (result.client_id, result.integration_id) == (1111, 521)
        assert result.request_id == request.request_id
        assert result.finished_at_ms == NOW_MS
        assert result.integration_type == kind
        assert request.path == f"{PATH}/v2/alerts"
        assert result.duration_seconds > 0
        assert bench.count(kind, "accepted") == 1
        (alert,) = bench.sandbox.alerts
        assert (alert.message, alert.description) == ("Title", "Text")
        assert (alert.alias, alert.details) == (DELIVERY.alert_id, {"a": "b"})


async def test_the_options_come_from_the_delivery_and_not_from_the_integration() -> None:
    team = Responder(ResponderType.TEAM, name="On-call")
    options = AlertOptions(Priority.P2, ("waf",), (team,), "shop", "acme")
    delivery = msgspec.structs.replace(DELIVERY, options=options)
    record = msgspec.Raw(encode_delivery(delivery))
    async with running() as bench:
        bodies: list[dict[str, Any]] = []

        async def note(exchange: Exchange) -> web.Response | None:
            bodies.append(await exchange.request.json())
            return None

        bench.sandbox._api.steps.append(note)
        await bench.attempts().make(msgspec.structs.replace(STATE, record=record))
        bench.configure(alert=AlertOptions(Priority.P5))
        await bench.attempts().make(msgspec.structs.replace(STATE, record=record))
        assert bodies[0] == bodies[1]
        fields = {name: bodies[0][name] for name in ("priority", "tags", "entity", "source")}
        assert fields == {"priority": "P2", "tags": ["waf"], "entity": "shop", "source": "acme"}
        assert bodies[0]["responders"] == [{"type": "team", "name": "On-call"}]


async def test_every_attempt_has_the_same_body() -> None:
    async with running() as bench:
        bodies = []

        async def note(exchange: Exchange) -> web.Response | None:
            bodies.append(await exchange.request.read())
            return None

        bench.sandbox._api.steps.append(note)
        await bench.make()
        await bench.make()
        assert len(set(bodies)) == 1 < len(bodies)


async def test_a_refusal_is_a_failed_attempt_with_the_wait_that_it_asks_for(kind: str) -> None:
    async with running() as bench:

        async def throttle(exchange: Exchange) -> web.Response:
            return exchange.answer(429, {"message": "slow down"}, {"Retry-After": "7"})

        bench.sandbox._api.steps.append(throttle)
        result = await bench.make()
        assert (result.accepted, result.status, result.reason) == (False, 429, "rate_limited")
        assert result.retry_after_seconds == 7
        assert bench.count(kind, "rate_limited") == 1


@pytest.mark.parametrize("fields", [{"active": False}, {"client_id": 2222}])
async def test_an_integration_that_may_not_be_used_gets_no_request(fields: dict[str, Any]) -> None:
    async with running() as bench:
        bench.configure(**fields)
        result = await bench.make()
        assert (result.accepted, result.reason) == (False, "integration_unavailable")
        assert "integration 521 of client 1111" in result.message
        assert bench.sandbox.requests == []
        assert bench.count("unknown", "integration_unavailable") == 1


async def test_an_integration_that_is_gone_gets_no_request() -> None:
    async with running() as bench:
        bench.configuration.integrations = {}
        assert (await bench.make()).reason == "integration_unavailable"


async def test_shortened_waits_are_refused_with_a_real_host() -> None:
    async with running() as bench:
        bench.configure(api="https://api.opsgenie.com")
        result = await bench.make(retry_scale=0.5)
        assert result.reason == "endpoint_refused"
        assert "RETRY_SCALE" in result.message


async def test_a_host_that_is_not_allowed_gets_no_request() -> None:
    async with running() as bench:
        result = await bench.make(sandbox_url=None)
        assert result.reason == "endpoint_refused"
        assert bench.sandbox.requests == []


async def test_a_failure_at_the_proxy_counts_against_nobody(kind: str) -> None:
    api = "https://api.atlassian.com" + JSM_PATH if PATH else "https://api.opsgenie.com"
    nobody = DeliverySettings(proxy_url=SecretStr("http://127.0.0.1:9"))
    async with running() as bench, Destinations(nobody) as bench._destinations:
        bench.configure(api=api)
        result = await bench.make()
        assert (result.reason, result.integration_type) == ("proxy_error", kind)
        assert (result.accepted, result.is_sent) == (False, False)


async def test_a_fault_of_our_own_is_logged_as_ours_once_a_minute() -> None:
    nobody = DeliverySettings(proxy_url=SecretStr("http://127.0.0.1:9"))
    async with running() as bench, Destinations(nobody) as bench._destinations:
        bench.configure(api="https://api.opsgenie.com")
        attempts = bench.attempts()
        with capture_logs() as logs:
            results = [await attempts.make(STATE) for _ in range(3)]
    assert {result.is_own_fault for result in results} == {True}
    (line,) = logs
    assert (line["event"], line["reason"]) == ("requests_not_possible", "proxy_error")
    assert "no integration is at fault" in line["then"]


async def test_a_key_whose_file_cannot_be_opened_now_is_our_own_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    async with running() as bench:
        bench.configure(key="file:1111/acme")
        attempts = bench.attempts()
        attempts._keys = KeyRing(key_dir=tmp_path)
        monkeypatch.setattr(Path, "open", fail)
        with capture_logs() as logs:
            result = await attempts.make(STATE)
    assert (result.reason, result.is_sent, result.is_own_fault) == ("local_error", False, True)
    assert [line["event"] for line in logs] == ["requests_not_possible"]


async def test_a_key_that_cannot_be_opened_is_logged_once_until_it_can() -> None:
    async with running() as bench:
        attempts = bench.attempts()
        bench.keys.clear()
        with capture_logs() as logs:
            results = [await attempts.make(STATE) for _ in range(3)]
            bench.keys["STREAM_APP_KEY_1111_ACME"] = KEY
            results.append(await attempts.make(STATE))
            bench.keys.clear()
            results.append(await attempts.make(STATE))
        refused = "key_unreadable"
        assert [r.reason for r in results] == [refused, refused, refused, "accepted", refused]
        said = [line for line in logs if line["event"] == "integration_unusable"]
        assert [line["integration_id"] for line in said] == [521, 521]
        assert KEY not in repr((logs, results))
