"""How a worker's states come back on a real broker, whatever interferes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from stream_app.kafka.cluster.admin import Admin
from stream_app.kafka.cluster.groups import read_group
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.settings import Settings
from tests.integration.detector.test_detector import wait_for
from tests.integration.harness import PROGRAMS, WorkerProcess, put

HINDERED = (str(PROGRAMS / "hindered_recovery.py"),)


async def says(worker: WorkerProcess, text: str) -> bool:
    return text in worker.text


async def test_a_recovery_that_waits_long_for_the_broker_goes_on(
    settings: Settings, tmp_path: Path
) -> None:
    """Faust takes a wait that times out for a stop of the worker."""
    await create_topics(settings)
    log = tmp_path / "slow.log"
    with WorkerProcess("detector", settings, log, HINDERED, HINDER="slow") as worker:
        await worker.ready()
        assert worker.stop() == 0


async def test_a_recovery_that_ends_in_the_next_rebalance_makes_nothing_ready(
    settings: Settings, tmp_path: Path
) -> None:
    await create_topics(settings)
    log = tmp_path / "overtaken.log"
    with WorkerProcess("detector", settings, log, HINDERED, HINDER="overtaken") as first:
        assert await wait_for(lambda: says(first, "recovery_held"))
        with WorkerProcess("detector", settings, tmp_path / "b.log") as second:
            assert await wait_for(lambda: says(first, "gap_over"))
            assert not await says(first, "ready_unread")
            await first.ready()
            await second.ready()


async def status(settings: Settings, *args: str) -> str:
    done = await asyncio.to_thread(WorkerProcess.command, settings, "status", *args)
    assert done.returncode == 0, done.stderr
    found: str = done.stdout
    return found


async def committed(settings: Settings, topic: str) -> Any:
    async with Admin(settings) as client:
        view = await read_group(client, settings.names.group("detector"), [topic])
    return {place: offset for place, offset in view.committed.items() if offset}


async def test_status_shows_how_far_a_worker_has_restored_its_state(
    settings: Settings, tmp_path: Path
) -> None:
    await create_topics(settings)
    bootstrap, prefix = settings.kafka.bootstrap_servers or "", settings.topic_prefix
    topic = f"{prefix}events.hits"
    await put(bootstrap, topic, [(None, b"no event")] * 9)

    async def is_committed() -> bool:
        found: int = sum((await committed(settings, topic)).values())
        return found == 9

    with WorkerProcess("detector", settings, tmp_path / "first.log") as worker:
        await worker.ready()
        assert await wait_for(is_committed)
        assert worker.stop() == 0
    offsets = await committed(settings, topic)
    for number in range(settings.partitions):
        changelog = f"{prefix}stream-app-detector-cells-hits-changelog"
        await put(bootstrap, changelog, [(b"foreign", b"x")] * 50, partition=number)
    hold = tmp_path / "hold"
    hold.touch()
    log = tmp_path / "held.log"
    with WorkerProcess("detector", settings, log, HINDERED, HINDER="held", HOLD=str(hold)) as held:

        async def is_shown() -> bool:
            (row,) = json.loads(await status(settings, "--json"))["workers"] or [{}]
            return " changelog records" in (row.get("restoring") or "")

        assert await wait_for(is_shown), held.text
        shown = await status(settings)
        assert "the detector at 127.0.0.1 does nothing yet: state is being read: " in shown
        assert (await held.page("/readyz"))[0] == 503
        assert await committed(settings, topic) == offsets
        hold.unlink()
        await held.ready()
        (row,) = json.loads(await status(settings, "--json"))["workers"]
        assert row["restoring"] is None
        assert await committed(settings, topic) == offsets
        assert held.stop() == 0, held.text
