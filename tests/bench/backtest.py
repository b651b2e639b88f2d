"""How long `stream-app triggers backtest` takes for a million events, from start to end."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings
from tests.bench import data

EVENTS = 1_000_000


def measure(bootstrap: str, folder: Path) -> dict[str, Any]:
    """Fill a topic, run the command on it, check that it has read all; return the figures."""
    prefix = f"bench{uuid.uuid4().hex[:8]}."
    asyncio.run(_filled(bootstrap, prefix))
    trigger = folder / "trigger.json"
    trigger.write_text(json.dumps(data.triggers()[0]))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STREAM_APP_")}
    began = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-m", "stream_app", "triggers", "backtest", "-f", str(trigger), "--json",
         "--html", str(folder / "report.html")],
        env=kept | {
            "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": bootstrap, "STREAM_APP_TOPIC_PREFIX": prefix
        },
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    if result.returncode:
        raise RuntimeError(f"the backtest failed ({result.returncode}): {result.stderr}")
    found = json.loads(result.stdout)
    if found["records"] != EVENTS:
        raise RuntimeError(f"{found['records']} of {EVENTS} records were read")
    return {
        "backtest_million_events_s": round(seconds, 1),
        "backtest_events_per_s": round(EVENTS / seconds),
        "backtest_windows": found["windows"],
    }


async def _filled(bootstrap: str, prefix: str) -> None:
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers=bootstrap),
        topic_prefix=prefix,
        partitions=data.PARTITIONS,
    )
    await create_topics(settings)
    await data.fill(bootstrap, f"{prefix}events.hits", EVENTS)
