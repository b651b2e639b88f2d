"""A notifier that remembers a million finished deliveries and has 10,000 pending ones.

Delivering them would take a quarter of an hour, so what the notifier would have written is put into
its changelog. The sandbox never answers, so that the pending ones stay pending.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from cryptography.fernet import Fernet
from pydantic import SecretStr

from stream_app.domain.alerts.alert import fired_alert
from stream_app.domain.alerts.threshold_text import render_alert
from stream_app.domain.configuration.clients import Client
from stream_app.domain.delivery.finished_deliveries import (
    REMEMBER_MS,
    FinishedDelivery,
    encode_finished,
)
from stream_app.domain.delivery.partition_deliveries import DeliveryRules, PartitionDeliveries
from stream_app.domain.delivery.records import Delivery, delivery_of, encode_delivery
from stream_app.domain.delivery.state import DeliveryStatus
from stream_app.domain.delivery.transitions import new_state
from stream_app.domain.state.keys import NEVER
from stream_app.domain.times import HOUR_MS
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.kafka.engine.batched_sends import send_batches
from stream_app.kafka.state.send import Send
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings
from tests.bench import data
from tests.bench.recovery import load
from tests.bench.workers import Worker
from tests.unit.domain.objects import parse_trigger

FINISHED, PENDING, CHUNK = 1_000_000, 10_000, 10_000
PENDING_METRIC = "stream_app_pending_deliveries"


async def measure(bootstrap: str, logs: Path) -> dict[str, Any]:
    """Return the seconds of a restart, and the bytes of a finished delivery."""
    async with hanging(bootstrap) as (settings, env):

        def notifier(name: str) -> Worker:
            return Worker("notifier", settings, logs / f"notifier-{name}.log", **env)

        with notifier("empty") as worker:
            await worker.ready()
            before = load.memory_kib(worker.process.pid)["now"]
            worker.kill()
        await write_states(settings, _finished())
        with notifier("first") as worker:
            await worker.ready(load.READY_SECONDS)
            after = load.memory_kib(worker.process.pid)
            await write_states(settings, pending_records())
            worker.kill()
        began = time.monotonic()
        with notifier("again") as worker:
            seconds = await load.seconds_to_ready(worker, began)
            pending = (await worker.metrics())[PENDING_METRIC]
            worker.kill()
    if pending != PENDING:
        raise RuntimeError(f"{pending:.0f} deliveries are pending in place of {PENDING}")
    return load.rounded(
        recovery_notifier_s=seconds,
        bytes_per_finished_delivery=round((after["now"] - before) * 1024 / FINISHED),
        bytes_per_finished_delivery_peak=round((after["peak"] - before) * 1024 / FINISHED),
    )


@asynccontextmanager
async def hanging(bootstrap: str) -> AsyncIterator[tuple[Settings, dict[str, str]]]:
    """Yield an installation whose service never answers, and a notifier's settings for it."""
    sandbox = SandboxOpsgenie()
    for number in data.CLIENTS:
        sandbox.fail(Fault(kind=FaultKind.HANG, key=data.key_of(number)))
    url = await sandbox.start()
    try:
        key = Fernet.generate_key().decode()
        settings = Settings(
            kafka=KafkaSettings(bootstrap_servers=bootstrap),
            topic_prefix=f"bench{uuid.uuid4().hex[:8]}.",
            partitions=data.PARTITIONS,
            secret_keys=SecretStr(key),
        )
        await create_topics(settings)
        await data.configure(settings, url)
        yield (
            settings,
            load.SESSION
            | {
                "STREAM_APP_SECRET_KEYS": key,
                "STREAM_APP_DELIVERY__SANDBOX_URL": url,
            },
        )
    finally:
        await sandbox.stop()


async def write_states(
    settings: Settings, records: Iterator[tuple[int, bytes, bytes | None]]
) -> None:
    """Write records of what a notifier keeps of deliveries."""
    changelog = f"{settings.topic_prefix}stream-app-notifier-deliveries-changelog"
    bootstrap = settings.kafka.bootstrap_servers or ""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_batch_size=256 * 1024)
    await producer.start()
    try:
        await producer.client.add_topic(changelog)
        while rows := list(islice(records, CHUNK)):
            sends = [Send(changelog, key, value, partition) for partition, key, value in rows]
            await send_batches(producer, sends)
    finally:
        await producer.stop()


def _finished() -> Iterator[tuple[int, bytes, bytes | None]]:
    """Yield partition, key and value of the records of a week of finished deliveries."""
    now_ms = time.time_ns() // 1_000_000
    begin_ms = now_ms - REMEMBER_MS + 2 * HOUR_MS
    families = [one.id.rsplit(":", 1)[0] for one in _deliveries(0, len(data.CLIENTS))]
    for number in range(FINISHED):
        client = data.CLIENTS[number % len(data.CLIENTS)]
        digits = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()
        hour = (begin_ms + (now_ms - begin_ms) * number // FINISHED) // HOUR_MS
        end = encode_finished(FinishedDelivery(DeliveryStatus.SENT, 1, 0, hour, ""))
        name = f"{families[client - 1]}:{digits}/{client}"
        yield client % data.PARTITIONS, name.encode(), end


def pending_records() -> Iterator[tuple[int, bytes, bytes | None]]:
    """Yield the records of pending deliveries."""
    topics = ("deliveries", "delivery-results")
    partitions = [PartitionDeliveries(topics, DeliveryRules()) for _ in range(data.PARTITIONS)]
    now_ms = time.time_ns() // 1_000_000
    for one in _deliveries(FINISHED, PENDING):
        state = partitions[one.integration_id % data.PARTITIONS]
        state.add_delivery(new_state(one, encode_delivery(one), NEVER, now_ms))
    for number, state in enumerate(partitions):
        cut = state.cut()
        for key, value in (*state.records(cut), state.progress_record(cut)):
            yield number, key, value


def _deliveries(start: int, number: int) -> Iterator[Delivery]:
    triggers = [parse_trigger(item, allowed_periods=(1,)) for item in data.triggers(period=1)]
    for index in range(start, start + number):
        client = data.CLIENTS[index % len(data.CLIENTS)]
        named = Client(client, f"Client {client}", "EU", {})
        alert = fired_alert(named, triggers[client - 1], 1_800_000_000 + index)
        yield delivery_of(alert, render_alert(alert), client)
