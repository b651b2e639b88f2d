"""Latency from sending an event to the POST that it causes: the whole installation under load.

20 clients get 1,000 hits a second. Each client's trigger fires on the first hit of each second,
so the hit that causes an alert is known, and so is when it was sent.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer
from cryptography.fernet import Fernet

from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings
from tests.bench import data
from tests.bench.workers import Worker

RATE = 1000
TICK_SECONDS = 0.01
WARM_UP_SECONDS = 3


async def measure(bootstrap: str, prefix: str, seconds: int, logs: Path) -> dict[str, Any]:
    """Return p50 and p99 in milliseconds, and the number of alerts measured."""
    key = Fernet.generate_key().decode()
    arrived: dict[tuple[int, int], float] = {}

    def on_alert(alert: Any) -> None:
        details = alert.details
        arrived.setdefault((int(details["trigger_id"]), int(details["time_from"])), time.time())

    sandbox = SandboxOpsgenie(port=0, on_alert=on_alert)
    url = await sandbox.start()
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers=bootstrap),
        topic_prefix=prefix,
        partitions=data.PARTITIONS,
        secret_keys=key,
    )
    await create_topics(settings)
    triggers = [item | {"filters": []} for item in data.triggers(count=0, period=1)]
    await data.configure(settings, url, triggers)
    env = {"STREAM_APP_SECRET_KEYS": key, "STREAM_APP_DELIVERY__SANDBOX_URL": url}
    with (
        Worker("detector", settings, logs / "detector.log", **env) as detector,
        Worker("notifier", settings, logs / "notifier.log", **env) as notifier,
    ):
        await detector.ready()
        await notifier.ready()
        sent = await _produce(bootstrap, f"{prefix}events.hits", seconds)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not sent.keys() <= arrived.keys():  # noqa: ASYNC110 - a bench may poll
            await asyncio.sleep(0.1)
        detector.stop()
        notifier.stop()
    await sandbox.stop()
    missing = len(sent.keys() - arrived.keys())
    if missing:
        raise RuntimeError(f"{missing} of {len(sent)} alerts did not arrive: see {logs}")
    begin = min(start for _, start in sent) + WARM_UP_SECONDS
    millis = sorted((arrived[found] - at) * 1000 for found, at in sent.items() if found[1] >= begin)
    return {
        "latency_p50_ms": round(statistics.median(millis), 1),
        "latency_p99_ms": round(millis[int(len(millis) * 0.99)], 1),
        "latency_max_ms": round(millis[-1], 1),
        "latency_alerts": len(millis),
        "latency_events_per_s": RATE,
    }


async def _produce(bootstrap: str, topic: str, seconds: int) -> dict[tuple[int, int], float]:
    """Send `RATE` hits a second; return when the first of each (client, second) was sent."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=0)
    await producer.start()
    sent: dict[tuple[int, int], float] = {}
    began, number = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        for _ in range(int(RATE * (time.monotonic() - began)) - number):
            client, now = number % len(data.CLIENTS) + 1, time.time()
            hit = data.TEMPLATE | {"client_id": client, "type": "sqli", "request_time": int(now)}
            sent.setdefault((client, int(now)), now)
            await producer.send(topic, orjson.dumps(hit), partition=number % data.PARTITIONS)
            number += 1
        await asyncio.sleep(TICK_SECONDS)
    await producer.stop()
    return sent
