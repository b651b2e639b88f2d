"""A detector with a million open windows: what they cost, and a restart with them.

Each of 200 clients has a hit in each of 1,000 minutes, the time that a window of a minute is kept.
It counts in five triggers, and all hits of a client are in one partition: a million windows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stream_app.settings import Settings
from tests.bench import data
from tests.bench.recovery import load
from tests.integration.harness import drained

MINUTES = 1000
WINDOWS = load.CLIENTS * load.TRIGGERS_PER_CLIENT * MINUTES


async def measure(bootstrap: str, logs: Path) -> dict[str, Any]:
    """Return the seconds of a restart, and the bytes of a window at the peak and after it."""
    settings = await load.installation(bootstrap)
    with load.detector(settings, logs / "windows.log") as worker:
        await worker.ready()
        before = load.memory_kib(worker.process.pid)["now"]
        await fill(settings, MINUTES)
        peak = load.memory_kib(worker.process.pid)["peak"]
        worker.kill()
    began = time.monotonic()
    with load.detector(settings, logs / "windows-again.log") as worker:
        seconds = await load.seconds_to_ready(worker, began)
        after = load.memory_kib(worker.process.pid)
        worker.stop(60)
    return load.rounded(
        recovery_million_windows_s=seconds,
        bytes_per_window_peak=round((peak - before) * 1024 / WINDOWS),
        bytes_per_window_after=round((after["now"] - before) * 1024 / WINDOWS),
        bytes_per_window_peak_after=round((after["peak"] - before) * 1024 / WINDOWS),
        million_windows_peak_mb=peak // 1024,
    )


async def fill(settings: Settings, minutes: int, partitions: int = 1) -> None:
    """Have a running detector open the windows, and wait until they are on Kafka.

    The hits of a client are in so many partitions, each of which has a count for each window.
    """
    topic = f"{settings.topic_prefix}events.hits"
    bootstrap = settings.kafka.bootstrap_servers or ""
    await load.put_at_once(bootstrap, topic, _hits(minutes, partitions))
    await drained(settings, "detector", ["events.hits", "counts"], load.READY_SECONDS)


def _hits(minutes: int, partitions: int) -> Iterator[tuple[int, bytes]]:
    start = (int(time.time()) // load.PERIOD_SECONDS - minutes) * load.PERIOD_SECONDS
    for minute in range(minutes):
        for client in range(1, load.CLIENTS + 1):
            value = load.hit(client, start + minute * load.PERIOD_SECONDS)
            for place in range(partitions):
                yield (client + place) % data.PARTITIONS, value
