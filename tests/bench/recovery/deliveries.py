"""A notifier that remembers a million finished deliveries and has 10,000 pending ones.

Making the requests would take a quarter of an hour. Here the sandbox never answers; the results
that finish the deliveries are written to their topic, as the sender writes them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from stream_app.domain.alerts import fired_alert
from stream_app.domain.clients import Client
from stream_app.domain.deliveries import (
    Delivery,
    Result,
    delivery_of,
    encode_delivery,
    encode_result,
)
from stream_app.domain.messages import render_alert
from stream_app.domain.triggers import parse_trigger
from stream_app.kafka.admin import create_topics
from stream_app.opsgenie.sandbox import SandboxOpsgenie
from stream_app.opsgenie.sandbox_fault import Fault, FaultKind
from stream_app.settings import KafkaSettings, Settings
from tests.bench import data
from tests.bench.recovery import load
from tests.integration.harness import WorkerProcess, put

FINISHED, PENDING, CHUNK = 1_000_000, 10_000, 50_000
PENDING_METRIC = "stream_app_pending_deliveries"


async def measure(bootstrap: str, prefix: str, logs: Path) -> dict[str, Any]:
    """Return the seconds of a restart, and the bytes of a finished delivery."""
    sandbox = SandboxOpsgenie()
    for number in data.CLIENTS:
        sandbox.fail(Fault(kind=FaultKind.HANG, key=data.key_of(number)))
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
    env = load.SESSION | {
        "STREAM_APP_SECRET_KEYS": key,
        "STREAM_APP_DELIVERY__SANDBOX_URL": url,
        "STREAM_APP_DELIVERY__MAX_PENDING_PER_INTEGRATION": "100000",
        "STREAM_APP_JUDGE__ON": "never",
    }
    try:
        with WorkerProcess("notifier", settings, logs / "finished.log", **env) as worker:
            await worker.ready()
            before = load.memory_kib(worker.process.pid)["now"]
            for start in range(0, FINISHED, CHUNK):
                await _finish(settings, worker, start)
            after = load.memory_kib(worker.process.pid)["now"]
            await _deliver(settings, worker, FINISHED, PENDING)
            worker.kill()
        began = time.monotonic()
        with WorkerProcess("notifier", settings, logs / "finished-again.log", **env) as worker:
            seconds = await load.seconds_to_ready(worker, began)
            pending = (await worker.metrics())[PENDING_METRIC]
            worker.kill()
    finally:
        await sandbox.stop()
    if pending != PENDING:
        raise RuntimeError(f"{pending:.0f} deliveries are pending after the restart")
    return load.rounded(
        recovery_notifier_s=seconds,
        bytes_per_finished_delivery=round((after - before) * 1024 / FINISHED),
    )


async def _finish(settings: Settings, worker: WorkerProcess, start: int) -> None:
    """Have the worker take deliveries, then the results that finish them."""
    await _deliver(settings, worker, start, CHUNK)
    bootstrap, topic = settings.kafka.bootstrap_servers or "", "delivery-results"
    rows = ((_key(one), _accepted(one)) for one in _deliveries(start, CHUNK))
    await put(bootstrap, f"{settings.topic_prefix}{topic}", rows)
    await _until_pending(worker, 0)


async def _deliver(settings: Settings, worker: WorkerProcess, start: int, number: int) -> None:
    bootstrap, topic = settings.kafka.bootstrap_servers or "", "deliveries"
    rows = ((_key(one), encode_delivery(one)) for one in _deliveries(start, number))
    await put(bootstrap, f"{settings.topic_prefix}{topic}", rows)
    await _until_pending(worker, number)


async def _until_pending(worker: WorkerProcess, number: int) -> None:
    deadline = time.monotonic() + load.READY_SECONDS
    while (found := (await worker.metrics()).get(PENDING_METRIC)) != number:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{found} deliveries are pending in place of {number}")
        await asyncio.sleep(0.2)


def _deliveries(start: int, number: int) -> Iterator[Delivery]:
    triggers = [parse_trigger(item, allowed_periods=(1,)) for item in data.triggers(period=1)]
    for index in range(start, start + number):
        client = data.CLIENTS[index % len(data.CLIENTS)]
        window = 1_800_000_000 + index
        alert = fired_alert(
            Client(client, f"Client {client}", "EU", {}), triggers[client - 1], window
        )
        yield delivery_of(alert, render_alert(alert), client)


def _key(delivery: Delivery) -> bytes:
    return str(delivery.integration_id).encode()


def _accepted(delivery: Delivery) -> bytes:
    return encode_result(
        Result(
            delivery_id=delivery.id,
            client_id=delivery.client_id,
            integration_id=delivery.integration_id,
            integration_type="opsgenie",
            attempt=1,
            accepted=True,
            reason="accepted",
            message="",
            finished_at_ms=int(time.time() * 1000),
            duration_seconds=0.01,
            status=202,
            request_id="43a29c5c-3dbf-4fa4-9c26-f4f71023e120",
        )
    )
