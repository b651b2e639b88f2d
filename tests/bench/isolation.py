"""Latency of a healthy integration, alone and beside 10,000 pending deliveries to dead ones.

The dead ones hang, reset, drip or answer garbage, with the documented waits; the judge is off. The
latency is from the alert's record to its arrival at the sandbox, all in one run of one worker.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from cryptography.fernet import Fernet

from stream_app.domain.alerts.alert import encode_alert, fired_alert
from stream_app.domain.configuration.clients import Client
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.opsgenie.sandbox.state import AlertView
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings
from tests.bench import data
from tests.bench.workers import Worker
from tests.unit.domain.objects import parse_trigger

HEALTHY = data.CLIENTS[0]
DEAD = data.CLIENTS[1:]
DEAD_DELIVERIES = 10_000
FAULTS = (FaultKind.HANG, FaultKind.RESET, FaultKind.DRIP, FaultKind.GARBAGE)
RATE = 10
SECONDS = 20
WARM_UP_SECONDS = 3
PENDING = "stream_app_pending_deliveries"


async def measure(bootstrap: str, prefix: str, logs: Path) -> dict[str, Any]:
    """Return p50 and p99 in milliseconds of both, and the ratio of the p99."""
    arrived: dict[str, float] = {}
    sandbox = SandboxOpsgenie(on_alert=lambda alert: _note(arrived, alert))
    for place, number in enumerate(DEAD):
        sandbox.fail(Fault(kind=FAULTS[place % len(FAULTS)], key=data.key_of(number)))
    url = await sandbox.start()
    key = Fernet.generate_key().decode()
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers=bootstrap),
        topic_prefix=prefix,
        partitions=data.PARTITIONS,
        secret_keys=key,
    )
    await create_topics(settings)
    await data.configure(settings, url)
    env = {
        "STREAM_APP_SECRET_KEYS": key,
        "STREAM_APP_DELIVERY__SANDBOX_URL": url,
        "STREAM_APP_JUDGE__ON": "never",
    }
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        with Worker("notifier", settings, logs / "isolation.log", **env) as worker:
            await worker.ready()
            send = _Alerts(producer, f"{prefix}alerts")
            await _latencies(send, arrived, WARM_UP_SECONDS)
            alone = await _latencies(send, arrived)
            for count in range(DEAD_DELIVERIES):
                await send(DEAD[count % len(DEAD)])
            began = time.monotonic()
            while (pending := (await worker.metrics())[PENDING]) < DEAD_DELIVERIES:
                if time.monotonic() - began > 60:
                    raise RuntimeError(f"only {pending:.0f} deliveries are pending")
                await asyncio.sleep(0.2)
            beside = await _latencies(send, arrived)
            pending = (await worker.metrics())[PENDING]
    finally:
        await producer.stop()
        await sandbox.stop()
    report: dict[str, Any] = {"isolation_pending": int(pending)}
    for name, found in (("alone", alone), ("beside", beside)):
        report[f"isolation_{name}_p50_ms"] = round(statistics.median(found), 1)
        report[f"isolation_{name}_p99_ms"] = round(sorted(found)[int(len(found) * 0.99)], 1)
    ratio = report["isolation_beside_p99_ms"] / report["isolation_alone_p99_ms"]
    return report | {"isolation_p99_ratio": round(ratio, 2)}


def _note(arrived: dict[str, float], alert: AlertView) -> None:
    arrived.setdefault(alert.alias, time.time())


class _Alerts:
    """Writes alerts, each for another window."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer, self._topic = producer, topic
        self._triggers = [
            parse_trigger(item, allowed_periods=(1,)) for item in data.triggers(period=1)
        ]
        self._window = int(time.time()) - 3600

    async def __call__(self, number: int) -> str:
        """Write an alert of a client; return its id."""
        self._window += 1
        client = Client(number, f"Client {number}", "EU", {})
        alert = fired_alert(client, self._triggers[number - 1], self._window)
        await self._producer.send(self._topic, encode_alert(alert), key=str(number).encode())
        return alert.id


async def _latencies(
    send: _Alerts, arrived: dict[str, float], seconds: int = SECONDS
) -> list[float]:
    """Write alerts to the healthy integration for a while; return their latencies in ms."""
    sent: dict[str, float] = {}
    for _ in range(RATE * seconds):
        now = time.time()
        sent[await send(HEALTHY)] = now
        await asyncio.sleep(1 / RATE)
    deadline = time.monotonic() + 60
    while not sent.keys() <= arrived.keys():
        if time.monotonic() > deadline:
            missing = len(sent.keys() - arrived.keys())
            raise RuntimeError(f"{missing} alerts of the healthy integration did not arrive")
        await asyncio.sleep(0.1)
    return [(arrived[alias] - at) * 1000 for alias, at in sent.items()]
