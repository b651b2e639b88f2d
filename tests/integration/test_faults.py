"""Deliveries under faults: no alert is lost, and none is doubled, whatever dies meanwhile.

2,000 alerts to 20 integrations, half of which fail for a while, one for good; five workers killed,
one stopped and woken, the broker restarted; with the judge off, and with it on. The figures go to
`.local/reports/faults.json`.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import math
import signal
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from stream_app.domain.alerts.alert import decode_alert, encode_alert
from stream_app.domain.configuration.integrations import key_context
from stream_app.domain.configuration.statuses import decode_status
from stream_app.domain.delivery.reasons import AttemptReason
from stream_app.domain.delivery.records import Result, decode_delivery, decode_result
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.key_ring import KeyRing, generate_secret_key
from stream_app.opsgenie.endpoints import JSM_PATH
from stream_app.settings import Settings
from tests.conftest import ROOT
from tests.integration.harness import WorkerProcess, drained, put_objects, read_all
from tests.integration.notifier.faulty_sandbox import FAULTS, FaultySandbox, faults_of
from tests.integration.notifier.test_notifier import alert, integration

REPORT = ROOT / ".local" / "reports" / "faults.json"
INTEGRATIONS = range(700, 720)
ALERTS = 2000
SECRET_KEY = generate_secret_key()
#: All three cycles take 15 s of waits.
SCALE = 0.005
MAX_IN_FLIGHT = 50
KILLS = 5


@dataclass
class Figures:
    """The figures of one run; `repeated` counts POSTs of an attempt that had been made before."""

    judge: str
    faults: dict[str, int]
    expected: int
    accepted: int
    dead_lettered: dict[str, int]
    repeated: int
    repeated_bound: int
    lost: int
    doubled: int
    #: Integrations that the judge has disabled.
    disabled: list[int]


def key_of(number: int) -> str:
    return f"00000000-1111-2222-3333-{number:012d}"


class Run:
    """One installation, its sandbox and its workers."""

    def __init__(self, settings: Settings, folder: Path, judge: str) -> None:
        self.settings, self.judge = settings, judge
        self.bootstrap = settings.kafka.bootstrap_servers or ""
        self.faulty = FaultySandbox(faults_of([key_of(number) for number in INTEGRATIONS]))
        self.url = ""
        self.workers: list[WorkerProcess] = []
        self._folder, self._stack = folder, ExitStack()

    async def start(self) -> None:
        await create_topics(self.settings)
        self.url = await self.faulty.start()
        client = {"client_id": 1111, "name": "TestCompany", "cloud": "EU", "applications": {}}
        await put_objects(self.settings, "config.clients", [client])
        rows = [
            integration(n, self.url, target={"token": self._token(n), "api": self._api(n)})
            for n in INTEGRATIONS
        ]
        await put_objects(self.settings, "config.integrations", rows)

    def _api(self, number: int) -> str:
        """Return where alerts go: to JSM for every third integration, else to Opsgenie."""
        return self.url + (JSM_PATH if number % 3 == 0 else "")

    def _token(self, number: int) -> str:
        """Return a key as it is stored: sealed for every second integration, else by its name."""
        if number % 2:
            return f"env:STREAM_APP_KEY_1111_N{number}"
        ring = KeyRing([SECRET_KEY])
        return ring.seal(key_of(number), key_context(1111, number, self._api(number)))

    async def stop(self) -> None:
        self._stack.close()
        await self.faulty.sandbox.stop()

    def worker(self) -> WorkerProcess:
        keys = {f"STREAM_APP_KEY_1111_N{number}": key_of(number) for number in INTEGRATIONS[1::2]}
        worker = WorkerProcess(
            "notifier",
            self.settings,
            self._folder / f"{self.judge}-{len(self.workers)}.log",
            STREAM_APP_DELIVERY__SANDBOX_URL=self.url,
            STREAM_APP_DELIVERY__RETRY_SCALE=str(SCALE),
            STREAM_APP_DELIVERY__REQUEST_TIMEOUT_SECONDS="1",
            STREAM_APP_DELIVERY__MAX_IN_FLIGHT=str(MAX_IN_FLIGHT),
            STREAM_APP_JUDGE__ON=self.judge,
            STREAM_APP_SECRET_KEYS=SECRET_KEY,
            **keys,
        )
        self._stack.enter_context(worker)
        self.workers.append(worker)
        return worker

    async def fire(self, seconds: float) -> None:
        """Write the alerts, one integration each, over some seconds."""
        numbers, topic = list(INTEGRATIONS), f"{self.settings.topic_prefix}alerts"
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, enable_idempotence=True)
        await producer.start()
        try:
            for n in range(ALERTS):
                row = alert(1_767_225_600 + n, (numbers[n % len(numbers)],))
                await producer.send(topic, encode_alert(row), key=b"1111")
                if n % 50 == 0:
                    await asyncio.sleep(seconds * 50 / ALERTS)
        finally:
            await producer.stop()

    async def records(self, topic: str) -> list[Any]:
        found = await read_all(self.bootstrap, f"{self.settings.topic_prefix}{topic}")
        return [record for records in found.values() for record in records]

    async def no_longer_pending(self, workers: list[WorkerProcess]) -> None:
        """Wait until no worker has a pending delivery, as long as their number falls."""
        least, deadline = math.inf, time.monotonic() + 60
        while time.monotonic() < deadline:
            await drained(self.settings, "notifier", ["alerts"])
            pages = [await worker.metrics() for worker in workers]
            pending = sum(page.get("stream_app_pending_deliveries", 1) for page in pages)
            if not pending:
                await drained(self.settings, "notifier", ["deliveries", "delivery-results"])
                return
            if pending < least:
                least, deadline = pending, time.monotonic() + 60
            await asyncio.sleep(0.3)
        raise AssertionError(f"{least:.0f} deliveries are still pending")

    async def shown(self) -> AsyncIterator[tuple[str, bytes]]:
        """Yield all that anybody can see of the run: pages, logs, and every record there is."""
        for place, worker in enumerate(self.workers):
            yield f"log {place}", worker.log.read_bytes()
            if worker.process.poll() is None:
                for page in ("/metrics", "/readyz?verbose", "/livez"):
                    yield f"page {page} of {place}", (await worker.page(page))[1].encode()
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        topics = [t for t in await admin.list_topics() if t.startswith(self.settings.topic_prefix)]
        await admin.close()
        assert {"deliveries.dlq", "stream-app-notifier-deliveries-changelog"} <= {
            topic.removeprefix(self.settings.topic_prefix) for topic in topics
        }
        for topic in topics:
            for records in (await read_all(self.bootstrap, topic)).values():
                parts = [
                    part or b""
                    for record in records
                    for part in (record.key, record.value, *(v for _, v in record.headers))
                ]
                yield topic, b"\n".join(parts)

    async def figures(self) -> Figures:
        expected = {decode_alert(record.value).id for record in await self.records("alerts")}
        # After a kill between a verdict and the state that remembers it, the verdict is made again.
        verdicts = dict.fromkeys(r.value for r in await self.records("status.integrations"))
        disabled = [decode_status(value).id for value in verdicts]
        alerts = Counter(found.alias for found in self.faulty.sandbox.alerts)
        dead: dict[str, str] = {}
        for record in await self.records("deliveries.dlq"):
            reason = dict(record.headers)["x-error-reason"].decode()
            dead[decode_delivery(record.value).alert_id] = reason
        faults = Counter(self.faulty.met)
        results = [decode_result(record.value) for record in await self.records("delivery-results")]
        attempts: dict[str, set[int]] = defaultdict(set)
        for result in results:
            if not isinstance(result, Result):
                continue
            if result.reason == AttemptReason.CONNECT_ERROR:
                faults["refused"] += 1
            else:
                attempts[result.delivery_id.rpartition("/")[0]].add(result.attempt)
        posts = self.faulty.posts
        return Figures(
            judge=self.judge,
            faults=dict(faults),
            expected=len(expected),
            accepted=len(alerts),
            dead_lettered=dict(Counter(dead.values())),
            repeated=sum(max(0, posts[alias] - len(attempts[alias])) for alias in posts),
            repeated_bound=KILLS * MAX_IN_FLIGHT,
            lost=len(expected - alerts.keys() - dead.keys()),
            doubled=sum(number > 1 for number in alerts.values()),
            disabled=disabled,
        )


@pytest.fixture
def cluster(own_kafka: Any, settings: Settings) -> tuple[EmbeddedKafka, Settings]:
    """Return a broker of this test's own, and the settings of an installation on it."""
    broker: EmbeddedKafka = own_kafka()
    kafka = settings.kafka.model_copy(
        update={"bootstrap_servers": broker.status().bootstrap_servers}
    )
    return broker, settings.model_copy(update={"kafka": kafka})


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("judge", ["never", "exhausted"])
async def test_no_alert_is_lost_or_doubled_whatever_dies(
    cluster: tuple[EmbeddedKafka, Settings], tmp_path: Path, judge: str
) -> None:
    broker, settings = cluster
    run = Run(settings, tmp_path, judge)
    await run.start()
    try:
        figures = await _under_faults(run, broker)
    finally:
        await run.stop()
    _write_report(figures)
    assert figures.lost == figures.doubled == 0
    assert figures.expected == ALERTS
    assert figures.accepted + sum(figures.dead_lettered.values()) >= figures.expected
    assert set(figures.dead_lettered) <= {"exhausted", "integration_disabled"}
    assert figures.dead_lettered.get("exhausted", 0) > 0
    assert figures.repeated <= figures.repeated_bound
    assert all(figures.faults.get(kind, 0) > 0 for kind in (*FAULTS, "refused"))
    if judge == "never":
        assert figures.disabled == []
    else:
        assert figures.disabled, "only the dead integration"
        assert len(figures.disabled) == len(set(figures.disabled)), "no other verdict"


