"""When an alert is closed, with real workers: the chosen 300 s of silence are 1.5 s here."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stream_app.domain.delivery.records import ServiceAction, decode_delivery
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.kafka.overview.installation import read_overview
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.settings import Settings
from tests.integration.harness import PROGRAMS, WorkerProcess, put, put_objects, read_all
from tests.integration.notifier.test_notifier import KEY, integration
from tests.integration.records.test_transactions import begin, transactional

SCALE, SILENCE_MS = 0.005, 1500
#: Longer than a notifier with this scale takes from one look at its open alerts to the next.
LOOK_SECONDS = 0.5
WAITING = "stream_app_closes_waiting"
#: Each attack has a trigger of its own.
FIRST, SECOND, THIRD = 61, 62, 63
ACTION = [{"id": "send_notification", "params": {"integration_ids": [521]}}]


class Told(NamedTuple):
    """A delivery: the window that it tells, and the broker's time of its record, Unix ms."""

    action: ServiceAction
    window: int
    at_ms: int


class Place:
    """An installation whose integration has its alerts closed."""

    def __init__(self, settings: Settings, folder: Path, sandbox: SandboxOpsgenie) -> None:
        self.settings = settings
        self.bootstrap = settings.kafka.bootstrap_servers or ""
        self.sandbox = sandbox
        self._folder = folder
        self._stack = ExitStack()
        self._second = 0
        self._env = {
            "STREAM_APP_KEY_1111_ACME": KEY,
            "STREAM_APP_DELIVERY__RETRY_SCALE": str(SCALE),
        }

    async def start(self) -> None:
        """Make the topics and the configuration."""
        url = self._env["STREAM_APP_DELIVERY__SANDBOX_URL"] = await self.sandbox.start()
        await create_topics(self.settings)
        client = {"client_id": 1111, "name": "TestCompany", "cloud": "EU", "applications": {}}
        options = {"deduplicate": "episode", "close_after_seconds": 300}
        await put_objects(self.settings, "config.clients", [client])
        await put_objects(
            self.settings, "config.integrations", [integration(521, url, alert=options)]
        )
        await put_objects(self.settings, "config.triggers", map(trigger, (FIRST, SECOND, THIRD)))

    async def stop(self) -> None:
        self._stack.close()
        await self.sandbox.stop()

    async def worker(self, role: str, name: str, *program: str, **env: str) -> WorkerProcess:
        log = self._folder / f"{name}.log"
        command = program or ("-m", "stream_app")
        worker = WorkerProcess(role, self.settings, log, command, **self._env, **env)
        return await self._stack.enter_context(worker).ready()

    def next_second(self) -> int:
        """Return a second of now that has no window yet."""
        self._second = max(int(time.time()), self._second + 1)
        return self._second

    async def attack(self, number: int) -> int:
        """Have a trigger fire; return the second of its window."""
        second = self.next_second()
        topic = f"{self.settings.topic_prefix}events.hits"
        await put(self.bootstrap, topic, [(None, hit(number, second))], partition=1)
        return second

    async def shown_as_waiting(self) -> int:
        """Return how many alerts `status` shows as over and open."""
        delivery = self.settings.delivery.model_copy(update={"retry_scale": SCALE})
        settings = self.settings.model_copy(update={"delivery": delivery})
        (row,) = (await read_overview(settings)).integrations
        return row.closes_waiting

    async def told(self, number: int, action: ServiceAction) -> list[Told]:
        """Return what was told of a trigger, in order."""
        found = []
        for records in (
            await read_all(self.bootstrap, f"{self.settings.topic_prefix}deliveries")
        ).values():
            for record in records:
                one = decode_delivery(record.value)
                if one.action is action and one.episode and one.episode.trigger_id == number:
                    found.append(Told(action, one.episode.window_end - 1, record.timestamp))
        return sorted(found, key=lambda one: one.at_ms)

    async def paged(self, number: int, times: int) -> list[Told]:
        """Wait until a trigger has paged so often."""
        return await self._until(number, ServiceAction.CREATE, times)

    async def closed(self, number: int, times: int = 1) -> list[Told]:
        """Wait until the alert of a trigger has been closed so often."""
        return await self._until(number, ServiceAction.CLOSE, times)

    async def _until(self, number: int, action: ServiceAction, times: int) -> list[Told]:
        async with asyncio.timeout(60):
            while len(found := await self.told(number, action)) < times:  # noqa: ASYNC110 - of others
                await asyncio.sleep(0.2)
        return found


