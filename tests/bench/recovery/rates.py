"""A detector under a steady load: how much it writes, and a restart after it.

The events come at their real pace, since that decides how many of them a flush has.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from stream_app.settings import Settings
from tests.bench.recovery import changelogs, load
from tests.integration.harness import drained

LOW_RATE, LOW_SECONDS = 200, 60
HIGH_RATE, HIGH_SECONDS = 2000, 600
#: The high rate's changelog is made this many times as long, which makes it that of two hours; in
#: two hours a worker writes this many snapshots.
LONGER, SNAPSHOTS = 12, 24


async def measure(bootstrap: str, logs: Path) -> dict[str, Any]:
    """Return records per event at both rates, and the seconds of restarts after the high one."""
    low, high = await load.installation(bootstrap), await load.installation(bootstrap)
    at_low = await _written(low, logs / "rate-low.log", LOW_RATE, LOW_SECONDS)
    at_high = await _written(high, logs / "rate-high.log", HIGH_RATE, HIGH_SECONDS)
    after_10_minutes = await _restart(high, logs / "rate-high-again.log")
    await changelogs.lengthen(high, LONGER, SNAPSHOTS)
    return load.rounded(
        records_per_event_at_200=at_low,
        records_per_event_at_2000=at_high,
        recovery_10_min_at_2000_s=after_10_minutes,
        recovery_two_hours_of_changelog_s=await _restart(high, logs / "rate-long.log"),
    )


async def _written(settings: Settings, log: Path, rate: int, seconds: int) -> float:
    """Have a detector count at a rate, and kill it; return the records written per event."""
    bootstrap = settings.kafka.bootstrap_servers or ""
    topic = f"{settings.topic_prefix}events.hits"
    with load.detector(settings, log) as worker:
        await worker.ready()
        before = await load.records_written(settings)
        events = await load.put_at_rate(bootstrap, topic, rate, seconds)
        await drained(settings, "detector", ["events.hits", "counts"], 60)
        written = await load.records_written(settings) - before
        worker.kill()
    return written / events


async def _restart(settings: Settings, log: Path) -> float:
    """Start the detector of a group whose member has been killed; kill it when it is ready."""
    began = time.monotonic()
    with load.detector(settings, log) as worker:
        seconds = await load.seconds_to_ready(worker, began)
        worker.kill()
    return seconds
