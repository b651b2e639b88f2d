"""Topics that get more partitions: what workers read of them at once, and which command helps."""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from stream_app.domain.alerts.alert import encode_alert
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind
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
from tests.integration.harness import WorkerProcess, drained, partial_counts, put, put_objects
from tests.integration.notifier.test_notifier import Bench, alert, eventually
from tests.integration.state.test_recreated_topics import COUNTED, delete, says
from tests.integration.upgrade.previous_version import PreviousWorker

SINGLE = "partitions and must have 1: what is in the others is not in force"
#: Much less than the five minutes after which a client of Kafka looks for new partitions.
NOTICED_SECONDS = 60


async def grow(settings: Settings, *topics: str, partitions: int) -> None:
    """Give topics more partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers or "")
    await admin.start()
    try:
        wanted = {f"{settings.topic_prefix}{t}": NewPartitions(partitions) for t in topics}
        answer = await admin.create_partitions(wanted)
        assert {row[1] for row in answer.topic_errors} == {0}
    finally:
        await admin.close()


def words(settings: Settings, *args: str) -> str:
    """Return what a command prints, without the spaces and line breaks of its table."""
    done = WorkerProcess.command(settings, *args)
    return " ".join((done.stdout + done.stderr).split())


async def ends_for(worker: WorkerProcess, topic: str) -> None:
    """Wait until a worker has ended because a topic has grown."""
    assert await asyncio.to_thread(worker.process.wait, NOTICED_SECONDS) == 1
    assert f"topic {topic}" in worker.text
    assert "Start it again (a supervisor does)" in worker.text


async def _counted(workers: list[WorkerProcess], number: int) -> bool:
    found = [await worker.metrics() for worker in workers]
    return sum(one[COUNTED] for one in found) == number


async def _largest_counts(settings: Settings) -> int:
    """Return what stage 2 sums of all windows and source partitions."""
    largest: dict[Any, int] = {}
    for *place, count in await partial_counts(settings):
        largest[tuple(place)] = max(largest.get(tuple(place), 0), count)
    return sum(largest.values())


@pytest.mark.timeout(600)
async def test_events_of_added_partitions_are_counted_from_the_first_and_exactly(
    settings: Settings, tmp_path: Path
) -> None:
    await prepared(settings, trigger(threshold={"count": 9, "period": 3600, "operator": "gt"}))
    now = int(time.time()) // 3600 * 3600
    topic = f"{settings.topic_prefix}events.incidents"
    with (
        WorkerProcess("detector", settings, tmp_path / "one.log") as one,
        WorkerProcess("detector", settings, tmp_path / "two.log") as two,
    ):
        await asyncio.gather(one.ready(), two.ready())
        await send(settings, "incidents", *[incident(now)] * 3, partition=0)
        await drained(settings, "detector", TOPICS)
        await grow(settings, "events.incidents", "events.account", partitions=6)
        await send(settings, "incidents", *[incident(now)] * 5, partition=5)
        await send(settings, "account", b"{", partition=5)
        await asyncio.gather(*[ends_for(worker, topic) for worker in (one, two)])
        for command in ("status", "doctor"):
            found = words(settings, command)
            assert f"{topic} has 6 partitions, but the state of the detector is kept for 4" in found
            assert "start every detector again" in found, command
    assert await alerts(settings) == []
    # These are added while no worker runs. What belongs together has the same number.
    await grow(settings, "events.incidents", partitions=7)
    await send(settings, "incidents", *[incident(now)] * 1, partition=6)
    with WorkerProcess("detector", settings, tmp_path / "three.log") as one:
        await one.ready()
        assert await wait_for(lambda: _counted([one], 5 + 1))
        assert await alerts(settings) == []
        # The version before cannot raise a state, and goes on with one that has been raised.
        with PreviousWorker("detector", settings, tmp_path / "previous.log") as previous:
            await previous.ready()
            await send(settings, "incidents", incident(now), partition=1)
            assert await wait_for(partial(alerts, settings))
            await send(settings, "incidents", *[incident(now)] * 2, partition=6)
            await drained(settings, "detector", [*TOPICS, "events.account"])
            assert previous.stop() == 0  # its partitions move with their states
        await send(settings, "incidents", incident(now), partition=6)
        await drained(settings, "detector", TOPICS)
        assert len(await alerts(settings)) == 1
        assert await _largest_counts(settings) == 3 + 5 + 1 + 1 + 2 + 1
        assert "kept for" not in words(settings, "status")
        assert one.stop() == 0


@pytest.mark.timeout(600)
async def test_a_topic_that_must_not_grow_is_reported_at_once_and_mended_by_a_reset(
    settings: Settings, tmp_path: Path
) -> None:
    rule = trigger(threshold={"count": 10**6, "period": 3600, "operator": "gt"})
    await prepared(settings, rule)
    now, prefix = int(time.time()), settings.topic_prefix
    await send(settings, "incidents", *[incident(now)] * 3, partition=0)
    with WorkerProcess("detector", settings, tmp_path / "running.log") as worker:
        await worker.ready()
        await grow(settings, "counts", partitions=5)
        await grow(settings, "config.triggers", partitions=2)
        for text in (f"{prefix}counts had 4 partitions", f"{prefix}config.triggers has 2 {SINGLE}"):
            assert await wait_for(partial(says, worker, text), NOTICED_SECONDS), text
        assert "state reset detector --yes" in (await worker.page("/readyz"))[1]
        # It goes on with the partitions that it has.
        await send(settings, "incidents", *[incident(now)] * 2, partition=1)
        assert await wait_for(lambda: _counted([worker], 5))
        for command in ("status", "doctor"):
            found = words(settings, command)
            assert f"{prefix}counts has 5 partitions, but the state of the detector" in found
            assert "state reset detector --yes" in found, command
        assert worker.stop() == 0
    # One that has run before is missed; one that has never run may be still to come.
    examined = WorkerProcess.command(settings, "doctor")
    assert "fail  workers           no detector is running, " in examined.stdout
    assert "warn  workers           no notifier is running, 0 records behind" in examined.stdout
    assert examined.stdout.splitlines()[-1].startswith("failed: ")
    await delete(settings, "config.triggers")
    for args in (("topics", "create"), ("state", "reset", "detector", "--yes")):
        done = WorkerProcess.command(settings, *args)
        assert done.returncode == 0, done.stderr
    await put_objects(settings, "config.triggers", [rule])
    with WorkerProcess("detector", settings, tmp_path / "healed.log") as worker:
        await worker.ready()
        assert await wait_for(lambda: _counted([worker], 3 + 2))
        await drained(settings, "detector", TOPICS)


@pytest.mark.timeout(600)
async def test_a_changelog_that_somebody_has_raised_fits_again_when_its_topic_is_raised(
    settings: Settings, tmp_path: Path
) -> None:
    await prepared(settings)
    changelog = "stream-app-detector-cells-hits-changelog"
    with WorkerProcess("detector", settings, tmp_path / "running.log") as worker:
        await worker.ready()
        await grow(settings, changelog, partitions=6)
        text = f"{changelog} has 6 partitions, but {settings.topic_prefix}events.hits 4: only"
        assert await wait_for(partial(says, worker, text), NOTICED_SECONDS)
        worker.stop()
    with WorkerProcess("detector", settings, tmp_path / "again.log") as worker:
        assert await asyncio.to_thread(worker.process.wait, 60) == 3
        assert f"Give {settings.topic_prefix}events.hits 6 partitions, too" in worker.text
    assert f"--alter --topic {settings.topic_prefix}events.hits --partitions 6" in words(
        settings, "status"
    )
    await grow(settings, "events.hits", partitions=6)
    with WorkerProcess("detector", settings, tmp_path / "mended.log") as worker:
        await worker.ready()
        value = json.dumps({"client_id": 1, "request_time": int(time.time())}).encode()
        await send(settings, "hits", value, partition=5)
        await drained(settings, "detector", TOPICS)


@pytest.mark.timeout(600)
async def test_a_notifier_reads_added_partitions_and_keeps_what_is_pending(
    settings: Settings, tmp_path: Path
) -> None:
    bench = Bench(settings, tmp_path / "notifier")
    await bench.start()
    prefix, sandbox = settings.topic_prefix, bench.sandbox
    sandbox.fail(Fault(kind=FaultKind.STATUS, status=503))
    try:
        worker = await bench.worker(STREAM_APP_DELIVERY__RETRY_SCALE="0.1").ready()
        await bench.fire(alert())
        await eventually(lambda: len(sandbox.requests) > 1)
        # One of the pair alone is half of the work: the worker goes on, and says what is missing.
        await grow(settings, "deliveries", partitions=6)
        text = f"topic {prefix}deliveries had 4 partitions and has 6 now"
        assert await wait_for(partial(says, worker, text), NOTICED_SECONDS)
        assert "Run 'stream-app topics create'" in (await worker.page("/readyz"))[1]
        assert worker.process.poll() is None
        assert f"{prefix}delivery-results: has 4 partitions, {prefix}deliveries has 6" in words(
            settings, "status"
        )
        would = words(settings, "topics", "create", "--dry-run")
        assert f"{prefix}delivery-results 6 delete would be raised" in would
        made = words(settings, "topics", "create")
        assert f"{prefix}delivery-results 6 delete raised" in made
        await ends_for(worker, f"{prefix}deliver")
        assert "all topics are as they must be" in words(settings, "topics", "check")
        await grow(settings, "alerts", partitions=5)
        second = alert(1_767_225_601)
        topic = f"{prefix}alerts"
        await put(bench.bootstrap, topic, [(b"1111", encode_alert(second))], partition=4)
        sandbox.heal()
        worker = await bench.worker(STREAM_APP_DELIVERY__RETRY_SCALE="0.1").ready()
        await bench.drained()
        accepted = [one.alias for one in sandbox.requests if one.status == 202]
        assert sorted(accepted) == sorted([alert().id, second.id])
        view = "status.integrations"
        await grow(settings, view, partitions=2)
        assert await wait_for(lambda: says(worker, f"topic {prefix}{view} has 2 {SINGLE}"))
        assert f"{prefix}{view}: has 2 partitions, must have 1" in words(settings, "status")
        assert worker.stop() == 0
        again = bench.worker()
        assert await asyncio.to_thread(again.process.wait, 60) == 3
        assert f"{prefix}{view} has 2 {SINGLE}" in again.text
    finally:
        await bench.stop()
