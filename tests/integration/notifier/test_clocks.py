"""Machines whose clocks are hours off: their workers do all in time, and report the clock."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stream_app.kafka.cluster.admin import Admin
from stream_app.kafka.cluster.topic_creation import create_topics, make_topics
from stream_app.kafka.cluster.topics import BROKER_CLOCK, TopicSpec
from stream_app.kafka.state.changelog_settings import topic_overrides
from stream_app.settings import Settings
from tests.integration.detector.test_detector import alerts, incident, prepared, trigger, wait_for
from tests.integration.harness import PROGRAMS, WorkerProcess, environment, put, read_all
from tests.integration.notifier.test_notifier import (
    SOURCES,
    Bench,
    alert,
    bench,
    finished,
)

__all__ = ["bench"]

SHIFTED = str(PROGRAMS / "shifted_clock.py")
TWO_HOURS = 2 * 3600
#: The share of the documented waits.
SCALE = 0.03
WAITS = [seconds * SCALE for seconds in (1, 3, 5, 10, 10, 0, 1, 3, 5, 30, 60, 60)]
#: How older versions made changelogs.
OLDER = {"cleanup.policy": "compact", "min.compaction.lag.ms": "3600000"}
TOLD = {"by the cluster": {}, "by acknowledgements": {"TELLS_NO_TIME": "1"}}


def shifted(seconds: int, told: str) -> dict[str, str]:
    return {"SHIFTED_BY_SECONDS": str(seconds), **TOLD[told]}


async def older_changelogs(settings: Settings, role: str, *tables: str) -> list[str]:
    """Make changelogs as an older version did."""
    names = [f"{settings.topic_prefix}stream-app-{role}-{table}-changelog" for table in tables]
    async with Admin(settings) as client:
        specs = [TopicSpec(name, settings.partitions, "state", OLDER) for name in names]
        await make_topics(client, specs, 1)
    return names


async def settings_of(settings: Settings, names: list[str]) -> list[dict[str, str]]:
    async with Admin(settings) as client:
        return list((await topic_overrides(client, names)).values())


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (TWO_HOURS, "by the cluster"),
        (TWO_HOURS, "by acknowledgements"),
        (-TWO_HOURS, "by acknowledgements"),
    ],
)
async def test_a_notifier_with_a_wrong_clock_keeps_the_schedule_and_leaves_it_to_the_next(
    bench: Bench, seconds: int, told: str
) -> None:
    scale = {"STREAM_APP_DELIVERY__RETRY_SCALE": str(SCALE)}
    names = await older_changelogs(bench.settings, "notifier", "routed", "deliveries")
    worker = await bench.worker(script=SHIFTED, **shifted(seconds, told), **scale).ready()
    assert await settings_of(bench.settings, names) == [OLDER | BROKER_CLOCK] * 2
    bench.fail(500, len(WAITS))
    if told == "by the cluster":
        # The first record of all is a dead letter, whose topic keeps the times of producers.
        await bench.put("alerts", (b"1111", b"{"))
    await bench.fire(alert())
    # The next worker would repeat a request whose result is not written.
    async with asyncio.timeout(60):
        while len(await bench.results()) < 10:  # noqa: ASYNC110 - asks a broker
            await asyncio.sleep(0.05)
    assert "clock_off" in worker.text
    assert abs((await worker.metrics())["stream_app_clock_ahead_seconds"] - seconds) < 5
    worker.kill()
    assert len(bench.sandbox.requests) <= len(WAITS), "the next worker has nothing to send"
    following = await bench.worker(**scale).ready()
    await finished(following, "sent", 1)
    times = [one.received_at_ms / 1000 for one in bench.sandbox.requests]
    found = [after - before for before, after in itertools.pairwise(times)]
    assert [wait for wait, wanted in zip(found, WAITS, strict=True) if wait < wanted - 0.01] == []
    assert sum(found) < 90, "nothing waits for hours"
    assert "clock_off" not in following.text
    for topic in (*SOURCES, "alerts.dlq"):
        for record in await bench.records(topic):
            assert abs(record.timestamp / 1000 - time.time()) < 600, topic
    assert len(await bench.records("alerts.dlq")) == (told == "by the cluster")
    for result in await bench.results():
        assert abs(result.finished_at_ms / 1000 - time.time()) < 600


@pytest.mark.parametrize("told", TOLD)
async def test_a_detector_two_hours_ahead_counts_alerts_and_refuses_like_any_other(
    settings: Settings, tmp_path: Path, told: str
) -> None:
    bootstrap, topic = await prepared(settings, trigger(1)), f"{settings.topic_prefix}events."
    names = await older_changelogs(settings, "detector", "matched", "cells-incidents")
    env, log = shifted(TWO_HOURS, told), tmp_path / "worker.log"
    with WorkerProcess("detector", settings, log, command=(SHIFTED,), **env) as worker:
        await worker.ready()
        now = int(time.time())
        rows = [(None, incident(now)), (None, incident(now))]
        await put(bootstrap, f"{topic}incidents", rows, partition=0)
        assert await wait_for(lambda: alerts(settings))
        await put(bootstrap, f"{topic}incidents", [(None, b"{")], partition=0)
        notice = {"client_id": 1, "kind": "system", "id": "n", "text": "t"}
        await put(bootstrap, f"{topic}account", [(b"1", json.dumps(notice).encode())])
        assert await wait_for(lambda: dead_letters(settings))
        assert worker.stop() == 0
    assert all(
        BROKER_CLOCK.items() <= found.items() for found in await settings_of(settings, names)
    )
    for record in await dead_letters(settings):
        assert abs(record.timestamp / 1000 - time.time()) < 600
    assert "clock_off" in worker.text


async def dead_letters(settings: Settings) -> list[Any]:
    bootstrap = settings.kafka.bootstrap_servers or ""
    found = await read_all(bootstrap, f"{settings.topic_prefix}events.incidents.dlq")
    return [record for records in found.values() for record in records]


@pytest.mark.parametrize(
    ("seconds", "told", "verdict", "text"),
    [
        (50, "by the cluster", "ok", "differ by "),
        (TWO_HOURS, "by the cluster", "fail", "s ahead of the brokers'"),
        (-75, "by the cluster", "fail", "s behind the brokers'"),
        (-TWO_HOURS, "by acknowledgements", "fail", "s behind the brokers'"),
        (TWO_HOURS, "by acknowledgements", "warn", "or this machine's clock is ahead"),
    ],
)
async def test_the_doctor_reports_a_wrong_clock_in_either_direction(
    settings: Settings, seconds: int, told: str, verdict: str, text: str
) -> None:
    await create_topics(settings)
    bootstrap, topic = settings.kafka.bootstrap_servers or "", f"{settings.topic_prefix}alerts"
    began = time.monotonic()
    await put(bootstrap, topic, [(b"1", b"{}")])
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, SHIFTED, "doctor", "--json"],
        env=environment(settings, **shifted(seconds, told)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    (found,) = [row for row in rows if row["check"] == "clocks"]
    assert (found["verdict"], text in found["text"]) == (verdict, True), found
    if verdict == "fail":
        told_seconds = int(found["text"].partition(" is ")[2].split()[0])
        # The brokers' time is that of the record, which is as old as the doctor is slow.
        assert abs(told_seconds - abs(seconds)) < 30 + time.monotonic() - began
    assert bool(found["next_step"]) == (verdict != "ok")


async def test_a_person_whose_clock_is_ahead_is_told_what_to_fix(
    settings: Settings, tmp_path: Path
) -> None:
    await create_topics(settings)
    file = tmp_path / "client.yaml"
    file.write_text("client_id: 1111\nname: Acme\ncloud: EU\napplications: {}\n")
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, SHIFTED, "apply", "-f", str(file), "--yes"],
        env=environment(settings, **shifted(TWO_HOURS, "by the cluster")),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert (
        "this machine's clock is far ahead of the brokers': see `stream-app doctor`" in done.stderr
    )
