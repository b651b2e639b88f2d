"""Checks of accepted requests at a real sandbox, without a broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from stream_app.domain.configuration.alert_options import AlertOptions
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.delivery.reasons import IntegrationType, LocalReason, RefusedError
from stream_app.domain.delivery.records import Checked, Result, ServiceAction
from stream_app.kafka.engine.ownership import Ownership
from stream_app.metrics import Metrics
from stream_app.notifier.status_checks import MAX_IN_FLIGHT, StatusChecks
from stream_app.opsgenie.client import OpsgenieClient
from stream_app.opsgenie.destination import Destination
from stream_app.opsgenie.endpoints import Endpoint, resolve_endpoint
from stream_app.opsgenie.outcome import Outcome
from stream_app.opsgenie.payload import alert_body
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.opsgenie.sandbox.service import Exchange
from stream_app.opsgenie.sandbox.state import AlertAction
from stream_app.setting_groups import DeliverySettings

NOW_MS = 1_767_225_600_000
KEY = "00000000-1111-2222-3333-444444444444"
OPSGENIE, JSM = IntegrationType.OPSGENIE, IntegrationType.JSM


class Bench:
    """Checks whose waits are 20, 50 and 150 ms; the sandbox is ready within 1 ms."""

    def __init__(self, url: str, sandbox: SandboxOpsgenie, **settings: Any) -> None:
        self.url, self.sandbox = url, sandbox
        self.now_ms = NOW_MS
        self.app = SimpleNamespace(
            rebalancing=False,
            is_stopping=False,
            consumer_generation_id=1,
            consumer=SimpleNamespace(group_generation=1),
        )
        self.metrics = Metrics()
        self.written: list[tuple[int, Checked]] = []
        self.write_error: Exception | None = None
        self.integration = Integration(521, 1111, "On-call", True, "opsgenie", url, "env:X", ())
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.asked: list[str] = []
        sandbox._api.steps.append(self._answer)
        self.settings = DeliverySettings(
            **{"sandbox_url": url, "retry_scale": 0.01, "status_check_share": 1} | settings
        )
        self.checks = StatusChecks(
            self._resolve,
            self._write,
            Ownership(self.app, 10.0),
            self.settings,
            self.metrics,
            lambda: self.now_ms,
        )

    def endpoint(self, kind: IntegrationType) -> Endpoint:
        path = "/jsm/ops/integration" if kind is JSM else ""
        return resolve_endpoint(self.url + path, self.url)

    async def post(self, kind: IntegrationType = OPSGENIE) -> Outcome:
        """Have the sandbox accept a request."""
        self.integration = msgspec.structs.replace(
            self.integration, api=self.endpoint(kind).alerts_url
        )
        body = alert_body("Title", "", "alert 1", {}, AlertOptions())
        async with OpsgenieClient(self.settings) as client:
            return await Destination(self.endpoint(kind), KEY, client).post(body)

    async def check(self, request_id: str | None = None, **changes: Any) -> None:
        """Offer an accepted request, and wait until nothing is checked any more."""
        kind = changes.pop("kind", OPSGENIE)
        request_id = request_id or (await self.post(kind)).request_id
        self.offer(request_id, integration_type=str(kind), **changes)
        await self.settled()

    def offer(self, request_id: str | None, **changes: Any) -> None:
        result = Result(
            "alert 1/521", 1111, 521, "opsgenie", 1, True, "accepted", "", NOW_MS, 0.1, 202,
            request_id,
        )  # fmt: skip
        self.checks.offer(3, msgspec.structs.replace(result, **changes))

    async def settled(self) -> None:
        async with asyncio.timeout(30):
            while self.checks._checks:  # noqa: ASYNC110 - ends of tasks
                await asyncio.sleep(0.005)

    def counts(self, kind: IntegrationType = OPSGENIE) -> dict[str, float]:
        """Return the counts that are not zero."""
        samples = next(iter(self.metrics.request_status.collect())).samples
        return {
            s.labels["outcome"]: s.value
            for s in samples
            if s.name.endswith("_total") and s.value and s.labels["integration_type"] == kind
        }

    def _resolve(self, _number: int, _client_id: int) -> tuple[Integration, Endpoint, str]:
        if not self.integration.active:
            raise RefusedError(LocalReason.INTEGRATION_UNAVAILABLE, "off")
        return self.integration, resolve_endpoint(self.integration.api, self.url), KEY

    async def _write(self, partition: int, checked: Checked) -> None:
        if self.write_error is not None:
            raise self.write_error
        self.written.append((partition, checked))

    async def _answer(self, exchange: Exchange) -> web.Response | None:
        if exchange.request.method != "GET":
            return None
        self.asked.append(exchange.request.path)
        if not self.answers:
            return None
        status, headers = self.answers.pop(0)
        return exchange.answer(status, {"message": "as told"}, headers)


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[Bench]:
    sandbox = SandboxOpsgenie(processing_ms=1)
    url = await sandbox.start()
    bench = Bench(url, sandbox, **settings)
    await bench.checks.start()
    try:
        yield bench
    finally:
        await bench.checks.stop()
        await sandbox.stop()


def close_unknown(bench: Bench) -> str:
    """Have the sandbox accept a request that cannot succeed; return its id."""
    bench.sandbox._api._state.act(AlertAction.CLOSE, "nobody", "request-1", 0)
    return "request-1"


async def test_a_request_that_became_an_alert_is_counted_and_written() -> None:
    async with running() as bench:
        await bench.check()
        assert bench.counts() == {"success": 1}
        ((partition, checked),) = bench.written
        assert partition == 3
        assert (checked.delivery_id, checked.alert_id) == ("alert 1/521", "alert 1")
        assert (checked.outcome, checked.status) == ("success", "Created alert")
        assert checked.request_id == bench.sandbox.requests[0].request_id
        assert (checked.client_id, checked.integration_id, checked.epoch) == (1111, 521, 0)


async def test_a_failure_is_logged_once_until_it_is_over() -> None:
    async with running() as bench:
        failing = close_unknown(bench)
        with capture_logs() as logs:
            for request_id in (failing, failing, None, failing):
                await bench.check(request_id)
    said = [line for line in logs if line["event"].startswith("request_")]
    events = ["request_not_successful", "request_successful_again", "request_not_successful"]
    assert [line["event"] for line in said] == events
    assert said[0]["log_level"] == "warning"
    facts = {"integration_id": 521, "alert_id": "alert 1", "status": "Alert does not exist"}
    assert facts.items() <= said[0].items()
    assert said[0]["request_id"] == failing
    assert bench.counts() == {"failed": 3, "success": 1}
    assert [checked.outcome for _, checked in bench.written] == [
        "failed", "failed", "success", "failed"
    ]  # fmt: skip
    assert KEY not in repr((logs, bench.written))


async def test_only_accepted_requests_with_an_id_and_in_the_sample_are_checked() -> None:
    async with running() as bench:
        bench.offer("x", accepted=False)
        bench.offer(None)
    async with running(status_check_share=0) as off:
        off.offer("x")
    assert (bench.asked, off.asked, bench.written, off.written) == ([], [], [], [])


async def test_a_rate_limit_ends_the_checks_for_the_asked_time() -> None:
    async with running() as bench:
        bench.answers = [(429, {"Retry-After": "7"})]
        await bench.check()
        await bench.check()
        assert (bench.counts(), len(bench.asked)) == ({"unreadable": 1}, 1)
        bench.now_ms += 6_999
        await bench.check()
        assert len(bench.asked) == 1
        bench.now_ms += 1
        await bench.check()
        assert bench.counts() == {"unreadable": 1, "success": 1}


async def test_a_rate_limit_drops_the_checks_that_wait() -> None:
    async with running() as bench:
        request_id = (await bench.post()).request_id
        bench.answers = [(429, {})]
        # One request at a time: the others wait until the first has its answer.
        bench.checks._places = asyncio.Semaphore(1)
        for _ in range(6):
            bench.offer(request_id)
        await bench.settled()
        assert (bench.counts(), len(bench.asked)) == ({"unreadable": 1}, 1)


async def test_jsm_that_does_not_tell_is_not_asked_for_an_hour() -> None:
    async with running() as bench:
        bench.answers = [(401, {})]
        for _ in range(3):
            await bench.check(kind=JSM)
        assert (bench.counts(JSM), len(bench.asked)) == ({"unknown": 1}, 1)
        assert bench.asked[0].startswith("/jsm/ops/integration/v2/alerts/requests/")
        bench.now_ms += 3_600_000
        await bench.check(kind=JSM)
        assert bench.counts(JSM) == {"unknown": 1, "success": 1}


async def test_a_rebalance_and_a_new_target_drop_checks() -> None:
    def rebalance(bench: Bench) -> None:
        bench.app.consumer_generation_id = bench.app.consumer.group_generation = 2

    def change_target(bench: Bench) -> None:
        bench.integration = msgspec.structs.replace(bench.integration, epoch=1)

    def turn_off(bench: Bench) -> None:
        bench.integration = msgspec.structs.replace(bench.integration, active=False)

    changes: list[Callable[[Bench], None]] = [rebalance, change_target, turn_off]
    for change in changes:
        async with running() as bench:
            request_id = (await bench.post()).request_id
            bench.offer(request_id)
            change(bench)
            with capture_logs() as logs:
                await bench.settled()
            assert (bench.asked, bench.written, bench.counts(), logs) == ([], [], {}, [])


async def test_a_stop_drops_checks_at_once() -> None:
    async with running(retry_scale=1.0) as bench:
        bench.offer((await bench.post()).request_id)
        async with asyncio.timeout(1):
            await bench.checks.stop()
        assert (bench.asked, bench.written) == ([], [])


async def test_requests_in_flight_and_waiting_checks_are_bounded() -> None:
    async with running() as bench:
        request_id = (await bench.post()).request_id
        in_flight, most = 0, 0

        async def hold(_: Exchange) -> None:
            nonlocal in_flight, most
            in_flight += 1
            most = max(most, in_flight)
            await asyncio.sleep(0.005)
            in_flight -= 1

        bench.sandbox._api.steps.append(hold)
        for _ in range(700):
            bench.offer(request_id)
        await bench.settled()
        assert most == MAX_IN_FLIGHT
        assert bench.counts() == {"success": 500}


async def test_a_check_that_cannot_be_written_ends_nothing() -> None:
    async with running() as bench:
        bench.write_error = OSError("no broker")
        with capture_logs() as logs:
            await bench.check()
        assert [line["event"] for line in logs] == ["status_check_failed"]
        bench.write_error = None
        await bench.check()
        assert len(bench.written) == 1


@pytest.mark.parametrize(
    ("action", "outcome"),
    [
        (ServiceAction.CLOSE, "success"),
        (ServiceAction.NOTE, "success"),
        (msgspec.UNSET, "failed"),
    ],
)
async def test_an_alert_that_somebody_has_closed_is_no_failure_of_a_note_or_a_close(
    action: ServiceAction | msgspec.UnsetType, outcome: str
) -> None:
    async with running() as bench:
        await bench.check(close_unknown(bench), action=action)
        assert bench.counts() == {outcome: 1}
        (_, written) = bench.written[0]
        assert (written.outcome, written.status) == (outcome, "Alert does not exist")