def trigger(number: int) -> dict[str, Any]:
    """Return a trigger that fires in each second with a hit of its path."""
    return {
        "id": number,
        "client_id": 1111,
        "name": f"Trigger {number}",
        "enabled": True,
        "template_id": "hits_exceeded",
        "filters": [{"id": "ip_address", "operator": "eq", "values": [f"10.0.0.{number}"]}],
        "threshold": {"count": 0, "period": 1, "operator": "gt"},
        "actions": ACTION,
        "enabled_at": 1,
    }


def hit(number: int, second: int) -> bytes:
    event = {
        "client_id": 1111,
        "request_time": second,
        "type": "sqli",
        "remote_addr4": f"10.0.0.{number}",
    }
    return json.dumps(event).encode()


async def waiting(number: int, *notifiers: WorkerProcess) -> WorkerProcess:
    """Wait until so many alerts are due at a notifier, and it has asked the brokers about them."""
    async with asyncio.timeout(60):
        while True:
            for notifier in notifiers:
                if (await notifier.metrics()).get(WAITING) == number:
                    await asyncio.sleep(LOOK_SECONDS)
                    assert (await notifier.metrics())[WAITING] == number
                    return notifier
            await asyncio.sleep(0.1)


@pytest.fixture
def partitions() -> int:
    """Return how many partitions the topics have: one for a transaction, one for attacks."""
    return 2


@pytest.fixture
async def place(settings: Settings, tmp_path: Path) -> AsyncIterator[Place]:
    found = Place(settings, tmp_path, SandboxOpsgenie(processing_ms=0))
    try:
        await found.start()
        yield found
    finally:
        await found.stop()


@pytest.mark.long
async def test_an_alert_is_closed_once_and_only_after_a_real_silence(place: Place) -> None:
    detector = await place.worker("detector", "detector")
    ahead = {"SHIFTED_BY_SECONDS": "7200", "TELLS_NO_TIME": "1"}
    notifier = await place.worker("notifier", "ahead", str(PROGRAMS / "shifted_clock.py"), **ahead)

    # Producers have stopped, but one has a transaction open: more may come.
    async with transactional(place.settings, "slow") as producer:
        later = place.next_second()
        await begin(producer, place.settings, [("events.hits", 0, None, hit(SECOND, later))])
        await place.attack(FIRST)
        await place.attack(SECOND)
        (first,) = await place.paged(FIRST, 1)
        await place.paged(SECOND, 1)
        await waiting(2, notifier)
        assert await place.told(FIRST, ServiceAction.CLOSE) == []
        await producer.commit_transaction()
        (close,) = await place.closed(FIRST)
        assert close.at_ms >= first.at_ms + SILENCE_MS
        starting = asyncio.create_task(place.worker("notifier", "right"))
        *_, second = await place.paged(SECOND, 2)
        assert second.window == later
        (close,) = await place.closed(SECOND)
        assert close.at_ms >= second.at_ms + SILENCE_MS

        # The detector stands still, and the notifier that has the alert leaves.
        other = await starting
        await begin(producer, place.settings, [("events.hits", 0, None, hit(THIRD, 1))])
        await place.attack(THIRD)
        await place.paged(THIRD, 1)
        detector.signal(signal.SIGSTOP)
        later = await place.attack(THIRD)
        await producer.abort_transaction()
    owner = await waiting(1, notifier, other)
    assert await place.shown_as_waiting() == 1
    assert await place.told(THIRD, ServiceAction.CLOSE) == []
    detector.signal(signal.SIGCONT)
    assert owner.stop() == 0
    *_, third = await place.paged(THIRD, 2)
    (close,) = await place.closed(THIRD)
    assert close.window == later
    assert close.at_ms >= third.at_ms + SILENCE_MS
    async with asyncio.timeout(60):
        while [alert.status for alert in place.sandbox.alerts] != ["closed"] * 3:  # noqa: ASYNC110 - of workers
            await asyncio.sleep(0.1)
    assert len(await place.told(THIRD, ServiceAction.CLOSE)) == 1
