"""Windows of one attack are told, noted and folded as an oracle says, whenever workers are killed.

The oracle is the rule itself, applied once to the alerts in their order. Here stands what `route`
writes; what is sent for it has tests of its own.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stream_app.domain.configuration.repeat_options import Deduplicate, RepeatOptions
from stream_app.domain.delivery.records import (
    Delivery,
    Folded,
    ServiceAction,
    decode_delivery,
    decode_result,
)
from stream_app.domain.episodes.episode import FiredWindow, Series, Told, alias_of
from stream_app.domain.episodes.episode_log import SeriesState, take_window
from stream_app.settings import Settings
from tests.integration.harness import WorkerProcess, put_objects
from tests.integration.notifier.test_notifier import Bench, alert, integration

START = 1_767_225_600
CHOSEN = {"deduplicate": "episode", "repeat_seconds": 60, "close_after_seconds": 300}
OPTIONS = RepeatOptions(Deduplicate.EPISODE, repeat_seconds=60, close_after_seconds=300)
IDS = (521, 522)


@pytest.fixture
async def bench(settings: Settings, tmp_path: Path) -> AsyncIterator[Bench]:
    """Return an installation in which integration 521 has episodes, and 522 has none."""
    bench = Bench(settings, tmp_path / "worker")
    await bench.start()
    chosen, usual = integration(521, bench.url, alert=CHOSEN), integration(522, bench.url)
    await put_objects(settings, "config.integrations", [chosen, usual])
    yield bench
    await bench.stop()


@dataclass
class Written:
    """What is written about windows, by the window: (alias, windows folded before it)."""

    creates: dict[str, tuple[str, str]] = field(default_factory=dict)
    notes: set[str] = field(default_factory=set)
    folded: dict[str, str] = field(default_factory=dict)


def expected(starts: list[int]) -> Written:
    state, found = SeriesState(), Written()
    for offset, start in enumerate(starts):
        one = alert(start, IDS)
        window = FiredWindow(one.window_start, one.window_end)
        state, decision = take_window(state, window, OPTIONS, 0, offset)
        if decision is None:
            continue
        series = Series(1111, 61, one.trigger.revision, 521)
        alias = alias_of(series, decision.episode.first_start)
        if decision.told is Told.FOLDED:
            found.folded[f"{one.id}/521"] = alias
            continue
        count = str(decision.folded) if decision.folded else ""
        found.creates[f"{one.id}/521"] = (alias, count)
        if decision.told is Told.REPEAT:
            found.notes.add(f"{one.id}:note/521")
    return found


async def written(bench: Bench) -> Written:
    """Return what is on the topics; a record that was written twice must be the same."""
    found, values = Written(), dict[str, bytes]()
    for record in await bench.records("deliveries"):
        delivery = decode_delivery(record.value)
        if delivery.integration_id != 521 or delivery.action is ServiceAction.CLOSE:
            continue
        assert values.setdefault(delivery.id, record.value) == record.value
        assert ("x-format", b"2") in record.headers
        if delivery.action is ServiceAction.NOTE:
            found.notes.add(delivery.id)
        else:
            found.creates[delivery.id] = told(delivery)
    for record in await bench.records("delivery-results"):
        result = decode_result(record.value)
        if isinstance(result, Folded):
            alias = result.episode.alias
            assert found.folded.setdefault(result.delivery_id, alias) == alias
    return found


def told(delivery: Delivery) -> tuple[str, str]:
    return delivery.alias, delivery.details.get("folded_windows", "")


def shown_as_folded(bench: Bench) -> set[str]:
    """Return the windows that `alerts list` shows as folded, by the ids of their deliveries."""
    done = WorkerProcess.command(bench.settings, "alerts", "list", "--limit", "1000", "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {f"{row['id']}/521" for row in rows if row["folded"]}


@pytest.mark.long
async def test_kills_restarts_and_a_rebalance_decide_no_window_twice_or_otherwise(
    bench: Bench,
) -> None:
    rng = random.Random(5)
    # Two minutes of windows, some of them twice, and some out of order.
    starts = [START + n for n in range(130)]
    for place in range(0, len(starts), 20):
        starts[place : place + 20] = rng.sample(
            starts[place : place + 20], 20 if place < 120 else 10
        )
    starts += rng.sample(starts, 30)
    # A pause that ends the episode, and a minute more.
    starts += [START + 1000 + n for n in range(70)]
    parts = [starts[:25], starts[25:70], starts[70:115], starts[115:190], starts[190:]]

    async def fire(part: list[int]) -> None:
        await bench.fire(*(alert(start, IDS) for start in part))

    await fire(parts.pop(0))
    for killed_at in ("folded", "series"):
        killed = await bench.worker(killed_at).ready()
        await bench.drained()
        killed.signal(signal.SIGUSR1)
        await fire(parts.pop(0))
        assert await asyncio.to_thread(killed.process.wait, 60) == -signal.SIGKILL
    first = await bench.worker().ready()
    second = bench.worker()
    await fire(parts.pop(0))
    await second.ready()
    assert first.stop() == 0
    await fire(parts.pop(0))
    await bench.drained()
    oracle = expected(starts)
    assert await written(bench) == oracle
    assert await asyncio.to_thread(shown_as_folded, bench) == oracle.folded.keys()
    plain = [
        decode_delivery(record.value)
        for record in await bench.records("deliveries")
        if record.key == b"522"
    ]
    assert {one.alias for one in plain} == {alert(start).id for start in starts}
    assert all(one.episode is None for one in plain)
