"""A topic that is deleted and made anew is another topic, however many records it has."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.kafka.cluster.topics import BROKER_CLOCK
from stream_app.settings import Settings
from tests.integration.detector.test_detector import (
    TOPICS,
    incident,
    prepared,
    send,
    trigger,
    wait_for,
)
from tests.integration.harness import WorkerProcess, drained, put

COUNTED = 'stream_app_events_total{kind="incidents",result="counted"}'


async def delete(settings: Settings, topic: str) -> None:
    """Delete a topic, and wait until the brokers no longer know it."""
    name = f"{settings.topic_prefix}{topic}"
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers or "")
    await admin.start()
    try:
        await admin.delete_topics([name])
        assert await wait_for(lambda: _is_gone(admin, name))
    finally:
        await admin.close()


async def _is_gone(admin: AIOKafkaAdminClient, name: str) -> bool:
    return name not in await admin.list_topics()


async def make_anew(settings: Settings, topic: str, partitions: int) -> None:
    """Delete a topic and make it again at once."""
    await delete(settings, topic)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers or "")
    await admin.start()
    try:
        name = f"{settings.topic_prefix}{topic}"
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=BROKER_CLOCK)])
    finally:
        await admin.close()


async def ended(worker: WorkerProcess, topic: str, role: str) -> None:
    """Wait until a worker has ended because of a topic, and named the command that helps."""
    assert await asyncio.to_thread(worker.process.wait, 60) == 3
    assert f"{topic} was made anew" in worker.text
    assert f"stream-app state reset {role} --yes" in worker.text


@pytest.mark.long
async def test_an_event_topic_made_anew_is_never_taken_for_the_one_before(
    settings: Settings, tmp_path: Path
) -> None:
    await prepared(settings, trigger(threshold={"count": 10**6, "period": 3600, "operator": "gt"}))
    topic, now = "events.incidents", int(time.time())
    await send(settings, "incidents", *[incident(now)] * 3, partition=0)
    with WorkerProcess("detector", settings, tmp_path / "running.log") as worker:
        await worker.ready()
        await drained(settings, "detector", TOPICS)
        await make_anew(settings, topic, settings.partitions)
        # More than before: a worker that goes by offsets would begin at the fourth.
        await send(settings, "incidents", *[incident(now)] * 5, partition=0)
        await ended(worker, topic, "detector")
    with WorkerProcess("detector", settings, tmp_path / "again.log") as worker:
        await ended(worker, topic, "detector")
    shown = WorkerProcess.command(settings, "status")
    assert f"{settings.topic_prefix}{topic} was made anew" in " ".join(shown.stdout.split())
    reset = WorkerProcess.command(settings, "state", "reset", "detector", "--yes")
    assert reset.returncode == 0, reset.stderr
    with WorkerProcess("detector", settings, tmp_path / "healed.log") as worker:
        await worker.ready()
        await drained(settings, "detector", TOPICS)
        assert (await worker.metrics())[COUNTED] == 5
        assert worker.stop() == 0
    # As many as before, while no worker runs.
    await make_anew(settings, topic, settings.partitions)
    await send(settings, "incidents", *[incident(now)] * 5, partition=0)
    with WorkerProcess("detector", settings, tmp_path / "stopped.log") as worker:
        await ended(worker, topic, "detector")


async def test_a_source_topic_that_disappears_is_named_and_its_successor_is_another(
    settings: Settings, tmp_path: Path
) -> None:
    await create_topics(settings)
    topic = "delivery-results"
    with WorkerProcess("notifier", settings, tmp_path / "worker.log") as worker:
        await worker.ready()
        await delete(settings, topic)
        name = f"topic {settings.topic_prefix}{topic} has disappeared"
        assert await wait_for(lambda: says(worker, name))
        await create_topics(settings)
        await ended(worker, topic, "notifier")
    reset = WorkerProcess.command(settings, "state", "reset", "notifier", "--yes")
    assert reset.returncode == 0, reset.stderr
    with WorkerProcess("notifier", settings, tmp_path / "healed.log") as worker:
        await worker.ready()
        await put(
            settings.kafka.bootstrap_servers or "", f"{settings.topic_prefix}alerts", [(b"1", b"")]
        )
        await drained(settings, "notifier", ["alerts", "deliveries", topic])
        assert worker.stop() == 0
    # A state from before topics were known by their ids is taken over.
    await delete(settings, "stream-app-notifier-known-topics-changelog")
    with WorkerProcess("notifier", settings, tmp_path / "older.log") as worker:
        await worker.ready()


async def says(worker: WorkerProcess, text: str) -> bool:
    """Tell whether a worker is not ready, and says this."""
    status, body = await worker.page("/readyz")
    return status == 503 and text in body
