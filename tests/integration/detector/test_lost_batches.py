"""A batch that gets lost on its way to its agent is read again; one that waits is not."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from stream_app.settings import Settings
from tests.integration.detector.test_detector import incident, prepared, send, trigger, wait_for
from tests.integration.harness import PROGRAMS, WorkerProcess, drained

LOSING = str(PROGRAMS / "losing_worker.py")
COUNTED = 'stream_app_events_total{kind="incidents",result="counted"}'


@asynccontextmanager
async def losing(settings: Settings, tmp_path: Path) -> AsyncIterator[tuple[WorkerProcess, bytes]]:
    """Start a worker that loses its first batch; yield it, and an event to send."""
    await prepared(settings, trigger())
    with WorkerProcess("detector", settings, tmp_path / "log", (LOSING,)) as worker:
        await worker.ready()
        yield worker, incident(int(time.time()))


async def test_a_lost_batch_that_nothing_follows_is_found_and_named(
    settings: Settings, tmp_path: Path
) -> None:
    async with losing(settings, tmp_path) as (worker, event):
        await send(settings, "incidents", *[event] * 3, partition=1)
        assert await wait_for(lambda: _counted(worker, 3))
        await drained(settings, "detector", ["events.incidents"])
        said = [json.loads(line) for line in worker.text.splitlines() if "batch_" in line]
    (line,) = [line for line in said if line["event"] == "batch_not_taken"]
    assert (line["topic"], line["partition"]) == (f"{settings.topic_prefix}events.incidents", 1)
    assert (line["first_offset"], line["last_offset"]) == (0, 2)
    assert line["waited_seconds"] >= 1.5
    assert "rebalance" not in str(line)


async def test_a_lost_batch_is_found_by_the_one_behind_it(
    settings: Settings, tmp_path: Path
) -> None:
    async with losing(settings, tmp_path) as (worker, event):
        await send(settings, "incidents", event, partition=1)
        await send(settings, "incidents", *[event] * 4, partition=1)
        assert await wait_for(lambda: _counted(worker, 5))
        await asyncio.sleep(1)
        assert await _counted(worker, 5), "none is counted twice"


async def _counted(worker: WorkerProcess, number: int) -> bool:
    return (await worker.metrics()).get(COUNTED) == number
