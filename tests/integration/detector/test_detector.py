"""The detector on a real broker: what it counts, refuses, waits for, and when it will not start."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic

from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.kafka.cluster.topics import BROKER_CLOCK
from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.setting_groups import EmbeddedSettings
from stream_app.settings import Settings
from tests.conftest import JARS
from tests.integration.harness import (
    PATIENCE_SECONDS,
    PROGRAMS,
    WorkerProcess,
    drained,
    partial_counts,
    put,
    put_objects,
    read_all,
)

TOPICS = ["events.attacks", "events.hits", "events.incidents", "counts"]
CLIENT = {"client_id": 1, "name": "TestCompany", "cloud": "EU", "applications": {}}


def trigger(trigger_id: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "id": trigger_id,
        "client_id": 1,
        "name": f"trigger {trigger_id}",
        "comment": "",
        "enabled": True,
        "template_id": "incidents_exceeded",
        "filters": [],
        "threshold": {"count": 1, "period": 1, "operator": "gt"},
        "actions": [{"id": "send_notification", "params": {"integration_ids": [5]}}],
        "enabled_at": 1,
    } | changes


def incident(seconds: int, **changes: Any) -> bytes:
    return json.dumps({"client_id": 1, "first_time": seconds} | changes).encode()


async def prepared(settings: Settings, *triggers: dict[str, Any]) -> str:
    await create_topics(settings)
    await put_objects(settings, "config.clients", [CLIENT])
    await put_objects(settings, "config.triggers", triggers or [trigger()])
    return settings.kafka.bootstrap_servers or ""


async def send(settings: Settings, kind: str, *values: bytes | None, **more: Any) -> None:
    topic = f"{settings.topic_prefix}events.{kind}"
    await put(settings.kafka.bootstrap_servers or "", topic, [(None, v) for v in values], **more)


async def alerts(settings: Settings) -> list[bytes]:
    topic = f"{settings.topic_prefix}alerts"
    found = await read_all(settings.kafka.bootstrap_servers or "", topic)
    return [record.value for partition in found.values() for record in partition]


async def wait_for(claim: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """Wait until an async claim holds; return its last answer."""
    deadline = time.monotonic() + seconds
    while not (last := await claim()) and time.monotonic() < deadline:  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.1)
    return last


def kinds_of_poison(now: int) -> list[tuple[bytes, str]]:
    """Return 20 kinds of malformed records, each with the reason that it must get."""
    good = f'"client_id":1,"first_time":{now}'
    return [
        (b"", "undecodable"),
        (b"   ", "undecodable"),
        (b"\xff\xfe\x00", "undecodable"),
        (b'{"client_id":1', "undecodable"),
        (b'{"client_id":1,"x":' + b"[" * 3000 + b"]" * 3000 + b"}", "undecodable"),
        (b"not json", "undecodable"),
        (b'{"client_id":1}}', "undecodable"),
        (b'{"client_id":1,"type":"\xc3\x28"}', "undecodable"),
        (b"null", "wrong_type"),
        (b"42", "wrong_type"),
        (b'"text"', "wrong_type"),
        (b'{"client_id":"1"}', "wrong_type"),
        (b'{"client_id":1.5}', "wrong_type"),
        (b'{"client_id":1,"first_time":"today"}', "wrong_type"),
        (b'{"client_id":1,"remote_addrs":"203.0.113.1"}', "wrong_type"),
        (b'{"client_id":1,"experimental":"yes"}', "wrong_type"),
        (b'{"type":"sqli"}', "missing_client"),
        (b'{"client_id":null}', "missing_client"),
        (f"{{{good.replace(str(now), str(now + 100_000))}}}".encode(), "future_timestamp"),
        (b'{"client_id":404}', "unknown_client"),
    ]


async def test_every_one_of_10000_malformed_records_is_a_dead_letter_and_no_good_one_is_lost(
    settings: Settings, tmp_path: Path
) -> None:
    now, chance = int(time.time()), random.Random(3)
    await prepared(settings, trigger(threshold={"count": 0, "period": 3600, "operator": "gt"}))
    poison = kinds_of_poison(now)
    assert len(poison) == 20
    rows = [value for value, _ in poison for _ in range(500)]
    good = [incident(now) for _ in range(5000)]
    mixed = [*rows, *good]
    chance.shuffle(mixed)
    with WorkerProcess("detector", settings, tmp_path / "worker.log") as worker:
        await worker.ready()
        await send(settings, "incidents", *mixed)
        await drained(settings, "detector", ["events.incidents", "counts"])
        metrics = await worker.metrics()
        assert worker.stop() == 0
    dead = await read_all(
        settings.kafka.bootstrap_servers or "", f"{settings.topic_prefix}events.incidents.dlq"
    )
    found: Counter[tuple[bytes, str]] = Counter()
    for partition in dead.values():
        for record in partition:
            headers = dict(record.headers)
            assert (
                headers["x-original-topic"].decode() == f"{settings.topic_prefix}events.incidents"
            )
            assert int(headers["x-original-offset"]) >= 0
            found[record.value, headers["x-error-reason"].decode()] += 1
    assert found == Counter(dict.fromkeys(poison, 500))
    assert metrics['stream_app_events_total{kind="incidents",result="counted"}'] == 5000
    reasons = Counter({reason: 0 for _, reason in poison})
    for _, reason in poison:
        reasons[reason] += 500
    for reason, number in reasons.items():
        name = f'stream_app_dead_letters_total{{reason="{reason}",topic="events.incidents"}}'
        assert metrics[name] == number


async def test_a_topic_processed_twice_gives_the_same_alerts_byte_for_byte(
    settings: Settings, tmp_path: Path
) -> None:
    now, chance = int(time.time()) - 600, random.Random(5)
    names = [trigger(1), trigger(2, threshold={"count": 3, "period": 60, "operator": "gt"})]
    await prepared(settings, *names)
    await send(settings, "incidents", *(incident(now + chance.randrange(300)) for _ in range(2000)))
    runs: list[Counter[bytes]] = []
    for run in ("first", "second"):
        before = len(await alerts(settings))
        with WorkerProcess("detector", settings, tmp_path / f"{run}.log") as worker:
            await worker.ready()
            await drained(settings, "detector", ["events.incidents", "counts"])
            counted = (await worker.metrics())[
                'stream_app_events_total{kind="incidents",result="counted"}'
            ]
            assert counted == 2000
            assert worker.stop() == 0
        found = await alerts(settings)
        runs.append(Counter(found) - Counter(runs[0]) if runs else Counter(found))
        assert len(found) > before
        if run == "first":
            reset = WorkerProcess.command(settings, "state", "reset", "detector", "--yes")
            assert reset.returncode == 0, reset.stderr
            assert "cells-incidents-changelog" in reset.stdout
    assert runs[0] == runs[1]
    assert set(runs[0].values()) == {1}


async def test_an_event_topic_made_anew_stops_the_worker_with_the_command_that_helps(
    settings: Settings, tmp_path: Path
) -> None:
    day = trigger(2, threshold={"count": 40, "period": 86_400, "operator": "gt"})
    bootstrap = await prepared(settings, trigger(), day)
    now, topic = int(time.time()), f"{settings.topic_prefix}events.incidents"
    await send(settings, "incidents", *(incident(now) for _ in range(50)))
    with WorkerProcess("detector", settings, tmp_path / "first.log") as worker:
        await worker.ready()
        await drained(settings, "detector", ["events.incidents", "counts"])
        assert worker.stop() == 0
    before = len(await alerts(settings))
    assert before == 2
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.delete_topics([topic])
    await wait_for(lambda: _is_gone(admin, topic))
    await admin.create_topics([NewTopic(topic, settings.partitions, 1, topic_configs=BROKER_CLOCK)])
    await admin.close()
    with WorkerProcess("detector", settings, tmp_path / "second.log") as worker:
        assert await asyncio.to_thread(worker.process.wait, 60) == 3
        assert "made anew" in worker.text
        assert "stream-app state reset detector --yes" in worker.text
    reset = WorkerProcess.command(settings, "state", "reset", "detector", "--yes")
    assert reset.returncode == 0, reset.stderr
    with WorkerProcess("detector", settings, tmp_path / "third.log") as worker:
        await worker.ready()
        await send(settings, "incidents", incident(now + 5), incident(now + 5))
        assert await wait_for(lambda: _more_than(settings, before))
        await drained(settings, "detector", ["events.incidents", "counts"])
        assert len(await alerts(settings)) == before + 1, "what was counted before is forgotten"


async def _is_gone(admin: AIOKafkaAdminClient, topic: str) -> bool:
    return topic not in await admin.list_topics()


async def _more_than(settings: Settings, number: int) -> bool:
    return len(await alerts(settings)) > number


async def test_a_missing_topic_is_named_and_the_worker_does_not_start(
    settings: Settings, tmp_path: Path
) -> None:
    with WorkerProcess("detector", settings, tmp_path / "worker.log") as worker:
        assert await asyncio.to_thread(worker.process.wait, 60) == 3
        assert f"{settings.topic_prefix}events.attacks" in worker.text
        assert "stream-app topics create" in worker.text


async def test_a_changed_trigger_counts_anew_and_a_disabled_one_not_at_all(
    settings: Settings, tmp_path: Path
) -> None:
    await prepared(settings)
    now = int(time.time())
    with WorkerProcess("detector", settings, tmp_path / "worker.log") as worker:
        await worker.ready()
        await send(settings, "incidents", incident(now))
        await drained(settings, "detector", ["events.incidents"])
        await put_objects(settings, "config.triggers", [trigger(enabled_at=2)])
        await asyncio.sleep(1)
        await send(settings, "incidents", incident(now))  # the first event of the new revision
        await drained(settings, "detector", TOPICS)
        assert await alerts(settings) == []
        await send(settings, "incidents", incident(now))
        assert await wait_for(lambda: _more_than(settings, 0))
        await put_objects(settings, "config.triggers", [trigger(enabled_at=2, enabled=False)])
        await asyncio.sleep(1)
        await send(settings, "incidents", incident(now + 1), incident(now + 1))
        await drained(settings, "detector", TOPICS)
        metrics = await worker.metrics()
    assert len(await alerts(settings)) == 1
    assert metrics['stream_app_events_total{kind="incidents",result="unmatched"}'] == 2


async def test_a_worker_started_before_the_broker_waits_for_it_and_says_so_once(
    topic_prefix: str, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    embedded = EmbeddedSettings(directory=tmp_path / "kafka", jars_directory=JARS, port=port)
    settings = Settings(
        kafka={"bootstrap_servers": f"127.0.0.1:{port}"}, topic_prefix=topic_prefix, partitions=2
    )
    broker = EmbeddedKafka(embedded)
    with WorkerProcess("detector", settings, tmp_path / "worker.log") as worker:
        assert await wait_for(lambda: _contains(worker, "broker_unreachable"))
        await asyncio.sleep(3)
        assert worker.process.poll() is None
        assert worker.text.count("broker_unreachable") == 1
        await asyncio.to_thread(broker.start)
        try:
            # The worker does not wait for topics: these are the operator's business.
            assert await asyncio.to_thread(worker.process.wait, 60) == 3
            assert "stream-app topics create" in worker.text
        finally:
            await asyncio.to_thread(broker.stop)


async def _contains(worker: WorkerProcess, text: str) -> bool:
    return text in worker.text


async def test_an_outage_of_the_broker_is_logged_once_each_way_and_survived(
    own_kafka: Any, settings: Settings, tmp_path: Path
) -> None:
    broker: EmbeddedKafka = own_kafka()
    kafka = settings.kafka.model_copy(
        update={"bootstrap_servers": broker.status().bootstrap_servers}
    )
    settings = settings.model_copy(update={"kafka": kafka})
    await prepared(settings)
    with WorkerProcess("detector", settings, tmp_path / "worker.log") as worker:
        await worker.ready()
        await asyncio.to_thread(broker.stop)
        assert await wait_for(lambda: _contains(worker, '"broker_lost"'))
        ready, text = await worker.page("/readyz")
        assert (ready, "no answer from the broker" in text) == (503, True)
        assert (await worker.page("/livez"))[0] == 200
        await asyncio.sleep(8)
        await asyncio.to_thread(broker.start)
        await worker.ready()
        now = int(time.time())
        await send(settings, "incidents", incident(now), incident(now))
        assert await wait_for(lambda: _more_than(settings, 0))
        assert worker.text.count('"broker_lost"') == 1
        assert worker.text.count('"broker_back"') == 1
        assert len(worker.text.splitlines()) < 200
        assert worker.stop() == 0


async def test_counts_with_more_partitions_are_named_with_the_command_that_helps(
    settings: Settings, tmp_path: Path
) -> None:
    bootstrap = await prepared(settings)
    now, topic = int(time.time()), f"{settings.topic_prefix}counts"
    await send(settings, "incidents", incident(now))
    with WorkerProcess("detector", settings, tmp_path / "first.log") as worker:
        await worker.ready()
        await drained(settings, "detector", ["events.incidents", "counts"])
        assert worker.stop() == 0
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_partitions({topic: NewPartitions(settings.partitions + 2)})
    await admin.close()
    with WorkerProcess("detector", settings, tmp_path / "second.log") as worker:
        assert await asyncio.to_thread(worker.process.wait, 60) == 3
        assert f"{topic} has 6 partitions, but its state was kept for 4" in worker.text
        assert "stream-app state reset detector --yes" in worker.text


async def test_a_worker_that_cannot_make_its_changelogs_ends_with_an_error(
    settings: Settings, tmp_path: Path
) -> None:
    await prepared(settings)
    env = {"STREAM_APP_KAFKA__REPLICATION_FACTOR": "3"}  # of one broker
    with WorkerProcess("detector", settings, tmp_path / "worker.log", **env) as worker:
        assert await asyncio.to_thread(worker.process.wait, 60) == 1
        name = f"{settings.topic_prefix}stream-app-detector-cells-attacks-changelog"
        why = "STREAM_APP_KAFKA__REPLICATION_FACTOR is 3, and the cluster has 1 broker now"
        assert f"{name} cannot be made: {why}" in worker.text


async def test_records_without_key_value_or_header_values_are_dead_letters_too(
    settings: Settings, tmp_path: Path
) -> None:
    bootstrap = await prepared(settings)
    topic = f"{settings.topic_prefix}events.incidents"
    headers: list[tuple[str, Any]] = [("trace", b""), ("x-attempt", b"2")]
    await put(bootstrap, topic, [(b"key", None), (None, b"{")], headers=headers)
    with WorkerProcess("detector", settings, tmp_path / "worker.log") as worker:
        await worker.ready()
        await drained(settings, "detector", ["events.incidents"])
        assert worker.stop() == 0
    dead = await read_all(bootstrap, f"{topic}.dlq")
    rows = {
        (record.key, record.value): dict(record.headers)["x-attempt"]
        for partition in dead.values()
        for record in partition
    }
    assert rows == {(b"key", b""): b"2", (None, b"{"): b"2"}


async def test_a_record_larger_than_a_dead_letter_may_be_is_cut_and_says_so(
    settings: Settings, tmp_path: Path
) -> None:
    bootstrap = await prepared(settings)
    topic = f"{settings.topic_prefix}events.incidents"
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, compression_type="gzip", max_request_size=10_000_000
    )
    await producer.start()
    await producer.send_and_wait(topic, b"x" * 3_000_000, key=b"k" * 100_000)
    await producer.stop()
    with WorkerProcess("detector", settings, tmp_path / "worker.log") as worker:
        await worker.ready()
        await drained(settings, "detector", ["events.incidents"])
        assert worker.stop() == 0
    found = await read_all(bootstrap, f"{topic}.dlq")
    (record,) = [record for partition in found.values() for record in partition]
    headers = dict(record.headers)
    assert (record.key, headers["x-original-size"]) == (None, b"3000000")
    assert record.value == b"x" * 900_000


async def test_progress_that_lands_during_a_rebalance_loses_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"partitions": 8})
    rule = trigger(template_id="hits_exceeded", threshold={"count": 0, "period": 3600})
    await prepared(settings, rule)
    now = int(time.time())
    hits = [json.dumps({"client_id": 1, "request_time": now}).encode()] * 400
    command = (str(PROGRAMS / "overtaken_worker.py"),)
    with WorkerProcess("detector", settings, tmp_path / "a.log", command) as first:
        await first.ready()
        sent = 0
        # On a busy machine a flush may have too few partitions for the progress to be held.
        while not await wait_for(lambda: _says(first, "progress_held"), 2):
            assert sent < 10 * len(hits)
            await send(settings, "hits", *hits)
            sent += len(hits)
        with WorkerProcess("detector", settings, tmp_path / "b.log") as second:
            await second.ready()
            assert await wait_for(lambda: _says(first, "progress_landed"))
            await send(settings, "hits", *hits)
            await drained(settings, "detector", ["events.hits", "counts"])
            assert first.stop() == 0
    parts: dict[int, int] = {}
    for _, _, partition, count in await partial_counts(settings):
        parts[partition] = max(count, parts.get(partition, 0))
    assert sum(parts.values()) == sent + len(hits)


async def test_progress_that_the_group_has_not_committed_is_no_lag_after_a_restart(
    settings: Settings, tmp_path: Path
) -> None:
    """A worker is killed between its progress and its commit, and no more events come."""
    await prepared(settings)
    now = int(time.time())
    with WorkerProcess("detector", settings, tmp_path / "a.log") as first:
        await first.ready()
        await send(settings, "incidents", *[incident(now)] * 40)
        await drained(settings, "detector", TOPICS)
        assert first.stop() == 0
    await uncommit(settings, "detector", "events.incidents", 3)
    with WorkerProcess("detector", settings, tmp_path / "b.log") as second:
        await second.ready()
        await drained(settings, "detector", TOPICS)
        metrics = await second.metrics()
        assert second.stop() == 0
    assert len(await alerts(settings)) == 1
    assert not any(metrics[name] for name in metrics if name.startswith("stream_app_events_total"))


async def uncommit(settings: Settings, role: str, topic: str, offset: int) -> None:
    """Set a stopped group back to an offset in each partition of a topic."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap_servers,
        group_id=f"{settings.topic_prefix}stream-app-{role}",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        name = f"{settings.topic_prefix}{topic}"
        partitions = [TopicPartition(name, number) for number in range(settings.partitions)]
        consumer.assign(partitions)
        before = {tp: await consumer.committed(tp) or 0 for tp in partitions}
        assert max(before.values()) > offset, before
        await consumer.commit({tp: min(offset, number) for tp, number in before.items()})
    finally:
        await consumer.stop()


async def _says(worker: WorkerProcess, text: str) -> bool:
    return text in worker.text
