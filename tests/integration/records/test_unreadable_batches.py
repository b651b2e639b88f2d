"""Codecs, odd headers, batches that cannot be read and bombs, on a real broker."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError
from cryptography.fernet import Fernet

from stream_app.kafka.cluster.consumers import batches_to_end, open_topics
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.kafka.cluster.topics import topic_specs
from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.kafka.records.stored_batches import Batches
from stream_app.kafka.state.state_table import CHANGELOG_CONFIG
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings
from tests.integration.detector.test_detector import (
    CLIENT,
    alerts,
    incident,
    prepared,
    trigger,
    wait_for,
)
from tests.integration.harness import (
    WorkerProcess,
    configure_topics,
    drained,
    put,
    put_objects,
    read_all,
)
from tests.integration.test_end_to_end import KEY, objects
from tests.raw_batches import (
    CODECS,
    Raw,
    batch,
    bomb,
    fetch_raw,
    mutated,
    produce_raw,
    raw_client,
    send_raw,
)

#: A worker's address space is about 0.9 GiB, most of it for threads and libraries.
LIMIT_MEBIBYTES = 1400
LIMITED = ("-m", "tests.integration.workers.limited_worker", str(LIMIT_MEBIBYTES))


async def configure(settings: Settings, topics: Iterable[str], **values: str) -> None:
    """Set topics' configuration beside their own; underscores in the names stand for dots."""
    own = {spec.name: spec.config for spec in topic_specs(settings)}
    wanted = {name.replace("_", "."): value for name, value in values.items()}
    configs = {topic: own.get(topic, CHANGELOG_CONFIG) | wanted for topic in topics}
    await configure_topics(settings.kafka.bootstrap_servers or "", configs)


async def topics_of(settings: Settings) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers or "")
    await admin.start()
    try:
        return [
            name for name in await admin.list_topics() if name.startswith(settings.topic_prefix)
        ]
    finally:
        await admin.close()


async def run(
    settings: Settings, *args: str, code: int | None = 0, env: Mapping[str, str] | None = None
) -> Any:
    """Run a command; return what it prints, and what it says on stderr."""
    done = await asyncio.to_thread(WorkerProcess.command, settings, *args, **(env or {}))
    assert code is None or done.returncode == code, (args, done.stdout + done.stderr)
    return done


async def stored_codecs(bootstrap: str, topic: str, partitions: int) -> set[int]:
    """Return the codecs of all batches of a topic."""
    return {
        stored.codec
        for partition in range(partitions)
        for stored in Batches(await fetch_raw(bootstrap, topic, partition))
    }


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_every_codec_is_read_on_every_topic_by_workers_and_commands(
    settings: Settings, tmp_path: Path
) -> None:
    arrived: list[Any] = []
    sandbox = SandboxOpsgenie(keys={KEY}, on_alert=arrived.append)
    url = await sandbox.start()
    env = {
        "STREAM_APP_SECRET_KEYS": Fernet.generate_key().decode(),
        "STREAM_APP_DELIVERY__SANDBOX_URL": url,
    }
    bootstrap, prefix = settings.kafka.bootstrap_servers or "", settings.topic_prefix
    await create_topics(settings)
    file, incidents = tmp_path / "acme.yaml", f"{prefix}events.incidents"

    async def round_of(codec: str, second: int) -> None:
        """Have every topic compressed, change the configuration, and wait for an alert."""
        await configure(settings, await topics_of(settings), compression_type=codec)
        await put_objects(settings, "config.clients", [CLIENT])
        value = json.dumps({"client_id": 1, "first_time": second, "type": "ptrav"}).encode()
        await put(bootstrap, incidents, [(None, value), (None, value), (None, b"no event")])

        async def is_delivered() -> bool:
            return any(str(second) in alert.description for alert in arrived)

        assert await wait_for(is_delivered), codec

    now = int(time.time())
    await configure(settings, await topics_of(settings), compression_type="gzip")
    file.write_text(yaml.safe_dump_all(objects(url)))
    await run(settings, "apply", "-f", str(file), env=env)
    for turn in (CODECS, ("zstd",)):
        # The second time the states were written with all of these codecs.
        with (
            WorkerProcess(
                "detector", settings, tmp_path / f"detector-{len(turn)}", **env
            ) as detector,
            WorkerProcess(
                "notifier", settings, tmp_path / f"notifier-{len(turn)}", **env
            ) as notifier,
        ):
            await asyncio.gather(detector.ready(), notifier.ready())
            for codec in turn:
                now -= 10
                await round_of(codec, now)
            await drained(settings, "detector", ["events.incidents", "counts"])
            await drained(settings, "notifier", ["alerts", "deliveries", "delivery-results"])
            assert detector.stop() == 0
            assert notifier.stop() == 0
            assert "unreadable" not in detector.text + notifier.text
    await sandbox.stop()
    everything = set(range(1, 5))
    for topic in ("events.incidents", "events.incidents.dlq", "config.clients", "counts",
                  "alerts", "deliveries", "delivery-results",
                  "stream-app-detector-cells-incidents-changelog",
                  "stream-app-notifier-deliveries-changelog"):  # fmt: skip
        count = 1 if topic.startswith("config") else settings.partitions
        assert await stored_codecs(bootstrap, f"{prefix}{topic}", count) >= everything, topic
    commands = (
        ["status"],
        ["get", "triggers"],
        ["dlq", "list"],
        ["dlq", "redrive", "--reason", "undecodable"],
        ["replay", "events.incidents", "--from", "0"],
        ["alerts", "list"],
        ["validate", "events.incidents"],
        ["doctor"],
    )
    found = [run(settings, *command, code=None, env=env) for command in commands]
    for command, done in zip(commands, await asyncio.gather(*found), strict=True):
        assert "codec" not in (done.stdout + done.stderr).lower(), done
        assert done.returncode in (0, 1), (command, done.stderr)
        assert "Traceback" not in done.stderr


