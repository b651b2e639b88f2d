"""What the parts share: clients and triggers, hits at a rate, workers, and what Kafka holds."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings
from tests.bench import data
from tests.bench.workers import Worker

CLIENTS = 200
TRIGGERS_PER_CLIENT = 5
PERIOD_SECONDS = 60
#: Long enough for a start that reads a state of a million windows.
READY_SECONDS = 900.0
#: The product's own session timeout, which the tests shorten.
SESSION = {"STREAM_APP_KAFKA__SESSION_TIMEOUT_SECONDS": "10"}


async def installation(bootstrap: str, *, period: int = PERIOD_SECONDS) -> Settings:
    """Make the topics of an installation with 200 clients that have five triggers each."""
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers=bootstrap),
        topic_prefix=f"bench{uuid.uuid4().hex[:8]}.",
        partitions=data.PARTITIONS,
    )
    await create_topics(settings)
    sample = data.triggers(period=period)[0]
    triggers = [
        sample
        | {
            "id": client * 10 + place,
            "client_id": client,
            "name": f"Trigger {place} of client {client}",
            "filters": [],
            "threshold": {"count": 1_000_000, "period": period, "operator": "gt"},
        }
        for client in range(1, CLIENTS + 1)
        for place in range(TRIGGERS_PER_CLIENT)
    ]
    prefix = settings.topic_prefix
    clients = data.clients(range(1, CLIENTS + 1))
    await data.put_objects(bootstrap, f"{prefix}config.clients", "client_id", clients)
    await data.put_objects(bootstrap, f"{prefix}config.triggers", "id", triggers)
    return settings


def detector(settings: Settings, log: Path) -> Worker:
    """Start a detector as it runs in production."""
    return Worker("detector", settings, log, **SESSION)


async def seconds_to_ready(worker: Worker, began: float) -> float:
    """Wait until a worker that was started at `began` (monotonic) is ready; return the seconds."""
    await worker.ready(READY_SECONDS)
    return time.monotonic() - began


def hit(client: int, seconds: int) -> bytes:
    """Return a hit of a client, of about 600 bytes."""
    return orjson.dumps(
        data.TEMPLATE
        | {
            "client_id": client,
            "type": "sqli",
            "request_time": seconds,
            "create_time": seconds,
            "remote_addr4": "203.0.113.7",
            "response_status": 404,
            "poolid": -1,
        }
    )


async def put_at_once(bootstrap: str, topic: str, rows: Iterable[tuple[int, bytes]]) -> int:
    """Write (partition, value) records as fast as it goes; return how many."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, linger_ms=20, max_batch_size=256 * 1024
    )
    await producer.start()
    futures, number = [], 0
    for partition, value in rows:
        futures.append(await producer.send(topic, value, partition=partition))
        number += 1
        if len(futures) >= 20_000:
            await asyncio.gather(*futures)
            futures.clear()
    await asyncio.gather(*futures)
    await producer.stop()
    return number


async def put_at_rate(bootstrap: str, topic: str, rate: int, seconds: int) -> int:
    """Write hits of all clients, spread evenly over the seconds; return how many."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=0)
    await producer.start()
    began, number = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        for _ in range(int(rate * passed) - number):
            value = hit(number % CLIENTS + 1, int(time.time()))
            await producer.send(topic, value, partition=number % data.PARTITIONS)
            number += 1
        await asyncio.sleep(0.002)
    await producer.flush()
    await producer.stop()
    return number


async def records_written(settings: Settings, topics: Sequence[str] = ("counts",)) -> int:
    """Return how many records stand in these topics and in everything that holds state."""
    bootstrap, prefix = settings.kafka.bootstrap_servers or "", settings.topic_prefix
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    app = f"{prefix}stream-app-"
    names = [name for name in await admin.list_topics() if name.startswith(app)]
    names += [f"{prefix}{topic}" for topic in topics]
    found = await admin.describe_topics(names)
    await admin.close()
    places = [
        TopicPartition(row["topic"], part["partition"])
        for row in found
        for part in row["partitions"]
    ]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    ends = await consumer.end_offsets(places)
    await consumer.stop()
    return sum(ends.values())


def memory_kib(pid: int) -> dict[str, int]:
    """Return the resident memory of a process now and at its peak, in KiB."""
    rows = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {
        "now": int(rows["VmRSS"].split()[0]),
        "peak": int(rows["VmHWM"].split()[0]),
    }


def rounded(**figures: Any) -> dict[str, Any]:
    """Return the figures as the report shows them."""
    return {
        name: round(value, 2) if isinstance(value, float) else value
        for name, value in figures.items()
    }
