"""Dead letters too large for their topic end no worker: they are cut, or counted as lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stream_app.domain.alerts.alert import encode_alert
from stream_app.kafka.cluster.topics import BROKER_CLOCK
from stream_app.settings import Settings
from tests.integration.detector.test_detector import prepared, trigger
from tests.integration.harness import WorkerProcess, configure_topics, drained, put, read_all
from tests.integration.notifier.test_notifier import Bench, alert, eventually


@pytest.fixture
async def bench(settings: Settings, tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(settings, tmp_path / "worker")
    await bench.start()
    yield bench
    await bench.stop()


async def limit(settings: Settings, topic: str, number: int) -> None:
    name = f"{settings.topic_prefix}{topic}"
    # This removes other settings, and a worker refuses a topic without the broker's clock.
    config = {"max.message.bytes": str(number), **BROKER_CLOCK}
    await configure_topics(settings.kafka.bootstrap_servers or "", {name: config})


async def dead_letters(settings: Settings, topic: str) -> list[Any]:
    found = await read_all(
        settings.kafka.bootstrap_servers or "", f"{settings.topic_prefix}{topic}"
    )
    return [record for records in found.values() for record in records]


async def test_a_detector_cuts_its_dead_letters_and_skips_those_that_cannot_be_written(
    settings: Settings, tmp_path: Path
) -> None:
    await prepared(settings, trigger())
    for topic, most in (("incidents", 1000), ("hits", 150), ("attacks", 20_000)):
        await limit(settings, f"events.{topic}.dlq", most)
    bootstrap, values = settings.kafka.bootstrap_servers or "", [b"{" * 300_000, b"[", b"}" * 5000]
    for topic in ("incidents", "hits", "attacks"):
        name = f"{settings.topic_prefix}events.{topic}"
        await put(bootstrap, name, [(b"key", value) for value in values], partition=1)
    # A batch of dead letters, each of which would fit alone.
    await put(bootstrap, name, [(b"key", b"." * 900)] * 100, partition=1)
    with WorkerProcess("detector", settings, tmp_path / "log") as worker:
        await worker.ready()
        await drained(settings, "detector", [f"events.{t}" for t in ("incidents", "hits")])
        await drained(settings, "detector", ["events.attacks"])
        await asyncio.sleep(1)
        metrics = await worker.metrics()
        assert worker.stop() == 0
    found = {
        int(dict(one.headers)["x-original-offset"]): one
        for one in await dead_letters(settings, "events.incidents.dlq")
    }
    assert found.keys() == {0, 1, 2}
    assert found[1].value == b"["
    for offset, size in ((0, 300_000), (2, 5000)):
        assert dict(found[offset].headers)["x-original-size"] == str(size).encode()
        assert len(found[offset].value) < 1000
    assert await dead_letters(settings, "events.hits.dlq") == []
    lost = 'stream_app_lost_dead_letters_total{topic="events.hits"}'
    counted = 'stream_app_dead_letters_total{reason="undecodable",topic="events.hits"}'
    assert (metrics[lost], metrics[counted]) == (3, 3)
    whole = await dead_letters(settings, "events.attacks.dlq")
    assert sorted(len(one.value) for one in whole if one.value.startswith(b".")) == [900] * 100
    skipped = WorkerProcess.command(settings, "dlq", "redrive", "events.incidents")
    assert "1 redriven, 2 skipped" in skipped.stderr
    assert "cut short" in skipped.stdout


async def test_a_delivery_that_its_topic_refuses_is_a_dead_letter_for_its_integration(
    bench: Bench,
) -> None:
    await limit(bench.settings, "deliveries", 1200)
    worker = await bench.worker().ready()
    large = msgspec.structs.replace(alert(), client_name="A" * 2000)
    await bench.fire(large, alert(1_767_225_900))
    await eventually(lambda: len(bench.sandbox.alerts) == 1)
    await bench.drained()
    (letter,) = await dead_letters(bench.settings, "alerts.dlq")
    headers = dict(letter.headers)
    assert letter.value == encode_alert(large)
    assert headers["x-error-reason"] == b"too_large"
    assert headers["x-integration-ids"] == b"521"
    counted = 'stream_app_dead_letters_total{reason="too_large",topic="alerts"}'
    assert (await worker.metrics())[counted] == 1


async def test_a_notifier_cuts_the_dead_letters_of_alerts_and_of_deliveries(bench: Bench) -> None:
    settings = bench.settings
    for topic in ("alerts.dlq", "deliveries.dlq"):
        await limit(settings, topic, 700)
    worker = bench.worker()
    await worker.ready()
    bench.fail(503, 17)
    await bench.fire(alert(integrations=(521, 777)))
    await bench.put("alerts", (b"1111", b"{" * 2000))
    await eventually(lambda: len(bench.sandbox.requests) == 17)
    await bench.drained()
    sizes = {}
    for topic in ("alerts.dlq", "deliveries.dlq"):
        for one in await dead_letters(settings, topic):
            headers = dict(one.headers)
            sizes[headers["x-error-reason"]] = (len(one.value), int(headers["x-original-size"]))
    assert sizes.keys() == {b"undecodable", b"unknown_integration", b"exhausted"}
    assert all(kept < size for kept, size in sizes.values())
    assert (await worker.page("/readyz"))[0] == 200
