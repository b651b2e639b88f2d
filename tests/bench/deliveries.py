"""Deliveries a second: one notifier worker beside a bare loop, at the same sandbox.

The worker keeps durable state and writes a result for each attempt; the bare loop is a plain
`httpx.AsyncClient` with as many requests in flight, and keeps nothing. The sandbox is a process of
its own on the same machine.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer
from cryptography.fernet import Fernet

from stream_app.domain.alerts.alert import fired_alert
from stream_app.domain.alerts.threshold_text import render_alert
from stream_app.domain.configuration.alert_options import AlertOptions
from stream_app.domain.configuration.clients import Client
from stream_app.domain.delivery.records import delivery_of, encode_delivery
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.opsgenie.payload import alert_body
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings
from tests.bench import data
from tests.bench.workers import Worker
from tests.unit.domain.objects import parse_trigger

DELIVERIES = 5000
BARE_REQUESTS = 1500
IN_FLIGHT = 50
ROUNDS = 3
LIMIT_SECONDS = 120.0
SENT = 'stream_app_deliveries_total{integration_type="opsgenie",outcome="sent"}'


def measure(bootstrap: str, logs: Path) -> dict[str, Any]:
    """Return the deliveries a second of both, and their ratio: medians of alternating rounds."""
    ours, theirs = [], []
    with sandbox() as url:
        for number in range(ROUNDS):
            theirs.append(asyncio.run(_bare(url)))
            ours.append(asyncio.run(_worker(bootstrap, url, logs / f"deliveries-{number}.log")))
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    return {
        "deliveries_per_s": round(statistics.median(ours)),
        "bare_httpx_requests_per_s": round(statistics.median(theirs)),
        "deliveries_vs_bare_httpx": round(statistics.median(ratios), 2),
        "deliveries_vs_bare_httpx_rounds": [round(ratio, 2) for ratio in ratios],
    }


@contextmanager
def sandbox() -> Iterator[str]:
    """Run a sandbox in a process of its own; yield its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stream_app", "sandbox", "--port", "0", "--json"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"SANDBOX_URL=(\S+)", line):
                yield found.group(1)
                return
        raise RuntimeError("the sandbox does not start")
    finally:
        process.terminate()
        process.wait(10)


def made_deliveries(number: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (client, record, request body) of deliveries, to all integrations in turn."""
    triggers = [parse_trigger(item, allowed_periods=(1,)) for item in data.triggers(period=1)]
    for index in range(number):
        client = data.CLIENTS[index % len(data.CLIENTS)]
        trigger = triggers[client - 1]
        alert = fired_alert(
            Client(client, f"Client {client}", "EU", {}), trigger, 1_800_000_000 + index
        )
        one = delivery_of(alert, render_alert(alert), client)
        body = alert_body(one.message, one.description, one.alert_id, one.details, AlertOptions())
        yield client, encode_delivery(one), body


async def _worker(bootstrap: str, url: str, log: Path) -> float:
    """Return deliveries a second, from the first record written to the last state that is kept."""
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers=bootstrap),
        topic_prefix=f"bench{uuid.uuid4().hex[:8]}.",
        partitions=data.PARTITIONS,
        secret_keys=Fernet.generate_key().decode(),
    )
    assert settings.secret_keys is not None
    await create_topics(settings)
    await data.configure(settings, url)
    env = {
        "STREAM_APP_SECRET_KEYS": settings.secret_keys.get_secret_value(),
        "STREAM_APP_DELIVERY__SANDBOX_URL": url,
        "STREAM_APP_DELIVERY__MAX_IN_FLIGHT": str(IN_FLIGHT),
        "STREAM_APP_DELIVERY__MAX_REQUESTS_PER_SECOND": "100000",
    }
    rows = list(made_deliveries(DELIVERIES))
    topic = f"{settings.topic_prefix}deliveries"
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
    await producer.start()
    with Worker("notifier", settings, log, **env) as worker:
        await worker.ready()
        began = time.perf_counter()
        for client, record, _ in rows:
            await producer.send(topic, record, key=str(client).encode())
        await producer.stop()
        while (await worker.metrics())[SENT] < DELIVERIES:
            if time.perf_counter() - began > LIMIT_SECONDS:
                raise RuntimeError(f"not all deliveries are sent: see {log}")
            await asyncio.sleep(0.02)
        seconds = time.perf_counter() - began
        worker.stop()
    return DELIVERIES / seconds


async def _bare(url: str) -> float:
    """Return requests a second of a plain client."""
    rows = iter([(client, body) for client, _, body in made_deliveries(BARE_REQUESTS)])

    async def post(client: httpx.AsyncClient) -> None:
        for number, body in rows:
            headers = {
                "Authorization": f"GenieKey {data.key_of(number)}",
                "Content-Type": "application/json",
            }
            response = await client.post(f"{url}/v2/alerts", content=body, headers=headers)
            response.raise_for_status()

    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    async with httpx.AsyncClient(limits=limits) as client:
        began = time.perf_counter()
        await asyncio.gather(*(post(client) for _ in range(IN_FLIGHT)))
        return BARE_REQUESTS / (time.perf_counter() - began)
