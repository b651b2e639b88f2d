"""Snapshots on a real broker: torn, damaged and foreign ones, and how they shorten changelogs.

Each event is counted by three triggers in windows of a second, so that a partition has many cells.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from stream_app.domain.state import packed_log
from stream_app.domain.state.packed_log import GroupKind, PackedPart
from stream_app.kafka.cluster.admin import Admin
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.kafka.state.packed_table import PACKED_CONFIG
from stream_app.settings import Settings
from tests.integration.detector.test_detector import CLIENT, trigger, wait_for
from tests.integration.harness import (
    PROGRAMS,
    WorkerProcess,
    drained,
    partial_counts,
    put,
    put_objects,
    read_all,
)

HINDERED = (str(PROGRAMS / "hindered_snapshots.py"),)
OFTEN = {"STREAM_APP_KAFKA__SNAPSHOT_INTERVAL_SECONDS": "0.3"}
SECONDS = 40


class Bench:
    """One partition of hits, what was sent to it, and what should have been counted."""

    def __init__(self, settings: Settings, tmp_path: Path) -> None:
        self.settings = settings.model_copy(update={"partitions": 1})
        self.changelog = f"{settings.topic_prefix}stream-app-detector-cells-hits-changelog"
        self.bootstrap = settings.kafka.bootstrap_servers or ""
        self._log = tmp_path
        self._base = int(time.time()) - SECONDS
        self._sent: Counter[int] = Counter()
        self._chance = random.Random(4)
        self._workers = 0

    async def prepare(self) -> None:
        rule = {"template_id": "hits_exceeded", "threshold": {"count": 5, "period": 1}}
        await create_topics(self.settings)
        await put_objects(self.settings, "config.clients", [CLIENT])
        rules = [trigger(number, **rule) for number in (1, 2, 3)]
        await put_objects(self.settings, "config.triggers", rules)

    def worker(self, **env: str) -> WorkerProcess:
        self._workers += 1
        log = self._log / f"worker-{self._workers}.log"
        return WorkerProcess("detector", self.settings, log, HINDERED, **(OFTEN | env))

    async def send(self, number: int) -> None:
        seconds = [self._base + self._chance.randrange(SECONDS) for _ in range(number)]
        self._sent.update(seconds)
        rows = [json.dumps({"client_id": 1, "request_time": one}).encode() for one in seconds]
        topic = f"{self.settings.topic_prefix}events.hits"
        await put(self.bootstrap, topic, [(None, row) for row in rows])

    async def counted(self) -> None:
        """Wait until all is counted, and compare it with what was sent."""
        await drained(self.settings, "detector", ["events.hits", "counts"])
        found: dict[tuple[int, int], int] = defaultdict(int)
        for number, start, _, count in await partial_counts(self.settings):
            found[number, start] = max(found[number, start], count)
        expected = {(n, start): c for n in (1, 2, 3) for start, c in self._sent.items()}
        assert found == expected
        alerts = (await read_all(self.bootstrap, f"{self.settings.topic_prefix}alerts"))[0]
        fired = Counter(
            (alert["trigger"]["id"], alert["window_start"])
            for alert in (json.loads(record.value) for record in alerts)
        )
        assert set(fired) == {place for place, count in expected.items() if count > 5}

    async def records(self, kind: GroupKind) -> list[Any]:
        """Return the packed records of a kind that the changelog has, in order."""
        found = await self.all_records()
        return [record for record in found if record.key.startswith(kind.encode())]

    async def all_records(self) -> list[Any]:
        """Return the records that the changelog has, in order."""
        return (await read_all(self.bootstrap, self.changelog))[0]

    async def has_snapshots(self, number: int) -> bool:
        """Tell whether so many whole snapshots were written, and the records before are deleted."""
        found = await self.records(GroupKind.SNAPSHOT)
        whole = [record for record in found if part_of(record).parts]
        return len(whole) >= min(number, 2) and (number < 3 or (found[0].offset > 0))


def part_of(record: Any) -> PackedPart:
    return packed_log._decode(record.value[packed_log.HEAD :])


@pytest.fixture
async def bench(settings: Settings, tmp_path: Path) -> Bench:
    found = Bench(settings, tmp_path)
    await found.prepare()
    return found


async def says(worker: WorkerProcess, text: str) -> bool:
    return text in worker.text


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_worker_killed_anywhere_in_a_snapshot_loses_and_repeats_nothing(
    bench: Bench,
) -> None:
    for place in ("1", "7", "whole"):
        with bench.worker(DIE=place) as worker:  # on a busy machine it dies before it is ready
            while worker.process.poll() is None:
                await bench.send(20)
                await asyncio.sleep(0.2)
    with bench.worker() as worker:
        await worker.ready()
        await bench.send(100)
        await bench.counted()
        assert worker.stop() == 0
    whole = {key_of(r) for r in await bench.records(GroupKind.SNAPSHOT) if part_of(r).parts}
    torn = {key_of(r) for r in await bench.records(GroupKind.SNAPSHOT)} - whole
    assert whole
    assert torn or (await bench.records(GroupKind.SNAPSHOT))[0].offset > 0


def key_of(record: Any) -> bytes:
    """Return the name of a record's group."""
    name: bytes = record.key.split(b".")[1]
    return name


