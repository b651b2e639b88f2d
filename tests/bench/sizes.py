"""`python -m tests.bench.sizes`: the memory and the bytes on Kafka that deploy/capacity.md names.

They do not depend on the machine's speed. A broker is started for it, because the bytes are those
of its files.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.kafka.embedded.process import DATA
from stream_app.setting_groups import EmbeddedSettings, KafkaSettings
from stream_app.settings import Settings, load_settings
from tests.bench import data, deliveries
from tests.bench.programs import filled, say
from tests.bench.recovery import load, windows
from tests.bench.recovery.deliveries import (
    PENDING,
    PENDING_METRIC,
    hanging,
    pending_records,
    write_states,
)
from tests.bench.workers import Worker
from tests.integration.harness import drained

MIB = 1024
#: Minutes for `windows.fill`, each of which opens a thousand windows, and partitions of a client.
FILLS = ((100, 1), (1000, 1), (100, data.PARTITIONS))
BACKLOG = 1_000_000
#: Events a second, and for how many seconds.
RATES = ((200, 120), (2000, 120))
FOLDER = re.compile(r"bench[0-9a-f]+\.(.+)-\d+")


def on_disk(broker: EmbeddedKafka) -> Counter[str]:
    """Return the bytes of the bench's topics, of all installations together, by base name."""
    found: Counter[str] = Counter()
    for folder in (broker.status().directory / DATA).iterdir():
        if name := FOLDER.fullmatch(folder.name):
            found[name[1]] += sum(file.stat().st_size for file in folder.glob("*.log"))
    return found


async def detector(bootstrap: str, logs: Path) -> dict[str, Any]:
    """Return the memory of a detector at rest and with open windows."""
    found: dict[str, Any] = {}
    for minutes, partitions in FILLS:
        settings = await load.installation(bootstrap)
        with load.detector(settings, logs / f"detector-{minutes}-{partitions}.log") as worker:
            await worker.ready()
            found["detector_rest_mib"] = load.memory_kib(worker.process.pid)["now"] // MIB
            await windows.fill(settings, minutes, partitions)
            memory = load.memory_kib(worker.process.pid)
            worker.stop(60)
        number = minutes * load.CLIENTS * load.TRIGGERS_PER_CLIENT
        name = f"detector_{number}_windows_in_{partitions}_mib"
        found |= {name: memory["now"] // MIB, f"peak_{name}": memory["peak"] // MIB}
    return found


async def backlog(bootstrap: str, logs: Path) -> dict[str, Any]:
    """Return the memory of a detector that reads a backlog as fast as it can."""
    prefix = await filled(bootstrap, data.TWENTY, BACKLOG)
    kafka = KafkaSettings(bootstrap_servers=bootstrap)
    settings = Settings(kafka=kafka, topic_prefix=prefix, partitions=data.PARTITIONS)
    with load.detector(settings, logs / "detector-backlog.log") as worker:
        await worker.ready()
        await drained(settings, "detector", ["events.hits", "counts"], load.READY_SECONDS)
        memory = load.memory_kib(worker.process.pid)
        worker.stop(60)
    return {"detector_backlog_peak_mib": memory["peak"] // MIB}


async def detector_disk(broker: EmbeddedKafka, bootstrap: str, logs: Path) -> dict[str, Any]:
    """Return the bytes on Kafka for a million hits that come at a steady rate."""
    found: dict[str, Any] = {}
    for rate, seconds in RATES:
        settings = await load.installation(bootstrap)
        with load.detector(settings, logs / f"detector-{rate}.log") as worker:
            await worker.ready()
            before = on_disk(broker)
            topic = f"{settings.topic_prefix}events.hits"
            events = await load.put_at_rate(bootstrap, topic, rate, seconds)
            await drained(settings, "detector", ["events.hits", "counts"], 300)
            grown = on_disk(broker) - before
            worker.stop(60)
        for name, size in sorted(grown.items()):
            found[f"mib_of_million_hits_at_{rate}_{name}"] = round(size / events * 10**6 / 2**20)
    return found


async def notifier(bootstrap: str, logs: Path) -> dict[str, Any]:
    """Return the memory of a notifier at rest and with pending deliveries."""
    async with hanging(bootstrap) as (settings, env):
        with Worker("notifier", settings, logs / "notifier-rest.log", **env) as worker:
            await worker.ready()
            rest = load.memory_kib(worker.process.pid)["now"]
            await write_states(settings, pending_records())
            worker.kill()
        with Worker("notifier", settings, logs / "notifier-pending.log", **env) as worker:
            await worker.ready(load.READY_SECONDS)
            while (await worker.metrics())[PENDING_METRIC] != PENDING:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
            memory = load.memory_kib(worker.process.pid)
            worker.kill()
    return {
        "notifier_rest_mib": rest // MIB,
        f"notifier_{PENDING}_pending_mib": memory["now"] // MIB,
        f"notifier_{PENDING}_pending_peak_mib": memory["peak"] // MIB,
    }


def notifier_disk(broker: EmbeddedKafka, bootstrap: str, logs: Path) -> dict[str, Any]:
    """Return the bytes on Kafka for a delivery that is accepted at once."""
    before = on_disk(broker)
    deliveries.measure(bootstrap, logs)
    grown = on_disk(broker) - before
    return {
        f"bytes_of_a_delivery_{topic}": round(size / deliveries.DELIVERIES)
        for topic, size in sorted(grown.items())
    }


def main() -> None:
    logs = Path(".local/bench") / f"logs-{os.getpid()}"
    logs.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        jars = load_settings().embedded.jars_directory
        broker = EmbeddedKafka(EmbeddedSettings(directory=Path(folder), jars_directory=jars))
        bootstrap = broker.start(progress=say)
        report: dict[str, Any] = {}
        try:
            report |= asyncio.run(detector(bootstrap, logs))
            report |= asyncio.run(backlog(bootstrap, logs))
            report |= asyncio.run(detector_disk(broker, bootstrap, logs))
            report |= asyncio.run(notifier(bootstrap, logs))
            report |= notifier_disk(broker, bootstrap, logs)
        finally:
            broker.stop()
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
