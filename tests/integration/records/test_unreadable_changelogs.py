"""Unreadable batches, above all in changelogs: bombs, and what a disk has damaged.

Going on without them would count events twice, or send again what has been sent.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from stream_app.domain.state.packed_log import GroupKind
from stream_app.kafka.cluster.consumers import batches_to_end, open_topics
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.kafka.records.stored_batches import Batches, StoredBatch
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings
from tests.integration.detector.test_detector import wait_for
from tests.integration.harness import WorkerProcess, drained, read_all
from tests.integration.state.test_snapshots import Bench, key_of, part_of
from tests.raw_batches import Raw, batch, bomb, fetch_raw, produce_raw

FIRST_OFFSET = re.compile(r'"first_offset": (\d+)')


@pytest.fixture
async def bench(settings: Settings, tmp_path: Path) -> Bench:
    found = Bench(settings, tmp_path)
    await found.prepare()
    return found


async def counted_by(bench: Bench, worker: WorkerProcess, events: int) -> None:
    await worker.ready()
    await bench.send(events)
    await drained(bench.settings, "detector", ["events.hits", "counts"])


async def ended(worker: WorkerProcess) -> str:
    """Wait for a worker to end with the exit code of a wrong configuration; return its log."""
    assert await asyncio.to_thread(worker.process.wait, 60) == 3, worker.text
    return worker.text


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_bomb_among_changes_ends_the_worker_unless_a_snapshot_covers_it(
    bench: Bench,
) -> None:
    large = bomb(80, "zstd", key=b"k")
    with WorkerProcess("detector", bench.settings, bench._log / "first.log") as worker:
        await counted_by(bench, worker, 20)
        assert worker.stop() == 0
    place = (await read_all(bench.bootstrap, bench.changelog))[0][-1].offset + 1
    assert await produce_raw(bench.bootstrap, bench.changelog, 0, large) == 0
    with bench.worker() as worker:
        said = await ended(worker)
    assert f"{bench.changelog} partition 0 is damaged: offset {place} cannot be read" in said
    assert "UnpackedTooLargeError" in said
    assert "stream-app state reset detector --yes" in said
    found = await asyncio.to_thread(
        WorkerProcess.command, bench.settings, "state", "reset", "detector", "--yes"
    )
    assert found.returncode == 0, found.stderr
    with bench.worker() as worker:
        await worker.ready()
        await bench.counted()
        # The worker's next snapshot covers a bomb that comes while it has the state.
        assert await produce_raw(bench.bootstrap, bench.changelog, 0, large) == 0

        async def is_covered() -> bool:
            await bench.send(1)
            if "a snapshot stands for them" not in worker.text:
                return False
            (place,) = FIRST_OFFSET.findall(worker.text)
            first, *_ = records = await bench.all_records()
            parts = [part_of(r) for r in records if r.key.startswith(GroupKind.SNAPSHOT.encode())]
            # The bomb is deleted when a second snapshot has been written.
            return first.offset > int(place) or any(
                part.covers >= int(place) for part in parts if part.parts
            )

        assert await wait_for(is_covered), worker.text
        worker.kill()
    with bench.worker() as worker:
        await worker.ready()
        await bench.send(20)
        await bench.counted()
        assert worker.stop() == 0, worker.text
        assert worker.text.count("batch_unreadable") <= 1


@pytest.mark.long
async def test_a_bomb_in_a_changelog_without_snapshots_ends_the_worker(bench: Bench) -> None:
    with WorkerProcess("detector", bench.settings, bench._log / "first.log") as worker:
        await worker.ready()
        assert worker.stop() == 0
    topic = f"{bench.settings.topic_prefix}stream-app-detector-matched-changelog"
    assert await produce_raw(bench.bootstrap, topic, 0, bomb(80, "gzip", key=b"k")) == 0
    with bench.worker() as worker:
        said = await ended(worker)
    assert f"{topic} partition 0, offset 0: UnpackedTooLargeError" in said
    assert "stream-app state reset detector --yes" in said


def write(broker_directory: Path, topic: str, raw: bytes, place: int, data: bytes) -> None:
    """Write into a stored batch on the broker's disk."""
    (file,) = sorted(broker_directory.rglob(f"{topic}-0/*.log"))
    place += file.read_bytes().index(raw)
    with file.open("r+b") as log:
        log.seek(place)
        log.write(data)


