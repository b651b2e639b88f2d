"""Two detectors, two notifiers, a sandbox and a steady load, on a cluster of three nodes."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from stream_app.domain.alerts.alert import decode_alert
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.key_ring import generate_secret_key
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.settings import Settings
from tests import oracle, oracle_alerts
from tests.integration.harness import (
    WorkerProcess,
    drained,
    partial_counts,
    put_objects,
    read_all,
)

KEY = "00000000-1111-2222-3333-444444444444"
CLIENT_ID = 1111
CLIENT = {"client_id": CLIENT_ID, "name": "Acme", "cloud": "EU", "applications": {}}
INTEGRATION = 521
#: A window of a second closes soon, one of a minute spans what happens meanwhile.
PERIODS = (1, 60)
TYPES = ("sqli", "xss", "rce", "ptrav")
EVENTS_PER_SECOND = 60
MAX_IN_FLIGHT = 50
COUNTED = ["events.attacks", "events.hits", "events.incidents", "counts", "events.account"]
DELIVERED = ["alerts", "deliveries", "delivery-results"]


def triggers() -> list[dict[str, Any]]:
    """Return a trigger for each kind of events, type and period."""
    return [
        {
            "id": number + 1,
            "client_id": CLIENT_ID,
            "name": f"trigger {number + 1}",
            "comment": "",
            "enabled": True,
            "template_id": oracle.CONDITION[kind],
            "filters": [{"id": "attack_type", "operator": "eq", "values": [name]}],
            "threshold": {"count": 2, "period": period, "operator": "gt"},
            "actions": [{"id": "send_notification", "params": {"integration_ids": [INTEGRATION]}}],
            "enabled_at": 1,
        }
        for number, (kind, name, period) in enumerate(
            (kind, name, period)
            for kind in oracle.CONDITION
            for name in TYPES
            for period in PERIODS
        )
    ]


class Load:
    """Sends events until it is ended: the producers of the platform, which wait for a broker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._task: asyncio.Task[None] | None = None
        self._is_over = False
        self.sent = 0

    def start(self) -> None:
        self._is_over = False
        self._task = asyncio.create_task(self._run())

    async def end(self) -> None:
        """Stop sending; wait until the brokers have acknowledged all that was sent."""
        self._is_over = True
        assert self._task is not None
        await self._task

    async def _run(self) -> None:
        chance = random.Random(5)
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka.bootstrap_servers,
            enable_idempotence=True,
            request_timeout_ms=5000,
        )
        await producer.start()
        try:
            futures = []
            while not self._is_over:
                for kind in oracle.CONDITION:
                    value = {"client_id": CLIENT_ID, "type": chance.choice(TYPES)}
                    value["request_time" if kind == "hits" else "first_time"] = int(time.time())
                    topic = f"{self._settings.topic_prefix}events.{kind}"
                    partition = chance.randrange(self._settings.partitions)
                    sent = producer.send(topic, json.dumps(value).encode(), partition=partition)
                    futures.append(await sent)
                    self.sent += 1
                await asyncio.sleep(len(oracle.CONDITION) / EVENTS_PER_SECOND)
            await asyncio.gather(*futures)
        finally:
            await producer.stop()


class Installation:
    """The whole system; its workers' logs stand in `folder`."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.bootstrap = settings.kafka.bootstrap_servers or ""
        self.sandbox = SandboxOpsgenie(keys={KEY})
        self.load = Load(settings)
        self.workers: list[WorkerProcess] = []
        self.url = ""
        self._folder = folder
        self._stack = ExitStack()
        self._secret = generate_secret_key()

    @property
    def env(self) -> dict[str, str]:
        return {
            "STREAM_APP_KAFKA__REPLICATION_FACTOR": "3",
            "STREAM_APP_SECRET_KEYS": self._secret,
            "STREAM_APP_DELIVERY__SANDBOX_URL": self.url,
            "STREAM_APP_DELIVERY__MAX_IN_FLIGHT": str(MAX_IN_FLIGHT),
            "STREAM_APP_KAFKA__SNAPSHOT_INTERVAL_SECONDS": "5",
            "STREAM_APP_KEY_1111_SANDBOX": KEY,
        }

    async def start(self) -> None:
        """Make the topics, configure all, and start the workers."""
        self.url = await self.sandbox.start()
        await create_topics(self.settings)
        await put_objects(self.settings, "config.clients", [CLIENT])
        target = {"token": "env:STREAM_APP_KEY_1111_SANDBOX", "api": f"{self.url}/v2/alerts"}
        row = {
            "id": INTEGRATION,
            "client_id": CLIENT_ID,
            "name": "On-call",
            "type": "opsgenie",
            "active": True,
            "target": target,
            "events": [],
        }
        await put_objects(self.settings, "config.integrations", [row])
        await put_objects(self.settings, "config.triggers", triggers())
        for role in ("detector", "notifier"):
            for number in (1, 2):
                log = self._folder / f"{role}-{number}.log"
                worker = WorkerProcess(role, self.settings, log, **self.env)
                self.workers.append(self._stack.enter_context(worker))
        for worker in self.workers:
            await worker.ready()

    async def stop(self) -> None:
        self._stack.close()
        await self.sandbox.stop()

    def command(self, *args: str) -> Any:
        return WorkerProcess.command(self.settings, *args, **self.env)

    def ended(self) -> list[str]:
        """Return the logs of workers that have ended."""
        return [one.text[-3000:] for one in self.workers if one.process.poll() is not None]

    async def settled(self, seconds: float = 60) -> None:
        """Wait until all that was sent is counted and delivered."""
        await drained(self.settings, "detector", COUNTED, seconds)
        await drained(self.settings, "notifier", DELIVERED, seconds)

    async def compare(self) -> dict[str, int]:
        """Compare counts, alerts and requests with the oracle's; return the figures."""
        totals = oracle.Totals()
        for kind in oracle.CONDITION:
            topic = f"{self.settings.topic_prefix}events.{kind}"
            for records in (await read_all(self.bootstrap, topic)).values():
                rows = [(record.value, record.timestamp) for record in records]
                oracle.count(kind, rows, triggers(), {CLIENT_ID}, totals)
        assert await self._counted() == dict(totals.counts)
        by_id = {trigger["id"]: trigger for trigger in triggers()}
        expected = {
            oracle_alerts.alert(by_id[number], CLIENT, start)["id"]
            for number, start in totals.fired(triggers())
        }
        topic, alerts = f"{self.settings.topic_prefix}alerts", Counter[str]()
        for records in (await read_all(self.bootstrap, topic)).values():
            alerts.update(decode_alert(record.value).id for record in records)
        assert set(alerts) == expected
        requests = Counter(request.alias for request in self.sandbox.requests)
        assert set(requests) == expected
        return {
            "events": sum(totals.results.values()),
            "alerts": len(expected),
            "alert records sent again": alerts.total() - len(alerts),
            "requests sent again": requests.total() - len(requests),
        }

    async def _counted(self) -> dict[oracle.Window, int]:
        """Return what the partial counts add up to, the largest of each source partition."""
        largest: dict[tuple[int, int, int], int] = defaultdict(int)
        for trigger_id, start, partition, count in await partial_counts(self.settings):
            place = trigger_id, start, partition
            largest[place] = max(largest[place], count)
        totals: dict[oracle.Window, int] = defaultdict(int)
        for (trigger_id, start, _), count in largest.items():
            totals[trigger_id, start] += count
        return dict(totals)
