"""Only what is committed exists: transactions on every topic, before workers and commands."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from stream_app.domain.alerts.alert import encode_alert
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.settings import Settings
from tests.integration.detector.test_detector import (
    alerts,
    incident,
    prepared,
    send,
    trigger,
    wait_for,
)
from tests.integration.harness import WorkerProcess, drained, read_all
from tests.integration.notifier.test_notifier import Bench, alert, eventually, integration

#: (base name of the topic, partition, key, value)
Row = tuple[str, int, bytes | None, bytes]
COUNTED = 'stream_app_events_total{kind="incidents",result="counted"}'
SOURCES = ["events.attacks", "events.hits", "events.incidents", "events.account", "counts"]
SOURCES += ["config.clients", "config.triggers", "config.integrations"]


@pytest.fixture
async def bench(settings: Settings, tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(settings, tmp_path / "worker")
    await bench.start()
    yield bench
    await bench.stop()


@asynccontextmanager
async def transactional(settings: Settings, name: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka.bootstrap_servers,
        transactional_id=f"{settings.topic_prefix}{name}",
        transaction_timeout_ms=120_000,
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def begin(producer: AIOKafkaProducer, settings: Settings, rows: Sequence[Row]) -> None:
    """Send rows within a transaction, and wait until the broker has them."""
    await producer.begin_transaction()
    for topic, partition, key, value in rows:
        await producer.send_and_wait(f"{settings.topic_prefix}{topic}", value, key, partition)


async def transaction(settings: Settings, rows: Sequence[Row], *, is_aborted: bool = False) -> None:
    async with transactional(settings, "short") as producer:
        await begin(producer, settings, rows)
        if is_aborted:
            await producer.abort_transaction()
        else:
            await producer.commit_transaction()


def incidents(partition: int, number: int, at: int) -> list[Row]:
    return [("events.incidents", partition, None, incident(at)) for _ in range(number)]


def lags(metrics: dict[str, float]) -> dict[str, float]:
    return {
        name: value
        for name, value in metrics.items()
        if name.startswith("stream_app_consumer_lag_records") and value
    }


def status(settings: Settings) -> dict[str, Any]:
    done = WorkerProcess.command(settings, "status", "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def test_a_detector_counts_what_is_committed_and_goes_on_after_every_transaction(
    settings: Settings, tmp_path: Path
) -> None:
    now = int(time.time())
    await prepared(settings, trigger(threshold={"count": 10**6, "period": 3600, "operator": "gt"}))
    at_once = trigger(2, threshold={"count": 0, "period": 3600, "operator": "gt"})
    aborted = [("config.triggers", 0, b"2", json.dumps(at_once).encode())]
    aborted += [
        ("events.account", 0, b"1", json.dumps({"client_id": 1, "type": "user_created"}).encode())
    ]
    await transaction(settings, aborted, is_aborted=True)
    await send(settings, "incidents", incident(now), incident(now), partition=0)
    await transaction(settings, incidents(0, 3, now))
    await transaction(settings, incidents(0, 50, now), is_aborted=True)
    await transaction(settings, incidents(3, 50, now), is_aborted=True)
    # A transaction over several partitions, with its markers at their ends.
    await transaction(settings, [*incidents(1, 4, now), *incidents(2, 4, now)])
    log = tmp_path / "worker.log"
    async with transactional(settings, "kept") as kept, transactional(settings, "not") as dropped:
        await begin(kept, settings, incidents(1, 7, now))
        await begin(dropped, settings, incidents(0, 9, now))
        await send(settings, "incidents", incident(now), partition=0)
        with WorkerProcess("detector", settings, log) as worker:
            await worker.ready()
            assert await wait_for(lambda: _counted(worker, 2 + 3 + 4 + 4))
            assert await wait_for(lambda: _has_no_lag(worker))
            # The plain record behind an open transaction waits for it.
            assert await _counted(worker, 13)
            # A worker commits what it has counted a little later.
            assert await wait_for(lambda: _status_has_no_lag(settings, "detector"))
            assert [row["id"] for row in status(settings)["triggers"]] == [1]
            await kept.commit_transaction()
            assert await wait_for(lambda: _counted(worker, 13 + 7))
            await dropped.abort_transaction()
            assert await wait_for(lambda: _counted(worker, 13 + 7 + 1))
            # An aborted transaction after everything else, on partitions with and without records.
            await transaction(settings, incidents(0, 5, now), is_aborted=True)
            await drained(settings, "detector", SOURCES)
            assert await wait_for(lambda: _has_no_lag(worker))
            assert [
                row for row in status(settings)["lag"] if row["lag"] and row["topic"] != "alerts"
            ] == []
            assert worker.stop() == 0
    assert await alerts(settings) == []
    assert "reading again from the progress" not in log.read_text()
    with WorkerProcess("detector", settings, tmp_path / "again.log") as worker:
        await worker.ready()
        await send(settings, "incidents", *[incident(now)] * 8)
        assert await wait_for(lambda: _counted(worker, 8)), "nothing is counted again"
        await drained(settings, "detector", SOURCES)
        assert "reading again from the progress" not in worker.text


async def _status_has_no_lag(settings: Settings, role: str) -> bool:
    found = await asyncio.to_thread(status, settings)
    return not any(row["lag"] for row in found["lag"] if row["role"] == role)


async def _counted(worker: WorkerProcess, number: int) -> bool:
    return (await worker.metrics()).get(COUNTED) == number


async def _has_no_lag(worker: WorkerProcess) -> bool:
    return not lags(await worker.metrics())


async def test_a_notifier_sends_what_is_committed_and_goes_on_after_markers(
    bench: Bench,
) -> None:
    settings = bench.settings
    whole = [alert(1_767_225_600 + 10 * n) for n in range(4)]
    real, aborted, later, last = ([("alerts", 0, b"1111", encode_alert(one))] for one in whole)
    # Alerts wait for the end of the configuration, and deliveries for that of earlier results.
    ends = [
        (topic, n, b"521", b"{}") for topic in ("deliveries", "delivery-results") for n in range(4)
    ]
    other = json.dumps(integration(521, "https://other.example.com")).encode()
    await transaction(settings, [*ends, ("config.integrations", 0, b"521", other)], is_aborted=True)
    await transaction(settings, aborted, is_aborted=True)
    await transaction(settings, real)
    async with transactional(settings, "open") as producer:
        await begin(producer, settings, [*later, ("config.integrations", 0, b"521", other)])
        worker = await bench.worker().ready()
        await eventually(lambda: bool(bench.sandbox.alerts))
        assert await wait_for(lambda: _has_no_lag(worker))
        await producer.abort_transaction()
    await bench.drained()
    assert worker.stop() == 0
    worker = await bench.worker().ready()
    await transaction(settings, last)
    await eventually(lambda: len(bench.sandbox.alerts) == 2)
    await bench.drained()
    assert await _has_no_lag(worker)
    assert {one.alias for one in bench.sandbox.alerts} == {whole[0].id, whole[3].id}
    assert await bench.records("deliveries.dlq") == []


async def test_commands_show_what_is_committed_and_end_before_an_open_transaction(
    settings: Settings,
) -> None:
    now, other = int(time.time()) - 60, f"{settings.topic_prefix}copy."
    at_once = trigger(threshold={"count": 0, "period": 60, "operator": "gt"})
    await prepared(settings, at_once)
    await create_topics(
        settings.model_copy(update={"topic_prefix": other, "dry_run": True}), dry_run=False
    )
    hidden = trigger(2, name="not committed")
    rows: list[Row] = [
        *incidents(0, 3, now - 600),
        ("config.triggers", 0, b"2", json.dumps(hidden).encode()),
        ("events.incidents.dlq", 0, None, b"not committed"),
    ]
    await transaction(settings, rows, is_aborted=True)
    await transaction(settings, incidents(0, 2, now))
    async with transactional(settings, "open") as producer:
        await begin(producer, settings, rows)
        await send(settings, "incidents", incident(now - 1200), partition=0)
        topic = "events.incidents"
        replayed = _run(settings, "replay", topic, "--json").splitlines()
        assert len(replayed) == 1, "one, for the committed events, which are of one window"
        assert json.loads(_run(settings, "get", "triggers", "--json"))["id"] == 1, "there is one"
        assert _run(settings, "dlq", "list", "--json") == ""
        found = status(settings)
        assert [row["id"] for row in found["triggers"]] == [1]
        newest = {
            row["topic"].removeprefix(settings.topic_prefix): row["newest_at"]
            for row in found["topics"]
        }
        assert newest[topic] is not None, "only markers come after it"
        assert newest["events.incidents.dlq"] is None
        tested = json.loads(_run(settings, "triggers", "backtest", "--trigger", "1", "--json"))
        assert tested["events"]["counted"] == 2
        _run(settings, "replay", "copy", topic, "--to-prefix", other)
        copied = await read_all(settings.kafka.bootstrap_servers or "", f"{other}{topic}")
        assert [len(records) for records in copied.values()] == [2, 0, 0, 0]


def _run(settings: Settings, *args: str) -> str:
    done = WorkerProcess.command(settings, *args)
    assert done.returncode == 0, done.stderr
    return done.stdout