def damage(broker_directory: Path, topic: str, raw: bytes) -> None:
    """Change a byte behind a batch's header."""
    write(broker_directory, topic, raw, len(raw) - 1, bytes([raw[-1] ^ 1]))


async def stored(bench: Bench, offset: int) -> bytes:
    """Return the bytes of the batch that holds an offset."""
    found = Batches(await fetch_raw(bench.bootstrap, bench.changelog, 0, offset))
    return next(bytes(one.raw) for one in found if one.base_offset <= offset <= one.last_offset)


def is_of_changes(batch: StoredBatch) -> bool:
    return any(record.key.startswith(GroupKind.CHANGES.encode()) for record in batch.records())


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_damage_on_the_brokers_disk_costs_a_snapshot_or_ends_the_worker(
    own_kafka: Callable[[], EmbeddedKafka], tmp_path: Path
) -> None:
    broker = await asyncio.to_thread(own_kafka)
    servers = broker.status().bootstrap_servers
    bench = Bench(Settings(kafka=KafkaSettings(bootstrap_servers=servers), partitions=1), tmp_path)
    await bench.prepare()
    with bench.worker() as worker:
        await counted_by(bench, worker, 100)
        assert await wait_for(lambda: bench.has_snapshots(1))
        await counted_by(bench, worker, 100)
        assert await wait_for(lambda: bench.has_snapshots(3))
        assert worker.stop() == 0
    snapshots = await bench.records(GroupKind.SNAPSHOT)
    *_, closing = (record for record in snapshots if part_of(record).parts)
    newest = [record for record in snapshots if key_of(record) == key_of(closing)]
    # The snapshot before it is used, with the changes after that one.
    damage(tmp_path, bench.changelog, await stored(bench, newest[1].offset))
    with bench.worker(STREAM_APP_KAFKA__SNAPSHOT_INTERVAL_SECONDS="3600") as worker:
        await counted_by(bench, worker, 30)
        await bench.counted()
        assert "batch_unreadable" in worker.text
        worker.kill()
    tail = Batches(await fetch_raw(bench.bootstrap, bench.changelog, 0, closing.offset + 1))
    *_, changed = (bytes(one.raw) for one in tail if is_of_changes(one))
    damage(tmp_path, bench.changelog, changed)
    with bench.worker() as worker:
        said = await ended(worker)
    assert f"{bench.changelog} partition 0 is damaged: offset" in said
    assert "its checksum is wrong" in said
    assert "stream-app state reset detector --yes" in said


async def test_a_last_offset_damaged_on_disk_costs_no_neighbour(
    own_kafka: Callable[[], EmbeddedKafka], tmp_path: Path
) -> None:
    """The broker uses that offset, too: it finds the damaged batch where another should be."""
    broker = await asyncio.to_thread(own_kafka)
    servers = broker.status().bootstrap_servers or ""
    settings = Settings(kafka=KafkaSettings(bootstrap_servers=servers), partitions=1)
    await create_topics(settings)
    for topic, delta in (("events.hits", 100), ("events.attacks", 0)):
        for name in (b"a", b"b", b"c"):
            records = [Raw(name + b"%d" % number) for number in range(3)]
            assert await produce_raw(servers, topic, 0, batch(records)) == 0
        raw = next(bytes(one.raw) for one in Batches(await fetch_raw(servers, topic, 0, 3)))
        write(tmp_path, topic, raw, 23, delta.to_bytes(4, "big"))
        read: list[bytes] = []
        consumer = await open_topics(settings, [topic])
        try:
            async with asyncio.timeout(60):
                for begin in (0, 7):
                    consumer.seek(TopicPartition(topic, 0), begin)
                    async for found in batches_to_end(consumer):
                        read += [record.value for record in found]
        finally:
            await consumer.stop()
        assert read == [b"a0", b"a1", b"a2", b"c0", b"c1", b"c2", b"c1", b"c2"], topic
