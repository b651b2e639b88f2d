"""How long events wait when a detector ends or joins; two of them share a million windows.

Beside the windows, each of 20 more clients has a trigger that fires on the first hit of a second.
Each sends one hit a second, in turn, so each partition gets one every 0.2 s. The figure is the
longest time from such a hit to its alert on Kafka, from just before one detector ends, or joins,
until all partitions are counted again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from stream_app.domain.alerts.alert import decode_alert
from stream_app.settings import Settings
from tests.bench import data
from tests.bench.recovery import load, windows
from tests.bench.workers import Worker
from tests.integration.harness import drained, read_all

#: Further clients beside those of `load`, five for each partition.
FIRING = range(load.CLIENTS + 1, load.CLIENTS + 1 + 5 * data.PARTITIONS)
STEADY_SECONDS = 5.0
AFTER_SECONDS = 40.0

Sent = dict[tuple[int, int], float]


async def measure(bootstrap: str, logs: Path) -> dict[str, Any]:
    """Return the seconds of a hand-over after SIGTERM, to a new worker, and after `kill -9`."""
    settings = await load.installation(bootstrap)
    await _configure(settings)
    with contextlib.ExitStack() as stack:

        def start(name: str) -> Worker:
            return stack.enter_context(load.detector(settings, logs / f"handover-{name}.log"))

        first, second = start("first"), start("second")
        await asyncio.gather(first.ready(), second.ready())
        await windows.fill(settings, windows.MINUTES)
        by_sigterm = await _worst(settings, first.process.terminate)
        first.stop(60)
        joined: list[Worker] = []
        by_join = await _worst(settings, lambda: joined.append(start("third")))
        await joined[0].ready(load.READY_SECONDS)
        by_kill = await _worst(settings, joined[0].process.kill)
        second.stop(60)
    return load.rounded(
        handover_sigterm_s=by_sigterm, handover_join_s=by_join, handover_kill_s=by_kill
    )


async def _configure(settings: Settings) -> None:
    bootstrap, prefix = settings.kafka.bootstrap_servers or "", settings.topic_prefix
    sample = data.triggers(count=0, period=1)[0] | {"filters": []}
    triggers = [
        sample | {"id": client * 10, "client_id": client, "name": f"Each second of {client}"}
        for client in FIRING
    ]
    clients = data.clients(FIRING)
    await data.put_objects(bootstrap, f"{prefix}config.clients", "client_id", clients)
    await data.put_objects(bootstrap, f"{prefix}config.triggers", "id", triggers)


async def _worst(settings: Settings, change: Any) -> float:
    """Send hits, end or start a worker meanwhile, and return the longest wait for an alert."""
    sent: Sent = {}
    sending = asyncio.create_task(_send(settings, sent))
    await asyncio.sleep(STEADY_SECONDS)
    changed = time.time()
    change()
    await asyncio.sleep(AFTER_SECONDS)
    sending.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sending
    await drained(settings, "detector", ["events.hits", "counts"], load.READY_SECONDS)
    waits = await _waits(settings, {key: at for key, at in sent.items() if at >= changed - 1})
    return max(waits)


async def _send(settings: Settings, sent: Sent) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka.bootstrap_servers or "", linger_ms=0
    )
    await producer.start()
    try:
        while True:
            for client in FIRING:
                now = time.time()
                sent.setdefault((client * 10, int(now)), now)
                value = load.hit(client, int(now))
                topic = f"{settings.topic_prefix}events.hits"
                await producer.send(topic, value, partition=client % data.PARTITIONS)
                await asyncio.sleep(1 / len(FIRING))
    finally:
        await producer.stop()


async def _waits(settings: Settings, sent: Sent) -> list[float]:
    """Return the seconds from each hit to its alert.

    Raises:
        RuntimeError: an alert is missing.
    """
    topic = f"{settings.topic_prefix}alerts"
    found: dict[tuple[int, int], float] = {}
    for records in (await read_all(settings.kafka.bootstrap_servers or "", topic)).values():
        for record in records:
            alert: Any = decode_alert(record.value)
            key = (alert.trigger.id, alert.window_start)
            found.setdefault(key, record.timestamp / 1000)
    if missing := sent.keys() - found.keys():
        raise RuntimeError(f"{len(missing)} of {len(sent)} alerts are missing")
    return [found[key] - at for key, at in sent.items()]
