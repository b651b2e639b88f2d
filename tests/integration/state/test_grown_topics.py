"""Partitions that somebody adds while workers run are never taken for read."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from stream_app.settings import Settings
from tests.integration.detector.test_detector import (
    TOPICS,
    incident,
    prepared,
    send,
    trigger,
    wait_for,
)
from tests.integration.harness import WorkerProcess, drained, put_objects
from tests.integration.state.test_recreated_topics import COUNTED, delete, says

SINGLE = "partitions and must have 1: what is in the others is not in force"


async def grow(settings: Settings, topic: str, partitions: int) -> None:
    """Give a topic more partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers or "")
    await admin.start()
    try:
        name = f"{settings.topic_prefix}{topic}"
        answer = await admin.create_partitions({name: NewPartitions(partitions)})
        assert [row[1] for row in answer.topic_errors] == [0]
    finally:
        await admin.close()


def words(settings: Settings, *args: str) -> str:
    """Return what a command prints, without the spaces and line breaks of its table."""
    done = WorkerProcess.command(settings, *args)
    return " ".join((done.stdout + done.stderr).split())


async def test_added_partitions_are_reported_at_once_and_counted_after_the_reset(
    settings: Settings, tmp_path: Path
) -> None:
    await prepared(settings, trigger(threshold={"count": 10**6, "period": 3600, "operator": "gt"}))
    now, prefix = int(time.time()), settings.topic_prefix
    await send(settings, "incidents", *[incident(now)] * 3, partition=0)
    with WorkerProcess("detector", settings, tmp_path / "running.log") as worker:
        await worker.ready()
        await drained(settings, "detector", TOPICS, 30)
        await grow(settings, "events.incidents", 6)
        assert await wait_for(
            lambda: says(worker, f"topic {prefix}events.incidents had 4 partitions and has 6 now")
        )
        assert "state reset detector --yes" in (await worker.page("/readyz"))[1]
        await send(settings, "incidents", *[incident(now)] * 5, partition=5)
        # It goes on with the partitions that it has.
        await send(settings, "incidents", *[incident(now)] * 2, partition=1)
        assert await wait_for(lambda: _counted(worker, 5))
        problem = f"{prefix}events.incidents has 6 partitions, but the state of the detector"
        for command in ("status", "doctor"):
            found = words(settings, command)
            assert problem in found, command
            assert "state reset detector --yes" in found, command
        # Topics that only some workers read are reported by these workers.
        await grow(settings, "counts", 5)
        await grow(settings, "config.triggers", 2)
        for text in (f"{prefix}counts had 4 partitions", f"{prefix}config.triggers has 2 {SINGLE}"):
            assert await wait_for(partial(says, worker, text)), text
        assert worker.stop() == 0
    # One that has run before is missed; one that has never run may be still to come.
    examined = WorkerProcess.command(settings, "doctor")
    assert "fail  workers           no detector is running, " in examined.stdout
    assert "warn  workers           no notifier is running, 0 records behind" in examined.stdout
    assert examined.stdout.splitlines()[-1].startswith("failed: ")
    await delete(settings, "config.triggers")
    for args in (("topics", "create"), ("state", "reset", "detector", "--yes")):
        done = WorkerProcess.command(settings, *args)
        assert done.returncode == 0, done.stderr
    await put_objects(
        settings,
        "config.triggers",
        [trigger(threshold={"count": 10**6, "period": 3600, "operator": "gt"})],
    )
    with WorkerProcess("detector", settings, tmp_path / "healed.log") as worker:
        await worker.ready()
        assert await wait_for(lambda: _counted(worker, 3 + 5 + 2))
        await drained(settings, "detector", TOPICS, 30)


async def _counted(worker: WorkerProcess, number: int) -> bool:
    return (await worker.metrics())[COUNTED] == number


async def test_a_notifier_reports_added_partitions_of_its_topics_and_of_the_configuration(
    settings: Settings, tmp_path: Path
) -> None:
    await prepared(settings)
    prefix, view = settings.topic_prefix, "status.integrations"
    with WorkerProcess("notifier", settings, tmp_path / "running.log") as worker:
        await worker.ready()
        for topic in ("deliveries", "alerts"):
            await grow(settings, topic, 5)
            text = f"topic {prefix}{topic} had 4 partitions and has 5 now"
            assert await wait_for(partial(says, worker, text)), topic
        await grow(settings, view, 2)
        assert await wait_for(lambda: says(worker, f"topic {prefix}{view} has 2 {SINGLE}"))
        found = words(settings, "status")
        assert f"{prefix}{view}: has 2 partitions, must have 1" in found
        assert f"{prefix}alerts has 5 partitions, but the state of the notifier" in found
        assert f"{prefix}delivery-results: has 4 partitions, {prefix}deliveries has 5" in found
        assert worker.stop() == 0
    with WorkerProcess("notifier", settings, tmp_path / "again.log") as worker:
        assert worker.process.wait(60) == 3
        assert f"{prefix}{view} has 2 {SINGLE}" in worker.text
