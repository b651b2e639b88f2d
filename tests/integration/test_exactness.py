"""Counting is exact on a real broker: kills, a stopped worker, a broker restart, a failed flush.

The totals of every (trigger, window) and the set of alerts are compared with the oracle's, which
reads the same topics record by record.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.settings import Settings
from tests import oracle
from tests.integration.harness import (
    PROGRAMS,
    WorkerProcess,
    drained,
    partial_counts,
    put_objects,
    read_all,
)

CLIENTS = range(1, 21)
EVENTS = 200_000
SECONDS_OF_PRODUCING = 70
KINDS = ("attacks", "hits", "incidents")
TOPICS = ["events.attacks", "events.hits", "events.incidents", "counts"]
#: Snapshots are written so often that each kill falls into one.
SNAPSHOTS = {"STREAM_APP_KAFKA__SNAPSHOT_INTERVAL_SECONDS": "0.5"}
FAILING_WORKER = str(PROGRAMS / "failing_worker.py")


def triggers() -> list[dict[str, Any]]:
    """Return 40 triggers of all three conditions, with filters and without."""
    filters: list[list[dict[str, Any]]] = [
        [],
        [{"id": "attack_type", "operator": "eq", "values": ["sqli", "xss"]}],
        [{"id": "pool", "operator": "ne", "values": [7]}],
        [
            {"id": "response_status", "operator": "eq", "values": ["5xx", 404]},
            {"id": "domain", "operator": "ne", "values": ["a.example"]},
        ],
    ]
    found = []
    for number in range(40):
        kind = KINDS[number % 3]
        found.append(
            {
                "id": number + 1,
                "client_id": number % 20 + 1,
                "name": f"trigger {number + 1}",
                "comment": "",
                "enabled": True,
                "template_id": oracle.CONDITION[kind],
                "filters": filters[number % 4],
                "threshold": {
                    "count": number % 5,
                    "period": (1, 60, 3600)[number // 3 % 3],
                    "operator": "gt",
                },
                "actions": [{"id": "send_notification", "params": {"integration_ids": [1]}}],
                "enabled_at": 1,
            }
        )
    return found


def clients() -> list[dict[str, Any]]:
    return [
        {"client_id": number, "name": f"Client {number}", "cloud": "EU", "applications": {}}
        for number in CLIENTS
    ]


def events(seed: int, start: int) -> Iterator[tuple[str, bytes]]:
    """Yield (kind, value): marked, late and poison events among plain ones, some in arrays."""
    chance = random.Random(seed)
    for number in range(EVENTS):
        kind = KINDS[number % 3]
        if chance.random() < 0.01:
            yield kind, chance.choice([b"{", b"\xff", b"[1]", b'{"client_id":"x"}', b'{"a":1}'])
            continue
        one = event(chance, kind, start + number * 600 // EVENTS)
        if chance.random() < 0.01:
            value: Any = [one, event(chance, kind, start)]
        else:
            value = one
        yield kind, json.dumps(value).encode()


def event(chance: random.Random, kind: str, now: int) -> dict[str, Any]:
    late = chance.choice([0] * 20 + [30, 5000])
    found: dict[str, Any] = {
        "client_id": chance.choice(CLIENTS) if chance.random() > 0.005 else 999,
        "type": chance.choice(["sqli", "xss", "rce", "ptrav"]),
        "host": chance.choice(["a.example", "b.example"]),
        "poolid": chance.choice([-1, 7, 8]),
        "experimental": chance.random() < 0.05,
        "state": "falsepositive" if chance.random() < 0.02 else None,
    }
    status = chance.choice([200, 404, 500, 502])
    if kind == "hits":
        return found | {
            "request_time": now - late,
            "response_status": status,
            "sampled": chance.random() > 0.05,
        }
    return found | {"first_time": now - late, "response_statuses": [status, 200]}


async def produce(settings: Settings, seconds: float, until: asyncio.Event | None = None) -> None:
    """Send the events over `seconds`, by key, by explicit partition and without a key.

    With `until` the last fifth only trickles until that is set, so that the events last however
    slow the machine is.
    """
    bootstrap, prefix = settings.kafka.bootstrap_servers, settings.topic_prefix
    chance, start = random.Random(7), int(time.time()) - 600
    producers = [
        AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, enable_idempotence=True)
        for _ in range(3)
    ]
    for producer in producers:
        await producer.start()
    began, futures = time.monotonic(), []
    for number, (kind, value) in enumerate(events(11, start)):
        how = number % 3
        futures.append(
            await producers[how].send(
                f"{prefix}events.{kind}",
                value,
                key=str(chance.randrange(1000)).encode() if how == 0 else None,
                partition=chance.randrange(settings.partitions) if how == 1 else None,
            )
        )
        if number % 500 == 0:
            ahead = number / EVENTS * seconds - (time.monotonic() - began)
            await asyncio.sleep(max(0.0, ahead))
        if number % 100 == 0 and number > EVENTS * 4 // 5 and until and not until.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(until.wait(), 1)
    await asyncio.gather(*futures)
    for producer in producers:
        await producer.stop()


async def prepared(settings: Settings) -> None:
    await create_topics(settings)
    await put_objects(settings, "config.clients", clients())
    await put_objects(settings, "config.triggers", triggers())


async def expected(settings: Settings) -> tuple[oracle.Totals, int]:
    totals, number = oracle.Totals(), 0
    for kind in KINDS:
        records = await read_all(
            settings.kafka.bootstrap_servers or "", f"{settings.topic_prefix}events.{kind}"
        )
        for partition in records.values():
            number += len(partition)
            rows = [(record.value, record.timestamp) for record in partition]
            oracle.count(kind, rows, triggers(), set(CLIENTS), totals)
    return totals, number


async def counted(settings: Settings) -> dict[oracle.Window, int]:
    """Return what stage 2 can sum: the largest partial count of each source partition."""
    largest: dict[tuple[int, int, int], int] = defaultdict(int)
    for *key, count in await partial_counts(settings):
        trigger_id, start, partition = key
        place = trigger_id, start, partition
        largest[place] = max(largest[place], count)
    totals: dict[oracle.Window, int] = defaultdict(int)
    for (trigger_id, start, _), count in largest.items():
        totals[trigger_id, start] += count
    return totals


async def alerts(settings: Settings) -> Counter[tuple[int, int]]:
    """Return how many alert records each (trigger, window) has; those of one id are equal."""
    found: Counter[tuple[int, int]] = Counter()
    values: dict[str, bytes] = {}
    bootstrap = settings.kafka.bootstrap_servers or ""
    for partition in (await read_all(bootstrap, f"{settings.topic_prefix}alerts")).values():
        for record in partition:
            alert = json.loads(record.value)
            found[alert["trigger"]["id"], alert["window_start"]] += 1
            assert values.setdefault(alert["id"], record.value) == record.value
    assert len(values) == len(found)
    return found


async def refused(settings: Settings) -> Counter[str]:
    """Return the dead letters by reason; a place that a crash sent twice counts once."""
    places: dict[tuple[str, ...], str] = {}
    bootstrap = settings.kafka.bootstrap_servers or ""
    for kind in KINDS:
        topic = f"{settings.topic_prefix}events.{kind}.dlq"
        for partition in (await read_all(bootstrap, topic)).values():
            for record in partition:
                facts = {name: value.decode() for name, value in record.headers}
                place = tuple(
                    facts.get(f"x-{name}", "")
                    for name in ("original-topic", "original-partition", "original-offset")
                )
                places[(*place, facts.get("x-event-index", ""))] = facts["x-error-reason"]
    return Counter(places.values())


async def compare(settings: Settings) -> dict[str, int]:
    """Compare everything with the oracle; return the figures."""
    totals, records = await expected(settings)
    sums, fired = await counted(settings), await alerts(settings)
    wrong = {
        window: (totals.counts.get(window, 0), sums.get(window, 0))
        for window in {*totals.counts, *sums}
        if totals.counts.get(window, 0) != sums.get(window, 0)
    }
    assert not wrong, (
        f"{len(wrong)} of {len(totals.counts)} totals differ: {list(wrong.items())[:5]}"
    )
    assert set(fired) == totals.fired(triggers())
    assert await refused(settings) == Counter(totals.refused)
    assert totals.late > 0
    return {
        "records": records,
        "windows": len(totals.counts),
        "events counted": sum(totals.counts.values()),
        "alerts": len(fired),
        "alert records sent again": sum(fired.values()) - len(fired),
        "late": totals.late,
        "dead letters": sum(totals.refused.values()),
    }


async def counting(worker: WorkerProcess) -> float:
    """Return how many events the worker has counted."""
    metrics = await worker.metrics()
    return sum(
        value
        for name, value in metrics.items()
        if name.startswith("stream_app_events_total") and 'result="counted"' in name
    )


@pytest.fixture
def cluster(own_kafka: Any, settings: Settings) -> tuple[EmbeddedKafka, Settings]:
    """Return a broker of this test's own, and the settings of an installation of 8 partitions."""
    broker: EmbeddedKafka = own_kafka()
    kafka = settings.kafka.model_copy(
        update={"bootstrap_servers": broker.status().bootstrap_servers}
    )
    return broker, settings.model_copy(update={"kafka": kafka, "partitions": 8})