@pytest.mark.timeout(600)
async def test_a_damaged_snapshot_one_of_a_zombie_and_foreign_records_are_passed_over(
    bench: Bench,
) -> None:
    with bench.worker() as worker:
        await worker.ready()
        await bench.send(300)
        assert await wait_for(lambda: bench.has_snapshots(1))
        stale = await group(bench, first=True)
        for _ in range(3):  # the records before the last but one go
            await bench.send(200)
            await drained(bench.settings, "detector", ["events.hits", "counts"])
            await asyncio.sleep(1)
        assert await wait_for(lambda: bench.has_snapshots(3))
        assert worker.stop() == 0
    newest = await group(bench, first=False)
    damaged = [rewritten(record, "d") for record in newest]
    damaged[1] = (damaged[1][0], damaged[1][1][:-1] + bytes([damaged[1][1][-1] ^ 1]))
    zombies = [rewritten(record, "z") for record in stale]
    foreign = [(b"key", b"value"), (b"x|1|2", None), (b"s.a.b" + packed_log.KEY_END, b"\x02")]
    await put(bench.bootstrap, bench.changelog, [*damaged, *zombies, *foreign], partition=0)
    with bench.worker() as worker:
        await worker.ready()
        assert "state_records_passed_over" in worker.text
        await bench.send(300)
        await bench.counted()
        worker.kill()
    with bench.worker() as worker:
        await worker.ready()
        await bench.send(50)
        await bench.counted()
        assert worker.stop() == 0


async def group(bench: Bench, *, first: bool) -> list[Any]:
    """Return the records of the oldest or the newest whole snapshot."""
    found = await bench.records(GroupKind.SNAPSHOT)
    whole = [record for record in found if part_of(record).parts]
    name = key_of(whole[0] if first else whole[-1])
    return [record for record in found if key_of(record) == name]


def rewritten(record: Any, name: str) -> tuple[bytes, bytes]:
    """Return a part of a snapshot as a part of another, with a right checksum."""
    number = int(record.key.removesuffix(packed_log.KEY_END).rpartition(b".")[2])
    return packed_log.record(GroupKind.SNAPSHOT, name, number, part_of(record))


@pytest.mark.timeout(600)
async def test_a_snapshot_repairs_what_a_zombie_writes_after_the_owner(bench: Bench) -> None:
    with bench.worker() as worker:
        await worker.ready()
        await bench.send(100)
        await drained(bench.settings, "detector", ["events.hits", "counts"])
        # A snapshot may just have replaced the changes.
        while not (changes := await bench.records(GroupKind.CHANGES)):
            await bench.send(10)
        again = packed_log.record(GroupKind.CHANGES, "zombie", 0, part_of(changes[0]))
        await put(bench.bootstrap, bench.changelog, [again], partition=0)
        deadline = time.monotonic() + 60
        # A snapshot that is being written right now does not see the zombie's record.
        while not await wait_for(lambda: says(worker, "a snapshot stands for them"), 2):
            assert time.monotonic() < deadline
            await bench.send(10)
        assert "state_overwritten" in worker.text
        await bench.send(50)
        await asyncio.sleep(2)
        worker.kill()
    with bench.worker() as worker:
        await worker.ready()
        await bench.send(50)
        await bench.counted()
        assert worker.stop() == 0


@pytest.mark.timeout(600)
async def test_damaged_or_deleted_changes_that_no_snapshot_covers_end_the_worker(
    bench: Bench,
) -> None:
    with WorkerProcess("detector", bench.settings, bench._log / "first.log") as worker:
        await worker.ready()
        await bench.send(10)
        await drained(bench.settings, "detector", ["events.hits", "counts"])
        assert worker.stop() == 0
    (record, *_) = await bench.records(GroupKind.CHANGES)
    key = b"c.damaged.0" + packed_log.KEY_END
    await put(bench.bootstrap, bench.changelog, [(key, record.value)], partition=0)
    with bench.worker() as worker:
        assert await asyncio.to_thread(worker.process.wait, 60) == 3
        assert "its checksum is wrong" in worker.text
        assert "stream-app state reset detector --yes" in worker.text
    async with Admin(bench.settings) as client:
        await client.delete_records({TopicPartition(bench.changelog, 0): RecordsToDelete(-1)})
    with bench.worker() as worker:
        assert await asyncio.to_thread(worker.process.wait, 60) == 3
        assert "are deleted, and no whole snapshot stands for them" in worker.text, "not empty"


def test_no_record_of_a_packed_changelog_expires() -> None:
    assert PACKED_CONFIG["cleanup.policy"] == "delete"
    assert PACKED_CONFIG["retention.ms"] == PACKED_CONFIG["retention.bytes"] == "-1"
