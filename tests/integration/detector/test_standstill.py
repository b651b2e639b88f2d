"""Ready means moving: a partition that is no longer read shows from outside."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from stream_app.kafka.history import standing_still
from stream_app.kafka.overview.installation import read_overview
from stream_app.settings import Settings
from tests.integration.detector.test_detector import incident, prepared, send, wait_for
from tests.integration.harness import PROGRAMS, WorkerProcess

STANDING = str(PROGRAMS / "standing_worker.py")


@pytest.mark.timeout(600)
async def test_a_partition_that_is_not_read_makes_its_worker_not_ready_and_ends_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await prepared(settings)
    now, topic = int(time.time()), f"{settings.topic_prefix}events.incidents"
    log = tmp_path / "worker.log"
    with WorkerProcess("detector", settings, log, command=(STANDING,)) as worker:
        await worker.ready()
        for partition in range(settings.partitions):
            await send(settings, "incidents", *[incident(now)] * 3, partition=partition)
        text = f"partitions: {topic} partition 1 stands still at offset 0"
        assert await wait_for(lambda: _says(worker, text))
        assert (await worker.page("/livez"))[0] == 200
        monkeypatch.setattr(standing_still, "WAITED_MS", 0)
        (still,) = (await read_overview(settings)).stuck_partitions
        assert (still.role, still.topic, still.partition, still.offset) == ("detector", topic, 1, 0)
        name = 'stream_app_partitions_standing_still{topic="events.incidents"}'
        assert (await worker.metrics())[name] == 1
        assert await asyncio.to_thread(worker.process.wait, 60) == 1
    assert f"{topic} partition 1 stands still at offset 0" in log.read_text().splitlines()[-1]


async def _says(worker: WorkerProcess, text: str) -> bool:
    status, body = await worker.page("/readyz")
    return status == 503 and text in body
