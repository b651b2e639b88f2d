"""A changelog that somebody deletes is lost state, not a first start."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from aiokafka import AIOKafkaProducer

from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.settings import Settings
from tests.integration.detector.test_detector import (
    TOPICS,
    incident,
    prepared,
    send,
    trigger,
    wait_for,
)
from tests.integration.harness import WorkerProcess, drained
from tests.integration.state.test_grown_topics import words
from tests.integration.state.test_recreated_topics import COUNTED, delete, make_anew, says

CHANGELOGS = [
    f"stream-app-detector-{name}-changelog"
    for name in (
        "announced", "cells-attacks", "cells-hits", "cells-incidents", "known-topics", "matched",
        "windows",
    )
]  # fmt: skip


async def test_a_deleted_changelog_is_reported_at_once_and_never_silently_made_anew(
    settings: Settings, tmp_path: Path
) -> None:
    await prepared(settings, trigger(threshold={"count": 10**6, "period": 3600, "operator": "gt"}))
    now, cells = int(time.time()), "stream-app-detector-cells-incidents-changelog"
    await send(settings, "incidents", *[incident(now)] * 3, partition=0)
    gone = f"{settings.topic_prefix}{cells} has disappeared: the state of the detector"
    with WorkerProcess("detector", settings, tmp_path / "running.log") as worker:
        await worker.ready()
        await drained(settings, "detector", TOPICS)
        await delete(settings, cells)
        # The worker's write waits for a topic that no longer exists.
        await send(settings, "incidents", *[incident(now)] * 3, partition=0)
        assert await wait_for(lambda: says(worker, gone))
        await _lost(worker, gone)
    with WorkerProcess("detector", settings, tmp_path / "again.log") as worker:
        await _lost(worker, gone)
    for command in ("status", "doctor"):
        assert gone in words(settings, command), command
    await _healed(settings, tmp_path / "healed.log", 6)
    # While no worker runs.
    await make_anew(settings, cells, settings.partitions)
    anew = f"{settings.topic_prefix}{cells} was made anew: the state of the detector"
    with WorkerProcess("detector", settings, tmp_path / "anew.log") as worker:
        await _lost(worker, anew)
    assert anew in words(settings, "status")
    # Delete all changelogs, and the one that says which there were.
    for name in CHANGELOGS:
        await delete(settings, name)
    with WorkerProcess("detector", settings, tmp_path / "none.log") as worker:
        await _lost(worker, "the detector has no changelog, but has read")
    await _healed(settings, tmp_path / "healed-again.log", 6)


async def _lost(worker: WorkerProcess, text: str) -> None:
    """Wait until a worker has ended because of its state, with the command that helps."""
    assert await asyncio.to_thread(worker.process.wait, 90) == 3
    last = worker.text.splitlines()[-1]
    assert text in last
    assert "stream-app state reset detector --yes" in last


async def _is_reset(settings: Settings, role: str = "detector") -> bool:
    """Reset the state; a worker that could not stop in time stays in its group for a session."""
    args = ("state", "reset", role, "--yes")
    done = await asyncio.to_thread(WorkerProcess.command, settings, *args)
    assert done.returncode == 0 or "are its workers still running" in done.stderr, done.stderr
    return done.returncode == 0


async def _healed(settings: Settings, log: Path, number: int) -> None:
    assert await wait_for(lambda: _is_reset(settings))
    with WorkerProcess("detector", settings, log) as worker:
        await worker.ready()
        await drained(settings, "detector", TOPICS)
        assert (await worker.metrics())[COUNTED] == number
        assert worker.stop() == 0


async def test_a_changelog_made_anew_ends_the_worker_that_writes_it(
    settings: Settings, tmp_path: Path
) -> None:
    await create_topics(settings)
    changelog = "stream-app-notifier-deliveries-changelog"
    with WorkerProcess("notifier", settings, tmp_path / "worker.log") as worker:
        await worker.ready()
        await make_anew(settings, changelog, settings.partitions)
        assert await asyncio.to_thread(worker.process.wait, 60) == 3
        last = worker.text.splitlines()[-1]
        assert f"{settings.topic_prefix}{changelog} was made anew: the state of the" in last
        assert "stream-app state reset notifier --yes" in last


async def test_a_foreign_record_in_a_state_ends_the_worker_and_a_reset_helps(
    settings: Settings, tmp_path: Path
) -> None:
    await create_topics(settings)
    with WorkerProcess("notifier", settings, tmp_path / "first.log") as worker:
        await worker.ready()
        assert worker.stop() == 0
    own = f"{settings.topic_prefix}stream-app-notifier"
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers) as producer:
        # What is kept of topics is written anew at each start, so the record is passed over.
        for value in (b"garbage", None):
            name = f"{own}-known-topics-changelog"
            await producer.send_and_wait(name, value, f"{settings.topic_prefix}alerts".encode())
        await producer.send_and_wait(f"{own}-deliveries-changelog", b'{"id": 5}', b"x/521")
    with WorkerProcess("notifier", settings, tmp_path / "foreign.log") as worker:
        assert await asyncio.to_thread(worker.process.wait, 90) == 1
        last = worker.text.splitlines()[-1]
        assert f"the state in {own}-deliveries-changelog partition " in last
        assert "stream-app state reset notifier --yes" in last
    assert "Traceback" not in words(settings, "status")
    assert await wait_for(lambda: _is_reset(settings, "notifier"))
    with WorkerProcess("notifier", settings, tmp_path / "healed.log") as worker:
        await worker.ready()
        assert worker.stop() == 0