async def dead(settings: Settings, topic: str) -> list[dict[str, str]]:
    """Return the facts of a topic's dead letters."""
    found = await read_all(
        settings.kafka.bootstrap_servers or "", f"{settings.topic_prefix}{topic}.dlq"
    )
    return [
        {name: value.decode(errors="replace") for name, value in record.headers}
        | {"size": str(len(record.value))}
        for records in found.values()
        for record in records
    ]


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_bombs_are_dead_letters_and_cost_neither_memory_nor_their_neighbours(
    settings: Settings, tmp_path: Path
) -> None:
    bootstrap = await prepared(settings)
    topic = f"{settings.topic_prefix}events.incidents"
    await configure(settings, [topic], max_message_bytes=str(64 << 20))
    now = int(time.time())
    sizes = {"gzip": (300, 900), "zstd": (300, 900), "lz4": (200, 900), "snappy": (200,)}
    bombs = [(codec, bomb(size, codec)) for codec, found in sizes.items() for size in found]
    assert len(next(raw for codec, raw in bombs if codec == "gzip")) < 1 << 20
    odd = [(b"\xff\xfe", b"x")]
    with WorkerProcess("detector", settings, tmp_path / "log", LIMITED) as worker:
        await worker.ready()
        answers: list[tuple[int, float]] = []

        async def ask() -> None:
            while True:
                started = time.monotonic()
                answers.append(((await worker.page("/livez"))[0], time.monotonic() - started))
                await asyncio.sleep(0.05)

        asking = asyncio.create_task(ask())
        good = batch([Raw(incident(now), None, odd)], "zstd")
        for raw in [good, *(raw for _, raw in bombs), good]:
            assert await produce_raw(bootstrap, topic, 1, raw) == 0
        for _ in range(2):
            assert await produce_raw(bootstrap, topic, 2, batch([Raw(incident(now - 9))])) == 0
        await drained(settings, "detector", ["events.incidents", "counts"])
        asking.cancel()
        assert (await worker.page("/readyz"))[0] == 200
        metrics = await worker.metrics()
        peak = psutil.Process(worker.process.pid).memory_info().rss >> 20
        assert worker.stop() == 0, worker.text
    assert {status for status, _ in answers} == {200}
    print(f"longest answer {max(s for _, s in answers):.3f} s, {peak} MiB at the end")
    assert len(await alerts(settings)) == 2
    name = 'stream_app_unreadable_batches_total{topic="events.incidents"}'
    assert metrics[name] == len(bombs)
    assert metrics[
        'stream_app_dead_letters_total{reason="unreadable_batch",topic="events.incidents"}'
    ] == len(bombs)
    letters = await dead(settings, "events.incidents")
    assert len(letters) == len(bombs)
    for place, letter in enumerate(sorted(letters, key=lambda one: int(one["x-original-offset"]))):
        assert letter["x-error-reason"] == "unreadable_batch"
        assert letter["x-error-class"] == "UnpackedTooLargeError"
        assert letter["x-original-topic"] == topic
        assert letter["x-original-partition"] == "1"
        assert letter["x-original-offset"] == letter["x-original-last-offset"] == str(place + 1)
        assert letter["size"] == "0"
    listed = await run(settings, "dlq", "list", "--reason", "unreadable_batch", "--json")
    assert len(listed.stdout.splitlines()) == len(bombs)
    refused = await run(settings, "dlq", "redrive", "--reason", "unreadable_batch", code=None)
    assert "cut short" in refused.stdout + refused.stderr or "unpacked" in refused.stdout
    for command in (
        ["replay", "events.incidents", "--from", "0"],
        ["validate", "events.incidents"],
    ):
        done = await run(settings, *command, code=None)
        assert f"{topic} partition 1, offset 1: UnpackedTooLargeError" in done.stderr, done


