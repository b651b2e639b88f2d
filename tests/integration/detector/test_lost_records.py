"""Records that are removed before they are read are counted, reported and not waited for."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from stream_app.settings import Settings
from tests.integration.detector.test_detector import incident, prepared, send, trigger, wait_for
from tests.integration.harness import WorkerProcess, drained

TOPIC = "events.incidents"
LOST = 'stream_app_lost_records_total{topic="events.incidents"}'
COUNTED = 'stream_app_events_total{kind="incidents",result="counted"}'


async def remove(settings: Settings, before: int) -> None:
    """Remove the records of partition 0 before an offset, as retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers or "")
    await admin.start()
    try:
        tp = TopicPartition(f"{settings.topic_prefix}{TOPIC}", 0)
        await admin.delete_records({tp: RecordsToDelete(before_offset=before)})
    finally:
        await admin.close()


async def shows(worker: WorkerProcess, lost: int, counted: int) -> bool:
    assert worker.process.poll() is None, worker.text
    if (await worker.page("/livez"))[0] == 0:
        return False  # after a long stop it has other things to do first
    metrics = await worker.metrics()
    return (metrics[LOST], metrics[COUNTED]) == (lost, counted)


async def stopped(worker: WorkerProcess) -> None:
    """Stop a worker, and wait until the broker has answered the fetch that was under way."""
    worker.signal(signal.SIGSTOP)
    await asyncio.sleep(1.5)


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_records_that_retention_removed_unread_are_counted_and_reported_once(
    settings: Settings, tmp_path: Path
) -> None:
    await prepared(settings, trigger(threshold={"count": 10**6, "period": 3600, "operator": "gt"}))
    now, log = int(time.time()), tmp_path / "worker.log"

    async def events(number: int) -> None:
        await send(settings, "incidents", *[incident(now)] * number, partition=0)

    await events(4)
    await remove(settings, 2)
    with WorkerProcess("detector", settings, log) as worker:
        await worker.ready()
        # A first start takes what is still there.
        assert await wait_for(lambda: shows(worker, 0, 2))
        await drained(settings, "detector", [TOPIC])
        # Stopped for a moment, while records 4..13 are written and removed; 14..15 follow.
        await stopped(worker)
        await events(10)
        await remove(settings, 14)
        worker.signal(signal.SIGCONT)
        # No record follows, and none is waited for.
        assert await wait_for(lambda: shows(worker, 10, 2)), worker.text
        await drained(settings, "detector", [TOPIC])
        await events(2)
        assert await wait_for(lambda: shows(worker, 10, 4))
        await drained(settings, "detector", [TOPIC])
        # Stopped for longer than a session: its partitions are assigned anew when it comes back.
        await stopped(worker)
        await events(5)
        await remove(settings, 20)
        await asyncio.sleep(8)
        worker.signal(signal.SIGCONT)
        assert await wait_for(lambda: shows(worker, 14, 5))
        await drained(settings, "detector", [TOPIC])
        assert worker.stop() == 0
    assert "reading again from the progress" not in log.read_text()
    said = [json.loads(line) for line in log.read_text().splitlines() if "records_lost" in line]
    assert [(row["partition"], row["first_offset"], row["next_offset"]) for row in said] == [
        (0, 4, 14),
        (0, 16, 20),
    ]
    # While no worker runs.
    await events(6)
    await remove(settings, 24)
    shown = WorkerProcess.command(settings, "status", "--json")
    whats = " ".join(row["what"] for row in json.loads(shown.stdout)["needs_attention"])
    assert f"3 records of {settings.topic_prefix}{TOPIC} were removed" in whats
    with WorkerProcess("detector", settings, tmp_path / "next.log") as worker:
        await worker.ready()
        assert await wait_for(lambda: shows(worker, 3, 3))
        await drained(settings, "detector", [TOPIC])
    with WorkerProcess("detector", settings, tmp_path / "last.log") as worker:
        await worker.ready()
        await events(1)
        assert await wait_for(lambda: shows(worker, 0, 1)), "the loss is reported once"
