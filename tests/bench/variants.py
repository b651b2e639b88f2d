"""The programs that the bench compares: `python -m tests.bench.variants NAME BOOTSTRAP PREFIX N`.

Each prints one JSON line. Their clocks start with the first record that reaches them, so that
joining the group and reading the configuration are not part of the figure.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from collections import Counter
from typing import Any

import faust
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.detector.app import create_detector
from stream_app.domain.topics import ROLE_SOURCES
from stream_app.kafka.configuration.reader import ConfigurationReader
from stream_app.kafka.state.topic_partitions import prepare_changelogs, source_partitions
from stream_app.metrics import Metrics
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings
from stream_app.worker.garbage import collect_seldom, freeze_existing_objects
from tests.bench.data import PARTITIONS, PERIOD

LIMIT_SECONDS = 120.0


class Clock:
    """Wall and CPU time since the first record."""

    def __init__(self) -> None:
        self._wall: float | None = None
        self._cpu = 0.0

    def first(self) -> None:
        if self._wall is None:
            self._wall, self._cpu = time.perf_counter(), time.process_time()

    def report(self, events: int, **more: Any) -> None:
        assert self._wall is not None, "no record came"
        seconds, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        figures = {
            "events": events,
            "seconds": round(seconds, 3),
            "events_per_s": round(events / seconds),
            "cpu_s_per_million": round(cpu / events * 1e6, 2),
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        print(json.dumps(figures | more), flush=True)


async def detector(bootstrap: str, prefix: str, number: int) -> None:
    """Run the detector until all hits are counted and all that follows is durable."""
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers=bootstrap), topic_prefix=prefix, partitions=PARTITIONS
    )
    collect_seldom()  # as the worker does
    metrics, clock = Metrics(), Clock()
    reader = ConfigurationReader(settings, metrics)
    await reader.start()
    partitions = await source_partitions(settings, ROLE_SOURCES["detector"])
    app = create_detector(settings, bootstrap, partitions, reader, metrics)
    app.failure = asyncio.get_running_loop().create_future()
    await prepare_changelogs(settings, app)
    freeze_existing_objects()
    await app.start()
    # Made once: making it again would take time from what is measured.
    ends = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await ends.start()
    cells, windows = app.state_tables[1], app.state_tables[3]
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        await asyncio.sleep(0.005)
        if any(state.offset >= 0 for state in cells.states.values()):
            clock.first()
        done = sum(state.progress_offset + 1 for state in cells.states.values())
        if done >= number and await _is_evaluated(ends, prefix, windows):
            alerts = metrics.alerts.labels("hits")._value.get()
            clock.report(number, alerts=int(alerts))
            os._exit(0)
    print(json.dumps({"error": f"only {done} of {number} after {LIMIT_SECONDS} s"}), flush=True)
    os._exit(1)


async def _is_evaluated(consumer: AIOKafkaConsumer, prefix: str, windows: Any) -> bool:
    """Tell whether stage 2 has acknowledged all partial counts."""
    found = [TopicPartition(f"{prefix}counts", n) for n in range(PARTITIONS)]
    ends = await consumer.end_offsets(found)
    return all(windows.state(tp.partition).progress_offset + 1 >= end for tp, end in ends.items())


async def bare(bootstrap: str, prefix: str, number: int) -> None:
    """Read with aiokafka, decode with orjson, count in a dict: no state, no alerts."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        max_partition_fetch_bytes=4 * 1024 * 1024,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    consumer.assign([TopicPartition(f"{prefix}events.hits", n) for n in range(PARTITIONS)])
    await consumer.seek_to_beginning()
    clock, counts, done = Clock(), Counter[tuple[int, int]](), 0
    while done < number:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            clock.first()
            for record in records:
                hit = orjson.loads(record.value)
                if not hit["experimental"] and hit["sampled"]:
                    counts[hit["client_id"], hit["request_time"] // PERIOD] += 1
            done += len(records)
    clock.report(done)
    await consumer.stop()


def plain_faust(bootstrap: str, prefix: str, number: int) -> None:
    """Count in a tumbling table of a plain Faust agent, one event at a time."""
    app = faust.App(
        f"{prefix}plain",
        broker=f"kafka://{bootstrap}",
        store="memory://",
        topic_partitions=PARTITIONS,
        topic_replication_factor=1,
        consumer_auto_offset_reset="earliest",
        web_enabled=False,
        datadir=f".local/bench/{prefix}plain",
    )
    topic = app.topic(f"{prefix}events.hits", value_type=bytes, value_serializer="raw")
    table = app.Table("counts", default=int, partitions=PARTITIONS).tumbling(PERIOD, expires=3600)
    clock, done = Clock(), 0

    @app.agent(topic)  # type: ignore[untyped-decorator]
    async def count(stream: Any) -> None:
        nonlocal done
        async for value in stream:
            clock.first()
            hit = orjson.loads(value)
            if not hit["experimental"] and hit["sampled"]:
                table[str(hit["client_id"])] += 1
            done += 1
            if done >= number:
                sys.stdout = sys.__stdout__
                clock.report(done)
                os._exit(0)

    sys.argv = [sys.argv[0], "worker", "-l", "error", "--without-web"]
    app.main()


if __name__ == "__main__":
    name, address, topic_prefix, events = sys.argv[1:5]
    if name == "plain_faust":
        plain_faust(address, topic_prefix, int(events))
    else:
        variant = {"detector": detector, "bare": bare}[name]
        asyncio.run(variant(address, topic_prefix, int(events)))
