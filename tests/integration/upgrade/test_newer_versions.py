"""What this version does when it meets what a newer one has written: it says so, and ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from stream_app.domain.errors import NewerFormatError
from stream_app.settings import Settings
from tests.integration.detector.test_detector import (
    TOPICS,
    alerts,
    incident,
    prepared,
    send,
    trigger,
    wait_for,
)
from tests.integration.harness import WorkerProcess, drained, put, read_all
from tests.integration.notifier.test_notifier import Bench, alert, eventually

NEWER = (str(Path(__file__).with_name("newer_worker.py")),)
SNAPSHOTS = {"STREAM_APP_KAFKA__SNAPSHOT_INTERVAL_SECONDS": "0.5"}


async def ends_for_a_newer_version(worker: WorkerProcess, *words: str) -> None:
    """Wait until a worker has ended, with one line that says what a newer version has written."""
    assert await asyncio.to_thread(worker.process.wait, 60) == NewerFormatError.exit_code
    last = worker.text.strip().splitlines()[-1]
    for word in (*words, "newer stream-app", "run that version (deploy/upgrading.md)"):
        assert word in last, last


async def ends(settings: Settings, topics: Sequence[str]) -> dict[str, list[int]]:
    """Return where the partitions of topics end: nothing was written if they stay there."""
    bootstrap = settings.kafka.bootstrap_servers or ""
    found = {}
    for topic in topics:
        records = await read_all(bootstrap, f"{settings.topic_prefix}{topic}")
        found[topic] = [max((one.offset for one in part), default=-1) for part in records.values()]
    return found


def refused(settings: Settings, *args: str) -> str:
    """Run a command that must not go on, and return its one line."""
    done = WorkerProcess.command(settings, *args)
    assert done.returncode == NewerFormatError.exit_code, (args, done.stdout, done.stderr)
    assert "run that version (deploy/upgrading.md)" in done.stderr
    return done.stderr


@pytest.mark.timeout(600)
async def test_a_detector_ends_before_it_writes_to_a_newer_ones_state(
    settings: Settings, tmp_path: Path
) -> None:
    await prepared(settings, trigger(threshold={"count": 4, "period": 3600, "operator": "gt"}))
    now, prefix = int(time.time()) // 3600 * 3600, settings.topic_prefix
    changelog = "stream-app-detector-windows-changelog"
    state = f"{prefix}stream-app-detector-"
    with WorkerProcess("detector", settings, tmp_path / "this.log", **SNAPSHOTS) as this:
        await this.ready()
        for partition in range(settings.partitions):
            await send(settings, "incidents", b"{", incident(now), partition=partition)
        await drained(settings, "detector", TOPICS)
        newer = WorkerProcess("detector", settings, tmp_path / "newer.log", NEWER, **SNAPSHOTS)
        await ends_for_a_newer_version(this, state, "changelog holds a state of format")
    with newer:
        await newer.ready()
        await send(settings, "incidents", b"{", partition=0)
        await drained(settings, "detector", TOPICS)
        before = await ends(settings, [changelog, "alerts"])
        with WorkerProcess("detector", settings, tmp_path / "again.log") as again:
            await ends_for_a_newer_version(again, state, "format", "and this version (")
        assert await ends(settings, [changelog, "alerts"]) == before
        await send(settings, "incidents", incident(now), partition=0)
        assert await wait_for(lambda: alerts(settings))
        assert newer.stop() == 0
    assert len(await alerts(settings)) == 1
    refused(settings, "status")  # whatever it meets first
    assert f"{prefix}alerts partition" in refused(settings, "alerts", "list")
    assert f"{prefix}alerts partition" in refused(
        settings, "replay", "events.incidents", "--from", "1h", "--compare"
    )
    assert f"{prefix}events.incidents.dlq partition" in refused(settings, "dlq", "list")
    assert f"{prefix}counts partition" in refused(settings, "validate", "counts")
    assert state in WorkerProcess.command(settings, "doctor").stdout
    # The way back: the state is made anew, from all events.
    done = WorkerProcess.command(settings, "state", "reset", "detector", "--yes")
    assert done.returncode == 0, done.stderr
    with WorkerProcess("detector", settings, tmp_path / "back.log") as back:
        await back.ready()
        await drained(settings, "detector", TOPICS)
        assert len(set(await alerts(settings))) == 1
        # Configuration of a newer version is not taken, and nothing is written over it.
        bootstrap, topic = settings.kafka.bootstrap_servers or "", f"{prefix}config.triggers"
        await put(bootstrap, topic, [(b"2", b"{}")], headers=[("x-format", b"2")])
        await ends_for_a_newer_version(back, topic, "partition 0, offset 1 has format 2")
    with WorkerProcess("detector", settings, tmp_path / "behind.log") as behind:
        await ends_for_a_newer_version(behind, topic, "partition 0, offset 1 has format 2")
    assert topic in refused(settings, "get", "triggers")
    file = tmp_path / "client.yaml"
    file.write_text("{client_id: 1, name: TestCompany, cloud: EU}")
    assert topic in refused(settings, "apply", "-f", str(file))


@pytest.mark.timeout(600)
async def test_a_notifier_ends_at_a_newer_record_and_loses_and_doubles_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    bench = Bench(settings, tmp_path / "notifier")
    await bench.start()
    key = {"STREAM_APP_SECRET_KEYS": Fernet.generate_key().decode()}
    try:
        this = await bench.worker(**key).ready()
        await bench.fire(alert())
        await eventually(lambda: len(bench.sandbox.requests) == 1)
        newer = bench.worker(script=NEWER[0], **key)
        await newer.ready()
        await ends_for_a_newer_version(this, "stream-app-notifier-", "holds a state of format")
        await bench.fire(*(alert(1_767_225_600 + n) for n in range(1, 9)))
        await eventually(lambda: len(bench.sandbox.requests) == 9)
        await bench.drained()
        assert newer.stop() == 0
        assert len(bench.sandbox.alerts) == 9
        # Without its state the records themselves are refused, and stay unread.
        done = WorkerProcess.command(settings, "state", "reset", "notifier", "--yes")
        assert done.returncode == 0, done.stderr
        again = bench.worker(**key)
        await ends_for_a_newer_version(again, f"{settings.topic_prefix}deliver", "has format 3")
        assert len(bench.sandbox.requests) == 9
    finally:
        await bench.stop()
