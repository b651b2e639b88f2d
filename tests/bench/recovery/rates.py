"""A detector under a steady load: how much it writes, and a restart after it.

The events come at their real pace, since that decides how many of them a flush has.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.bench.recovery import load
from tests.integration.harness import drained

LOW_RATE, LOW_SECONDS = 200, 60
HIGH_RATE, HIGH_SECONDS = 2000, 600


async def measure(bootstrap: str, logs: Path) -> dict[str, Any]:
    """Return records per event at both rates, and the seconds of a restart after the high one."""
    low = await _written(bootstrap, logs / "rate-low", LOW_RATE, LOW_SECONDS)
    high = await _written(bootstrap, logs / "rate-high", HIGH_RATE, HIGH_SECONDS)
    return load.rounded(
        records_per_event_at_200=low["records_per_event"],
        records_per_event_at_2000=high["records_per_event"],
        recovery_10_min_at_2000_s=high["seconds"],
    )


async def _written(bootstrap: str, log: Path, rate: int, seconds: int) -> dict[str, float]:
    settings = await load.installation(bootstrap)
    topic = f"{settings.topic_prefix}events.hits"
    with load.detector(settings, log.with_suffix(".log")) as worker:
        await worker.ready()
        before = await load.records_written(settings)
        events = await load.put_at_rate(bootstrap, topic, rate, seconds)
        await drained(settings, "detector", ["events.hits", "counts"], 60)
        written = await load.records_written(settings) - before
        worker.kill()
    began = time.monotonic()
    with load.detector(settings, log.with_suffix(".again.log")) as worker:
        again = await load.seconds_to_ready(worker, began)
        worker.stop(60)
    return {"records_per_event": written / events, "seconds": again}