@pytest.mark.long
@pytest.mark.timeout(480)
async def test_kills_a_zombie_a_broker_restart_and_a_failed_flush_leave_the_counts_exact(
    cluster: tuple[EmbeddedKafka, Settings], tmp_path: Path
) -> None:
    broker, settings = cluster
    await prepared(settings)

    def worker(name: str, *command: str) -> WorkerProcess:
        return WorkerProcess(
            "detector",
            settings,
            tmp_path / f"{name}.log",
            command or ("-m", "stream_app"),
            **SNAPSHOTS,
        )

    with worker("a") as first, worker("b") as second:
        await first.ready()
        await second.ready()
        is_over = asyncio.Event()
        producing = asyncio.create_task(produce(settings, SECONDS_OF_PRODUCING, is_over))
        await asyncio.sleep(8)
        assert await counting(first) > 0
        first.kill()
        with worker("c") as third:
            await asyncio.sleep(12)
            assert await counting(second) > 0
            assert not producing.done()
            second.kill()
            with worker("failing", FAILING_WORKER) as failing:
                assert await asyncio.to_thread(failing.process.wait, 60) == 1
                assert "nothing unfinished was acknowledged" in failing.text
                with worker("d") as fourth:
                    await third.ready()
                    third.signal(signal.SIGSTOP)
                    await asyncio.sleep(9)  # longer than the session timeout of 6 s
                    third.signal(signal.SIGCONT)
                    await asyncio.sleep(4)
                    assert "UnknownMemberIdError" in third.text or "not recognized" in third.text
                    assert not producing.done()
                    await asyncio.to_thread(broker.stop)
                    await asyncio.to_thread(broker.start)
                    is_over.set()
                    await producing
                    await drained(settings, "detector", TOPICS)
                    figures = await compare(settings)
                    assert figures["records"] >= EVENTS
                    assert fourth.stop() == 0
                    assert third.stop() == 0
    print(figures)


@pytest.mark.long
@pytest.mark.timeout(360)
async def test_a_graceful_rebalance_leaves_the_counts_exact(
    cluster: tuple[EmbeddedKafka, Settings], tmp_path: Path
) -> None:
    _, settings = cluster
    await prepared(settings)
    with WorkerProcess("detector", settings, tmp_path / "a.log", **SNAPSHOTS) as first:
        await first.ready()
        producing = asyncio.create_task(produce(settings, 30))
        await asyncio.sleep(5)
        with WorkerProcess("detector", settings, tmp_path / "b.log", **SNAPSHOTS) as second:
            await second.ready()
            await asyncio.sleep(6)
            assert min(await counting(first), await counting(second)) > 0
            assert await asyncio.to_thread(first.stop) == 0
            await producing
            await drained(settings, "detector", TOPICS)
            figures = await compare(settings)
            # None, unless a heartbeat was late: then the flush that this cut short is sent again.
            assert figures["alert records sent again"] < figures["alerts"] / 100
            assert second.stop() == 0
    print(figures)