async def test_unreadable_batches_of_the_configuration_are_passed_over_and_reported(
    settings: Settings, tmp_path: Path
) -> None:
    bootstrap = await prepared(
        settings, trigger(threshold={"count": 0, "period": 60, "operator": "gt"})
    )
    prefix, now = settings.topic_prefix, int(time.time())
    shown = json.dumps(CLIENT | {"name": "Odd"}).encode()
    # It is read in spite of its header's name, and so is what comes after it.
    odd = batch([Raw(shown, b"1", [(b"\xff", b"x")])])
    assert await produce_raw(bootstrap, f"{prefix}config.clients", 0, odd) == 0
    for topic in (
        "config.clients",
        "config.triggers",
        "config.integrations",
        "status.integrations",
    ):
        large = bomb(80, "zstd", key=b"7")
        assert await produce_raw(bootstrap, f"{prefix}{topic}", 0, large) == 0
    for topic in ("events.incidents.dlq", "alerts.dlq"):
        assert await produce_raw(bootstrap, f"{prefix}{topic}", 0, bomb(80, "zstd")) == 0
    with WorkerProcess("detector", settings, tmp_path / "log", LIMITED) as worker:
        await worker.ready()
        await put(bootstrap, f"{prefix}events.incidents", [(None, incident(now)), (None, b"bad")])
        await put_objects(settings, "config.clients", [CLIENT])
        await drained(
            settings,
            "detector",
            ["events.incidents", "counts", "config.triggers", "config.clients"],
        )
        assert len(await alerts(settings)) == 1
        metrics = await worker.metrics()
        assert worker.stop() == 0, worker.text
        assert (
            worker.text.count('"event":"batch_unreadable"')
            + worker.text.count('"event": "batch_unreadable"')
            == 4
        )
    assert metrics['stream_app_unreadable_batches_total{topic="config.triggers"}'] == 1
    found = await run(settings, "status", "--json", code=None)
    attention = [row["what"] for row in json.loads(found.stdout)["needs_attention"]]
    for topic in (
        "config.clients",
        "config.triggers",
        "config.integrations",
        "status.integrations",
    ):
        assert any(f"cannot be read: {prefix}{topic} partition 0" in what for what in attention), (
            attention
        )
    examined = await run(settings, "doctor", code=1)
    assert (
        f"cannot be read: {prefix}events.incidents.dlq partition 0, offset 0" in examined.stdout
    ), examined.stdout
    got = await run(settings, "get", "clients")
    assert "TestCompany" in got.stdout
    assert f"{prefix}config.clients partition 0" in got.stderr
    listed = await run(settings, "dlq", "list")
    assert "undecodable" in listed.stdout
    assert f"{prefix}events.incidents.dlq partition 0" in listed.stderr
    await run(settings, "dlq", "redrive", "--reason", "undecodable", code=None)


async def test_fuzzed_batches_that_a_broker_takes_are_read_past(own_kafka: Any) -> None:
    """Reading ends without an error and finds every sound neighbour, whatever a broker has taken.

    The test has a broker of its own, because strange bytes can end a broker, too.
    """
    broker: EmbeddedKafka = await asyncio.to_thread(own_kafka)
    kafka = KafkaSettings(bootstrap_servers=broker.status().bootstrap_servers)
    settings = Settings(kafka=kafka, partitions=1)
    seed = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().getrandbits(32))
    print(f"FUZZ_SEED={seed}")
    chance = random.Random(seed)
    await create_topics(settings)
    bootstrap, topic = settings.kafka.bootstrap_servers or "", f"{settings.topic_prefix}events.hits"
    records = [Raw(b'{"n": %d}' % n, b"key", [(b"name", b"value")] * (n % 3)) for n in range(20)]
    # A changed length in snappy, lz4 or zstd can run the broker itself out of memory.
    sound = [batch(records, codec) for codec in ("none", "gzip")]
    taken, refused, neighbours = 0, 0, []
    until = time.monotonic() + 5
    while time.monotonic() < until or (taken < 10 and refused < 2000):
        try:
            async with raw_client(bootstrap, topic) as client:
                for _ in range(100):
                    if await send_raw(client, topic, 0, mutated(chance, chance.choice(sound))):
                        refused += 1
                        continue
                    taken += 1
                    neighbour = b"neighbour %d" % taken
                    assert await send_raw(client, topic, 0, batch([Raw(neighbour)])) == 0
                    neighbours.append(neighbour)
        except KafkaConnectionError:  # the broker hangs up on bytes that are no request
            refused += 1
    print(f"{taken} taken, {refused} refused")
    assert taken >= 10
    read: list[bytes] = []
    consumer = await open_topics(settings, [topic])
    try:
        async with asyncio.timeout(60):
            async for found in batches_to_end(consumer):
                read += [record.value for record in found if record.value is not None]
    finally:
        await consumer.stop()
    assert [value for value in read if value.startswith(b"neighbour")] == neighbours