async def _replaced(run: Run, worker: WorkerProcess) -> WorkerProcess:
    """Kill a worker while it works; return its replacement, once that is at work, too."""
    worker.kill()
    found = await run.worker().ready()
    await asyncio.sleep(1)
    return found


async def _under_faults(run: Run, broker: EmbeddedKafka) -> Figures:
    first, second = await run.worker().ready(), await run.worker().ready()
    firing = asyncio.create_task(run.fire(50))
    await asyncio.sleep(2)
    await run.faulty.refuse(2)
    for _ in range(2):
        first = await _replaced(run, first)
    second.signal(signal.SIGSTOP)
    await asyncio.sleep(8)  # longer than the session timeout of 6 s
    second.signal(signal.SIGCONT)
    await asyncio.to_thread(broker.stop)
    await asyncio.to_thread(broker.start)
    await asyncio.gather(first.ready(), second.ready())
    for _ in range(2):
        second = await _replaced(run, second)
    first = await _replaced(run, first)
    run.faulty.heal()
    await firing
    await run.no_longer_pending([first, second])
    figures = await run.figures()
    secrets = [SECRET_KEY, *map(key_of, INTEGRATIONS)]
    found = [
        where
        async for where, text in run.shown()
        if any(secret.encode() in text for secret in secrets)
    ]
    assert found == [], "a key is shown"
    assert first.stop() == second.stop() == 0
    return figures


def _write_report(figures: Figures) -> None:
    """Add a run's figures to the report; its top level sums them up."""
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    with REPORT.with_suffix(".lock").open("w") as lock:
        # The two runs may be at work at the same time.
        fcntl.flock(lock, fcntl.LOCK_EX)
        _add_to_report(figures)


def _add_to_report(figures: Figures) -> None:
    runs: dict[str, Any] = {}
    if REPORT.exists():
        runs = json.loads(REPORT.read_text())["runs"]
    runs[f"judge {figures.judge}"] = asdict(figures)
    sums = {
        name: sum(run[name] for run in runs.values())
        for name in ("expected", "accepted", "repeated", "lost", "doubled")
    }
    dead = sum(sum(run["dead_lettered"].values()) for run in runs.values())
    faults: Counter[str] = Counter()
    for run in runs.values():
        faults.update(run["faults"])
    report = {"faults": faults, **sums, "dead_lettered": dead, "runs": runs}
    REPORT.write_text(json.dumps(report, indent=2))
    print(json.dumps(report))
