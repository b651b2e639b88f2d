"""Workers of this version beside those of the version before, under load, forth and back.

One run has every order, with both roles at once: a new worker joins an old one, is killed, comes
again, the old one restarts and leaves; then the way back. It is held against the oracle and the
requests that a sandbox got.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from stream_app.domain.delivery.records import Result, decode_result
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.settings import Settings
from tests import oracle_alerts
from tests.conftest import ROOT
from tests.integration import mixed_installation
from tests.integration.harness import WorkerProcess, drained, read_all
from tests.integration.mixed_installation import KEY_START
from tests.integration.test_exactness import counted
from tests.integration.test_mixed_installation import DETECTOR_TOPICS, Run, by_id, facts
from tests.integration.upgrade.previous_version import (
    HistoryMissingError,
    PreviousWorker,
    previous_version,
)

NOTIFIER_TOPICS = ["alerts", "deliveries", "delivery-results"]
ROLES = ("detector", "notifier")
OLD, NEW = "old", "new"
#: What a notifier logs of a failed request, and the status of one that is accepted.
RETRY, ACCEPTED = "delivery_retry_scheduled", 202
#: The load: more than there is time for, in bursts.
RECORDS_PER_SECOND, BURST, RECORDS_PER_NOTICE = 60, 6, 30
ENDLESS = 10**6
#: A kill may repeat the requests in flight; no more.
IN_FLIGHT = 10
#: All three cycles take a minute: the first two 1.4 s, then 1.2, 1.2, 3.6, 6, 12 and 36 s.
SCALE = 0.02


class Roll(Run):
    """An installation under load, and its workers of both versions."""

    def __init__(self, settings: Settings, sandbox: SandboxOpsgenie, url: str, logs: Path) -> None:
        super().__init__(settings, url)
        self.sandbox = sandbox
        self._logs = logs
        self._running: dict[tuple[str, str], WorkerProcess] = {}
        self._env = {
            "STREAM_APP_SECRET_KEYS": self.mixed.secret_key,
            "STREAM_APP_DELIVERY__SANDBOX_URL": url,
            "STREAM_APP_DELIVERY__RETRY_SCALE": str(SCALE),
            "STREAM_APP_DELIVERY__MAX_IN_FLIGHT": str(IN_FLIGHT),
            # Each hand-over falls into snapshots.
            "STREAM_APP_KAFKA__SNAPSHOT_INTERVAL_SECONDS": "0.5",
        }

    async def start(self, version: str) -> None:
        """Start a worker of each role, and wait until both are ready."""
        kind = PreviousWorker if version == OLD else WorkerProcess
        for role in ROLES:
            log = self._logs / f"{role}-{version}-{time.monotonic_ns()}.log"
            self._running[version, role] = kind(role, self.settings, log, **self._env)
        await asyncio.gather(*(self._running[version, role].ready() for role in ROLES))

    async def stop(self, version: str) -> None:
        """Stop the workers of a version while all requests fail: some deliveries are pending."""
        notifier = self._running[version, "notifier"]
        blocked = self.sandbox.fail(Fault(kind=FaultKind.STATUS, status=503))
        before = notifier.text.count(RETRY)
        async with asyncio.timeout(60):
            while notifier.text.count(RETRY) <= before:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.1)
        workers = [self._running.pop((version, role)) for role in ROLES]
        codes = await asyncio.gather(*(asyncio.to_thread(worker.stop) for worker in workers))
        assert codes == [0, 0]
        self.sandbox.heal(blocked.id)

    def kill(self, version: str) -> None:
        for role in ROLES:
            self._running.pop((version, role)).kill()

    def end(self) -> None:
        for worker in self._running.values():
            worker.__exit__()

    async def works(self, version: str) -> None:
        """Wait until both workers of a version have done something from now on."""
        for role, name in zip(ROLES, ("stream_app_events_total", "stream_app_routed"), strict=True):
            worker = self._running[version, role]
            before = await _total(worker, name)
            async with asyncio.timeout(60):
                while await _total(worker, name) <= before:  # noqa: ASYNC110 - of another process
                    await asyncio.sleep(0.1)

    async def attempts(self) -> list[Result]:
        """Return the results of all attempts, in the order in which they were made."""
        topic = self.name("delivery-results")
        read = await read_all(self.settings.kafka.bootstrap_servers or "", topic)
        results = [decode_result(one.value) for records in read.values() for one in records]
        found = [one for one in results if isinstance(one, Result) and one.is_sent]
        return sorted(found, key=lambda one: one.attempt)

    def logged(self, version: str, event: str) -> set[str]:
        """Return the deliveries of which the notifiers of a version have logged an event."""
        return {
            json.loads(line)["delivery_id"]
            for log in self._logs.glob(f"notifier-{version}-*.log")
            for line in log.read_text().splitlines()
            if event in line
        }


async def _total(worker: WorkerProcess, name: str) -> float:
    return sum(value for key, value in (await worker.metrics()).items() if key.startswith(name))


@contextlib.asynccontextmanager
async def load(roll: Roll) -> AsyncIterator[list[dict[str, Any]]]:
    """Send records and notices all the while; yield the notices that were sent."""
    mixed, settings = roll.mixed, roll.settings
    told: list[dict[str, Any]] = []
    is_over = asyncio.Event()

    async def send() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers)
        await producer.start()
        futures, notices = [], iter(mixed.notices())
        for number, (kind, key, value, place) in enumerate(mixed.records()):
            partition = place % settings.partitions if key is None else None
            topic = roll.name(f"events.{kind}")
            futures.append(await producer.send(topic, value, key=key, partition=partition))
            if number % RECORDS_PER_NOTICE == 0 and (notice := next(notices, None)):
                body, client = json.dumps(notice).encode(), str(number % 7).encode()
                topic = roll.name("events.account")
                futures.append(await producer.send(topic, body, key=client))
                told.append(notice)
            if number % BURST == 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(is_over.wait(), BURST / RECORDS_PER_SECOND)
            if is_over.is_set():
                break
        await asyncio.gather(*futures)
        await producer.stop()

    sending = asyncio.create_task(send())
    try:
        yield told
        is_over.set()
        await sending
    finally:
        sending.cancel()


async def trouble(sandbox: SandboxOpsgenie) -> None:
    """Have some requests fail every few seconds, so that retry cycles go on all the time."""
    while True:
        sandbox.fail(Fault(kind=FaultKind.STATUS, status=503, requests=5))
        await asyncio.sleep(2)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_roll_forth_and_back_loses_and_doubles_nothing(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixed_installation, "RECORDS", ENDLESS)
    await asyncio.to_thread(previous_version)
    sandbox = SandboxOpsgenie(capacity=10**6)
    roll = Roll(settings, sandbox, await sandbox.start(), tmp_path)
    await roll.configure()
    failing = asyncio.create_task(trouble(sandbox))
    try:
        await roll.start(OLD)
        async with load(roll) as notices:
            await roll.works(OLD)
            await roll.start(NEW)
            await roll.works(NEW)
            roll.kill(NEW)
            await roll.start(NEW)
            await roll.stop(OLD)
            await roll.start(OLD)  # an old worker restarts in the middle
            await roll.works(OLD)
            await roll.stop(OLD)
            await roll.works(NEW)
            await roll.start(OLD)  # the way back
            await roll.works(OLD)
            await roll.stop(NEW)
            await roll.works(OLD)
        failing.cancel()
        sandbox.heal()
        await drained(roll.settings, "detector", DETECTOR_TOPICS, 200)
        await drained(roll.settings, "notifier", NOTIFIER_TOPICS, 200)
        await compare(roll, notices)
    finally:
        failing.cancel()
        roll.end()
        await sandbox.stop()


async def compare(roll: Roll, notices: list[dict[str, Any]]) -> None:
    """Compare counts, alerts, deliveries and requests with the oracle."""
    mixed, requests = roll.mixed, roll.sandbox.requests
    totals, found = await roll.totals(), await roll.values("alerts")
    sums = await counted(roll.settings)
    assert {key: n for key, n in sums.items() if n} == {k: n for k, n in totals.counts.items() if n}
    fired = [
        oracle_alerts.alert(trigger, mixed.clients[trigger["client_id"]], start)
        for number, start in totals.fired(mixed.triggers.values())
        for trigger in [mixed.triggers[number]]
    ]
    told = roll.expected_notices(notices)
    assert by_id([one for one in found if "notice" not in one]) == by_id(fired)
    assert by_id([facts(one) for one in found if "notice" in one]) == by_id(told)
    sent = {
        (one["id"], f"{KEY_START}{number:012}"[-4:])
        for one in [*fired, *told]
        for number, result in oracle_alerts.destinations(
            one, mixed.integrations, mixed.disabled, mixed.deleted
        ).items()
        if result == "sent"
    }
    accepted = Counter((one.alias, one.key_end) for one in requests if one.status == ACCEPTED)
    assert set(accepted) == sent
    assert accepted.total() - len(accepted) <= IN_FLIGHT
    # Each request has an attempt of its own: no cycle began anew, and none left a step out.
    attempts: dict[str, list[int]] = defaultdict(list)
    for result in await roll.attempts():
        attempts[result.delivery_id].append(result.attempt)
    steps = {number: set(numbers) for number, numbers in attempts.items()}
    assert all(found == set(range(1, len(found) + 1)) for found in steps.values())
    made = sum(map(len, steps.values()))
    assert sum(map(len, attempts.values())) <= made + IN_FLIGHT
    assert made <= len(requests) <= made + IN_FLIGHT
    assert made - len(attempts) > len(attempts) / 10
    # What one version could not deliver, the other one has.
    for one, other in ((OLD, NEW), (NEW, OLD)):
        assert roll.logged(one, RETRY) & roll.logged(other, "delivery_sent"), (one, other)


def test_a_clone_without_the_history_says_what_to_do(tmp_path: Path) -> None:
    for repository in (ROOT, tmp_path):
        with pytest.raises(HistoryMissingError, match=r"history.*git fetch --unshallow"):
            previous_version("0" * 40, repository)
