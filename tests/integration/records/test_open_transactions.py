"""A transaction that nobody ends hides what comes after it; this is seen and reported."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from stream_app.doctor.check import CheckStatus
from stream_app.doctor.topics import transactions
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.errors import HiddenWriteError
from stream_app.kafka.configuration import hidden_writes
from stream_app.kafka.configuration.records import write_records
from stream_app.kafka.history import open_transactions
from stream_app.kafka.overview.installation import read_overview
from stream_app.settings import Settings
from tests.integration.detector.test_detector import CLIENT, incident, prepared, send, wait_for
from tests.integration.harness import WorkerProcess, drained
from tests.integration.records.test_transactions import begin, transactional

#: A producer that is killed within a transaction: it neither commits nor aborts.
KILLED = """
import asyncio, os, signal, sys
from aiokafka import AIOKafkaProducer

async def main(bootstrap, name, *topics):
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, transactional_id=name, transaction_timeout_ms=900_000
    )
    await producer.start()
    await producer.begin_transaction()
    for topic in topics:
        await producer.send_and_wait(topic, b"{}", b"77", 0)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(*sys.argv[1:]))
"""
EVENTS = ["events.incidents", "config.clients"]


async def kill_in_transaction(settings: Settings, name: str, *topics: str) -> None:
    """Leave a transaction open, with a record in partition 0 of each topic."""
    full = [f"{settings.topic_prefix}{topic}" for topic in topics]
    bootstrap = settings.kafka.bootstrap_servers or ""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, bootstrap, f"{settings.topic_prefix}{name}", *full
    )
    assert await process.wait() == -9


async def test_the_transaction_of_a_killed_producer_is_reported_by_what_it_hides(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await prepared(settings)
    now = int(time.time())
    with WorkerProcess("detector", settings, tmp_path / "worker.log") as worker:
        await worker.ready()
        assert await wait_for(lambda: _withheld(worker, dict.fromkeys(EVENTS, 0)))
        await kill_in_transaction(settings, "killed", *EVENTS)
        await send(settings, "incidents", *[incident(now)] * 4, partition=0)
        assert await wait_for(lambda: _withheld(worker, {"events.incidents": 5}))
        # A transaction that has just begun may be normal work.
        monkeypatch.setattr(open_transactions, "OPEN_SECONDS", 600.0)
        assert (await read_overview(settings)).open_transactions == []
        assert [one.verdict for one in await transactions(settings)] == [CheckStatus.OK]
        file = tmp_path / "client.json"
        file.write_text(json.dumps(CLIENT | {"client_id": 2, "name": "Other"}))
        applied = await asyncio.to_thread(WorkerProcess.command, settings, "apply", "-f", str(file))
        assert applied.returncode == 1, applied.stdout
        assert "created   client 2" in applied.stdout
        topic = f"{settings.topic_prefix}config.clients"
        assert "it is written, but not in force: a transaction that is open at" in applied.stderr
        assert f"abort --topic {topic} --partition 0 --start-offset 1" in applied.stderr
        assert "applied:" not in applied.stderr
        assert await wait_for(lambda: _withheld(worker, {"config.clients": 2}))
        await _names_it(settings, monkeypatch)
        found = await worker.metrics()
        assert found['stream_app_withheld_seconds{topic="config.clients"}'] > 5
        assert (await worker.page("/readyz"))[0] == 200
        # Its producer comes back, and the broker ends the transaction that it had begun.
        async with transactional(settings, "killed"):
            assert await wait_for(lambda: _withheld(worker, dict.fromkeys(EVENTS, 0)))
        assert await wait_for(lambda: _has_clients(worker, 2))
        await drained(settings, "detector", EVENTS)
        assert (await read_overview(settings)).open_transactions == []
        again = WorkerProcess.command(settings, "delete", "clients", "2", "--yes")
        assert again.returncode == 0, again.stderr
    assert "agent_failed" not in worker.text


async def _names_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_transactions, "OPEN_SECONDS", 0.0)
    prefix = settings.topic_prefix
    problems = (await read_overview(settings)).open_transactions
    found = {one.what.partition(" ")[0]: one for one in problems}
    assert found.keys() == {f"{prefix}{topic}" for topic in EVENTS}
    topic = f"{prefix}events.incidents"
    text = re.fullmatch(
        rf"{re.escape(topic)} partition 0: a transaction is open at offset 0 since (\S+): nobody "
        "sees the 5 records from there on",
        found[topic].what,
    )
    assert text is not None
    assert 0 < time.time() - datetime.fromisoformat(text[1]).timestamp() < 300
    assert f"abort --topic {topic} --partition 0 --start-offset 0" in found[topic].next_step
    findings = await transactions(settings)
    assert [one.verdict for one in findings] == [CheckStatus.FAIL] * 2
    assert "a transaction is open at offset 1" in findings[0].text


async def _withheld(worker: WorkerProcess, wanted: dict[str, int]) -> bool:
    found = await worker.metrics()
    name = "stream_app_withheld_records"
    return all(found.get(f'{name}{{topic="{topic}"}}') == n for topic, n in wanted.items())


async def _has_clients(worker: WorkerProcess, number: int) -> bool:
    return (await worker.metrics())['stream_app_config_objects{kind="clients"}'] == number


async def test_a_write_waits_until_an_open_transaction_ends(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await prepared(settings)
    objects: list[tuple[Kind, int, dict[str, object] | None]]
    objects = [(Kind.CLIENT, 2, {**CLIENT, "client_id": 2}), (Kind.TRIGGER, 9, None)]
    rows = [("status.integrations", 0, b"521", b"{}")]
    async with transactional(settings, "short") as producer:
        await begin(producer, settings, rows)
        # A transaction hides nothing in topics that it does not write to.
        await write_records(settings, objects, actor="test")
        writing = asyncio.create_task(write_records(settings, objects, actor="test", cleared=[521]))
        await asyncio.sleep(1)
        assert not writing.done()
        await producer.commit_transaction()
        await writing
        monkeypatch.setattr(hidden_writes, "SEEN_SECONDS", 0.5)
        await begin(producer, settings, rows)
        with pytest.raises(HiddenWriteError, match=r"status\.integrations partition 0"):
            await write_records(settings, objects, actor="test", cleared=[521])
        await producer.abort_transaction()
