"""How a worker's states come back on a real broker, whatever comes between."""

from __future__ import annotations

from pathlib import Path

from stream_app.kafka.admin import create_topics
from stream_app.settings import Settings
from tests.integration.harness import WorkerProcess
from tests.integration.test_detector import wait_for

HINDERED = (str(Path(__file__).with_name("hindered_recovery.py")),)


async def says(worker: WorkerProcess, text: str) -> bool:
    return text in worker.text


async def test_a_recovery_that_waits_long_for_the_broker_goes_on(
    settings: Settings, tmp_path: Path
) -> None:
    """Faust takes a wait that times out for a stop."""
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
        assert await wait_for(lambda: says(first, "recovery_held"), 30)
        with WorkerProcess("detector", settings, tmp_path / "b.log") as second:
            assert await wait_for(lambda: says(first, "gap_over"), 60)
            assert not await says(first, "ready_unread")
            await first.ready()
            await second.ready()
