"""The pulse with real workers: pinged while the whole way is open, and seen by nobody else."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from signal import SIGSTOP
from typing import Any

import pytest
from aiohttp import web

from stream_app.domain.alerts.alert import encode_alert, fired_alert
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.reserved import PULSE_CLIENT_ID
from stream_app.domain.reports.overview import Overview
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.kafka.cluster.topics import DEAD_LETTER_SOURCES, EVENT_TOPICS
from stream_app.kafka.overview.installation import read_overview
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.settings import Settings
from tests.integration.harness import WorkerProcess, put, put_objects, read_all
from tests.unit.domain.objects import parse_trigger

INTEGRATION = {
    "id": 521,
    "client_id": 1111,
    "name": "On-call",
    "active": True,
    "type": "opsgenie",
    "events": [],
}
TRIGGER = parse_trigger(
    {
        "id": 61,
        "client_id": 1111,
        "name": "Hits",
        "enabled": True,
        "template_id": "hits_exceeded",
        "threshold": {"count": 1, "period": 1},
        "actions": [{"id": "send_notification", "params": {"integration_ids": [521]}}],
    },
    allowed_periods=(1,),
)


class Site:
    """An installation with a heartbeat of its own, a sandbox, and workers."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.sandbox = SandboxOpsgenie()
        #: How many pings have come.
        self.pings = 0
        self._folder = folder
        self._env: dict[str, str] = {}
        self._workers: list[WorkerProcess] = []
        app = web.Application()
        app.router.add_get("/beat", self._ping)
        self._runner = web.AppRunner(app)

    async def _ping(self, _request: web.Request) -> web.Response:
        self.pings += 1
        return web.Response(text="OK")

    async def start(self) -> None:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        _, port = self._runner.addresses[0]
        sandbox_url = await self.sandbox.start()
        self._env = {
            "STREAM_APP_HEARTBEAT__TARGET": "url",
            "STREAM_APP_HEARTBEAT__URL": f"http://127.0.0.1:{port}/beat",
            "STREAM_APP_HEARTBEAT__URL_HOSTS": "127.0.0.1",
            "STREAM_APP_DELIVERY__SANDBOX_URL": sandbox_url,
            "STREAM_APP_DELIVERY__RETRY_SCALE": "0.01",
            # Longer than deliveries may wait without any sign of life.
            "STREAM_APP_DELIVERY__REQUEST_TIMEOUT_SECONDS": "12",
            "STREAM_APP_KEY_1111_ACME": "00000000-1111-2222-3333-444444444444",
        }
        await create_topics(self.settings)
        target = {"token": "env:STREAM_APP_KEY_1111_ACME", "api": f"{sandbox_url}/v2/alerts"}
        client = {"client_id": 1111, "name": "Acme", "cloud": "EU", "applications": {}}
        await put_objects(self.settings, "config.clients", [client])
        await put_objects(self.settings, "config.integrations", [INTEGRATION | {"target": target}])

    async def stop(self) -> None:
        for worker in self._workers:
            worker.__exit__()
        await self.sandbox.stop()
        await self._runner.cleanup()

    def worker(self, role: str) -> WorkerProcess:
        log = self._folder / f"{role}.{len(self._workers)}.log"
        self._workers.append(WorkerProcess(role, self.settings, log, **self._env))
        return self._workers[-1]

    async def pinged(self, more: int = 2) -> None:
        """Wait for some more pings."""
        wanted = self.pings + more
        await until(lambda: self.pings >= wanted)

    async def page(self) -> None:
        """Fire an alert for the integration."""
        alert = fired_alert(Client(1111, "Acme", "EU", {}), TRIGGER, int(time.time()))
        topic = f"{self.settings.topic_prefix}alerts"
        rows = [(b"1111", encode_alert(alert))]
        await put(self.settings.kafka.bootstrap_servers or "", topic, rows)

    async def records(self, topic: str) -> list[Any]:
        name = f"{self.settings.topic_prefix}{topic}"
        found = await read_all(self.settings.kafka.bootstrap_servers or "", name)
        return [record for records in found.values() for record in records]

    async def run(self, *args: str) -> str:
        done = await asyncio.to_thread(WorkerProcess.command, self.settings, *args)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    async def overview(self) -> Overview:
        return await read_overview(self.settings)


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(180):
        while not claim():  # noqa: ASYNC110 - the claim is about other processes
            await asyncio.sleep(0.05)


