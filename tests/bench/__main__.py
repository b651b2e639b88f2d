"""`make bench`: print the figures and write them to `.local/reports/bench.json`."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import sys
import tracemalloc
import uuid
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stream_app.domain.counting.matching import TriggerIndex
from stream_app.domain.counting.partition_counts import PartitionCounts
from stream_app.domain.events.model import EventKind
from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.kafka.embedded.jars import KAFKA_VERSION
from stream_app.setting_groups import EmbeddedSettings
from stream_app.settings import load_settings
from tests.bench import backtest, data, deliveries, isolation, latency, tenants
from tests.bench.programs import filled, run, say
from tests.bench.recovery import parts as recovery
from tests.unit.domain.objects import parse_trigger

EVENTS = {"detector": 400_000, "bare": 400_000, "plain_faust": 20_000}
ROUNDS = 3
LATENCY_SECONDS = 20
REPORT = Path(".local/reports/bench.json")
CELLS = 20_000
#: What must hold on any machine: ratios within one run, and bounds that leave room for noise.
AT_LEAST = {
    "detector_vs_bare_aiokafka": 0.5,
    "detector_vs_plain_faust": 15,
    "detector_1000_triggers_vs_20": 0.8,
    "deliveries_vs_bare_httpx": 1.0,
}
AT_MOST = {
    "detector_bytes_per_open_cell": 500,
    "latency_p99_ms": 1000,
    "isolation_p99_ratio": 2.0,
    "backtest_million_events_s": 15,
    "recovery_million_windows_s": 30,
    "recovery_10_min_at_2000_s": 20,
    "recovery_two_hours_of_changelog_s": 20,
    "handover_sigterm_s": 3,
    "records_per_event_at_200": 3,
    "records_per_event_at_2000": 0.5,
    "bytes_per_window_peak": 700,
    "recovery_notifier_s": 15,
    "bytes_per_finished_delivery": 150,
}


@dataclass
class Record:
    """What counting reads of a Kafka record."""

    offset: int
    timestamp: int
    value: bytes | None


def throughput(bootstrap: str) -> dict[str, Any]:
    """Run the variants in turn, each round on an installation of its own."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in EVENTS}
    for number in range(ROUNDS):
        say(f"round {number + 1} of {ROUNDS}")
        prefix = asyncio.run(filled(bootstrap, data.TWENTY, EVENTS["detector"]))
        for name, events in EVENTS.items():
            figures = run(name, bootstrap, prefix, events)
            rows[name].append(figures)
            say(f"  {name:12} {json.dumps(figures)}")
    report: dict[str, Any] = {}
    for name, found in rows.items():
        for figure in ("events_per_s", "cpu_s_per_million", "rss_mb"):
            report[f"{name}_{figure}"] = statistics.median(row[figure] for row in found)
    for other, label in (("bare", "bare_aiokafka"), ("plain_faust", "plain_faust")):
        ratios = [
            ours["events_per_s"] / theirs["events_per_s"]
            for ours, theirs in zip(rows["detector"], rows[other], strict=True)
        ]
        report[f"detector_vs_{label}"] = round(statistics.median(ratios), 2)
        report[f"detector_vs_{label}_rounds"] = [round(ratio, 2) for ratio in ratios]
    return report


def bytes_per_cell() -> int:
    """Return the memory of an open cell, measured on many of them in one partition."""

    parsed = [
        parse_trigger(item | {"filters": []}, allowed_periods=(1,))
        for item in data.triggers(period=1)
    ]
    index, state = (
        TriggerIndex(EventKind.HITS, data.CLIENTS, parsed),
        PartitionCounts(EventKind.HITS),
    )
    records = [
        Record(
            n,
            2_000_000_000_000,
            b'{"client_id":%d,"request_time":%d}' % (n % 20 + 1, 1_800_000_000 + n // 20),
        )
        for n in range(CELLS)
    ]
    tracemalloc.start()
    state.count(records, index)
    state.confirm(state.cut())
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used // len(state.cells)


def machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        )
        if Path("/proc/cpuinfo").exists()
        else iter(()),
        platform.processor() or "unknown",
    )
    return f"{os.cpu_count()} cores, {model}, {platform.system()}"


def versions() -> str:
    names = ("faust-streaming", "aiokafka", "msgspec", "orjson", "stream-app")
    parts = [f"Python {platform.python_version()}", f"Kafka {KAFKA_VERSION}"]
    return ", ".join([*parts, *(f"{name} {version(name)}" for name in names)])


def main() -> None:
    broker = None
    bootstrap = load_settings().kafka.bootstrap_servers
    if bootstrap is None:
        broker = EmbeddedKafka(EmbeddedSettings(directory=Path(".local/bench/kafka")))
        bootstrap = broker.start(progress=say)
    logs = Path(".local/bench") / f"logs-{os.getpid()}"
    logs.mkdir(parents=True)
    try:
        report = throughput(bootstrap)
        report["detector_bytes_per_open_cell"] = bytes_per_cell()
        say(f"a backtest of {backtest.EVENTS:,} hits")
        report |= backtest.measure(bootstrap, logs)
        say("the detector with 1,000 triggers of 200 clients, beside 20 triggers of 20 clients")
        report |= tenants.measure(bootstrap)
        say(f"deliveries: {deliveries.DELIVERIES:,} of one worker, beside a bare httpx client")
        report |= deliveries.measure(bootstrap, logs)
        say(f"latency at {latency.RATE:,} events/s for {LATENCY_SECONDS} s")
        prefix = f"bench{uuid.uuid4().hex[:8]}."
        report |= asyncio.run(latency.measure(bootstrap, prefix, LATENCY_SECONDS, logs))
        say(f"a healthy integration beside {isolation.DEAD_DELIVERIES:,} deliveries to dead ones")
        prefix = f"bench{uuid.uuid4().hex[:8]}."
        report |= asyncio.run(isolation.measure(bootstrap, prefix, logs))
        report |= recovery.measure(bootstrap, logs)
    finally:
        if broker is not None:
            broker.stop()
    report |= {"machine": machine(), "versions": versions()}
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))
    say(f"written to {REPORT}")
    missed = [
        f"{name} is {report[name]}, must be {bound} or more"
        for name, bound in AT_LEAST.items()
        if report[name] < bound
    ]
    missed += [
        f"{name} is {report[name]}, must be {bound} or less"
        for name, bound in AT_MOST.items()
        if report[name] > bound
    ]
    for text in missed:
        say(text)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
