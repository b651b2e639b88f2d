"""Who is told of an integration that the system disables: the platform team, through all kills."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stream_app.domain.configuration.statuses import decode_status
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind
from stream_app.settings import Settings
from tests.integration.harness import PATIENCE_SECONDS, WorkerProcess, put_objects
from tests.integration.notifier.test_notifier import KEY, Bench, alert, eventually, integration

PLATFORM_KEY = "00000000-1111-2222-3333-999999999999"
OPERATOR = "STREAM_APP_OPERATOR_INTEGRATION"


@pytest.fixture
async def place(settings: Settings, tmp_path: Path) -> AsyncIterator[Bench]:
    """Yield an installation whose client 1111 has one integration, which every request breaks."""
    bench = Bench(settings, tmp_path / "worker")
    await bench.start()
    await put_objects(bench.settings, "config.integrations", [platform(bench)])
    bench.sandbox.fail(Fault(kind=FaultKind.STATUS, status=401, key_end=KEY[-4:]))
    yield bench
    await bench.stop()


def platform(bench: Bench, **fields: object) -> dict[str, object]:
    target = {"token": "env:STREAM_APP_KEY_9_PLATFORM", "api": bench.url}
    return integration(900, bench.url, client_id=9, target=target, **fields)


def worker(bench: Bench, *killed_at: str) -> WorkerProcess:
    return bench.worker(*killed_at, **{OPERATOR: "900", "STREAM_APP_KEY_9_PLATFORM": PLATFORM_KEY})


async def test_the_platform_team_is_told_once_through_kills_and_what_nobody_was_told_is_shown(
    place: Bench,
) -> None:
    killed = worker(place, "disabled")
    await killed.ready()
    await place.fire(alert())
    assert await asyncio.to_thread(killed.process.wait, PATIENCE_SECONDS) == -signal.SIGKILL
    (record,) = await place.records("status.integrations")
    assert decode_status(record.value).told == (), "its client has no other integration"
    assert await place.records("events.account") == [], "nobody is told before it is disabled"
    killed = worker(place, "told")
    assert await asyncio.to_thread(killed.process.wait, PATIENCE_SECONDS) == -signal.SIGKILL
    last = await worker(place).ready()
    await eventually(lambda: len(place.sandbox.alerts) == 1)
    await place.drained()
    deliveries = [r.value for r in await place.records("deliveries") if r.key == b"900"]
    assert len(deliveries) == 2, "one of the second worker, one of the last"
    assert deliveries[0] == deliveries[1]
    (shown,) = place.sandbox.alerts
    assert shown.requests == 1
    assert shown.message == (
        "[Wallarm] Integration 521 of client 1111 was disabled because of delivery errors"
    )
    assert "17 of 17 requests" in shown.description
    assert "HTTP 401 (unauthorized)" in shown.description
    assert "nobody of the client is told" in shown.description
    metrics = await last.metrics()
    assert metrics["stream_app_integrations_disabled_untold"] == 1
    assert metrics["stream_app_operator_integration_usable"] == 1
    await put_objects(place.settings, "config.integrations", [platform(place, active=False)])
    await eventually(lambda: "operator_integration_unusable" in last.text)
    assert (await last.metrics())["stream_app_operator_integration_usable"] == 0
    status = WorkerProcess.command(place.settings, "status", "--json", **{OPERATOR: "900"})
    assert status.returncode == 0, status.stderr
    found = json.loads(status.stdout)
    assert found["operator_integration"] == 900
    problems = [row["what"] for row in found["needs_attention"]]
    assert any(
        text.startswith("the operator integration 900 ") and "is turned off" in text
        for text in problems
    )
    assert any(text.endswith("no other integration tells client 1111 of it") for text in problems)
    doctor = WorkerProcess.command(place.settings, "doctor", "--json", **{OPERATOR: "900"})
    rows = [json.loads(line) for line in doctor.stdout.splitlines()]
    (row,) = [row for row in rows if row["check"] == "operator"]
    assert (row["verdict"], row["next_step"]) == ("fail", "stream-app integrations enable 900")