async def until_true(claim: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(180):
        while not await claim():  # noqa: ASYNC110 - the claim is about other processes
            await asyncio.sleep(0.1)


async def blocked(worker: WorkerProcess) -> set[str] | None:
    """Return what stops the pulse of a notifier; None: it does not ping."""
    name = "stream_app_pulse_blocked"
    found = {
        key.removeprefix(f'{name}{{reason="').removesuffix('"}'): value
        for key, value in (await worker.metrics()).items()
        if key.startswith(name)
    }
    return {reason for reason, value in found.items() if value} if found else None


@pytest.fixture
def partitions() -> int:
    """Return how many partitions the topics have: each costs the broker, and each worker."""
    return 2


@pytest.fixture
async def site(settings: Settings, tmp_path: Path) -> AsyncIterator[Site]:
    found = Site(settings, tmp_path)
    await found.start()
    yield found
    await found.stop()


async def nobody_sees_it(site: Site, detector: WorkerProcess, notifier: WorkerProcess) -> None:
    """Check that the pulse is in no list, no count and no dead letter."""
    alerts, compared, overview = await asyncio.gather(
        site.run("alerts", "list", "--json"),
        site.run("replay", "events.hits", "--from", "1h", "--compare"),
        site.overview(),
    )
    assert alerts == ""
    assert "no alerts, neither then nor now" in compared
    assert overview.problems(17) == []
    assert [row.newest_ms for row in overview.topics if "events." in row.topic] == [None] * 8
    for topic in DEAD_LETTER_SOURCES:
        assert await site.records(f"{topic}.dlq") == []
    silent = ("alerts_total", "events_total", "deliveries_total", "delivery_attempts_total",
              "routed_alerts_total", "late_events_total", "dead_letters_total",
              "event_lag_seconds_count", "event_to_alert_seconds_count",
              "alert_to_accepted_seconds_count")  # fmt: skip
    for worker in (detector, notifier):
        metrics = await worker.metrics()
        assert {key for key, value in metrics.items() if value and key.startswith(
            tuple(f"stream_app_{name}" for name in silent))} == set()  # fmt: skip
    assert "alert_fired" not in detector.text
    assert "delivery_sent" not in notifier.text


@pytest.mark.long
async def test_pings_come_only_while_the_whole_way_is_open_and_another_notifier_takes_over(
    site: Site,
) -> None:
    detector, notifier = site.worker("detector"), site.worker("notifier")
    # All partitions of all topics of events get their turn.
    await site.pinged(4)
    places = {
        (topic, record.partition) for topic in EVENT_TOPICS for record in await site.records(topic)
    }
    assert len(places) == 3 * site.settings.partitions
    await nobody_sees_it(site, detector, notifier)

    # A request that ends late, and a detector that hangs, and then is dead.
    site.sandbox.fail(Fault(kind=FaultKind.HANG))
    await site.page()
    detector.signal(SIGSTOP)

    # What waits in the topics meanwhile may stand still for them, too.
    both = {"no_worker", "deliveries_wait"}

    async def both_stop_it() -> bool:
        return both <= (await blocked(notifier) or set())

    await until_true(both_stop_it)
    silent_since = site.pings

    async def both_are_noted() -> bool:
        row = (await site.overview()).pulse
        return row is not None and {stop.reason for stop in row.stops} >= both

    await until(lambda: notifier.text.count("pulse_stopped") >= 2)
    await until_true(both_are_noted)
    shown = json.loads(await site.run("status", "--json"))
    assert {stop["reason"] for stop in shown["pulse"]["stops"]} >= {"no_worker"}
    assert site.pings == silent_since
    detector.kill()
    site.worker("detector")
    site.sandbox.heal()
    await site.pinged(1)
    await until(lambda: "pulse_back" in notifier.text)

    # The second notifier pings when the first one dies, whichever of them had the partition.
    other = await site.worker("notifier").ready()
    await site.pinged()
    owner, heir = (notifier, other) if await blocked(other) is None else (other, notifier)
    assert await blocked(heir) is None
    owner.kill()
    await site.pinged()
    assert await blocked(heir) == set()
    (alert,) = [record for record in await site.records("alerts") if record.key == b"1111"]
    assert alert.key != str(PULSE_CLIENT_ID).encode()
    assert len(site.sandbox.alerts) == 1
