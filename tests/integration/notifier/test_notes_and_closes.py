"""Notes and closes of an episode, killed while they wait and while they are resent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stream_app.domain.alerts.alert import Alert
from stream_app.domain.delivery.records import (
    Delivery,
    ServiceAction,
    Skipped,
    close_of,
    decode_delivery,
    decode_result,
    encode_delivery,
)
from stream_app.domain.episodes.open_alert import OpenAlert
from stream_app.domain.formats import format_headers
from stream_app.domain.topics import Topic
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind, Operation
from stream_app.opsgenie.sandbox.state import RequestView
from stream_app.settings import Settings
from tests.integration.harness import PATIENCE_SECONDS, WorkerProcess, put, put_objects
from tests.integration.notifier.test_notifier import Bench, alert, eventually, integration

START = 1_767_225_600
OPTIONS = {"deduplicate": "episode", "repeat_seconds": 60, "close_after_seconds": 300}
#: All cycles take a minute of waits, so that nothing is given up while a worker starts.
SCALE = {"STREAM_APP_DELIVERY__RETRY_SCALE": "0.02"}


class EpisodeBench(Bench):
    """An integration that folds an attack into one alert, and closes it."""

    async def start(self) -> None:
        await super().start()
        await put_objects(
            self.settings, "config.integrations", [integration(521, self.url, alert=OPTIONS)]
        )

    async def told(self) -> dict[int, tuple[int, Delivery]]:
        """Return the deliveries of windows and their offsets, by the start of the window."""
        found = {}
        for record in await self.records("deliveries"):
            delivery = decode_delivery(record.value)
            if delivery.action is ServiceAction.CREATE and delivery.episode is not None:
                found[delivery.episode.window_start - START] = record.offset, delivery
        return found

    async def close(self, window: int) -> Delivery:
        """Write the close of the alert as it is after a window, as the silence check does."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while window not in (told := await self.told()):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        offset, delivery = told[window]
        assert delivery.episode is not None
        alias, end = delivery.episode.alias, delivery.episode.window_end
        known = OpenAlert(
            *(alias, 1111, 61, delivery.episode.revision, 521, START, end, 0, 300),
            alert_id=delivery.alert_id,
            created_offset=offset,
        )
        close = close_of(known)
        await put(
            self.bootstrap,
            f"{self.settings.topic_prefix}deliveries",
            [(b"521", encode_delivery(close))],
            headers=list(format_headers(Topic.DELIVERIES, is_newest=True)),
        )
        return close

    def asked(self, what: str) -> list[RequestView]:
        """Return the requests of one kind: `alerts`, `notes` or `close`."""
        found = [request for request in self.sandbox.requests if request.method == "POST"]
        return [request for request in found if request.path.rpartition("/")[2] == what]

    def fail_on(self, *operations: Operation) -> int:
        return self.sandbox.fail(Fault(kind=FaultKind.STATUS, status=500, on=operations)).id

    def show(self, of: Alert) -> dict[str, Any]:
        done = WorkerProcess.command(self.settings, "alerts", "show", of.id, "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture
async def bench(settings: Settings, tmp_path: Path) -> AsyncIterator[EpisodeBench]:
    bench = EpisodeBench(settings, tmp_path / "worker")
    await bench.start()
    yield bench
    await bench.stop()


def states(shown: dict[str, Any]) -> list[tuple[str, str]]:
    return [(delivery["action"], delivery["state"]) for delivery in shown["deliveries"]]


async def opened_again(bench: EpisodeBench, worker: WorkerProcess) -> None:
    """Let a window open the alert again, and one more while its close is resent."""
    close_fault = bench.fail_on(Operation.CLOSE)
    await bench.fire(alert(START + 120))
    superseded = await bench.close(120)
    resent = len(bench.asked("close"))
    await eventually(lambda: len(bench.asked("close")) > resent + 1)
    await bench.fire(alert(START + 180))
    final = await bench.close(180)
    await eventually(lambda: "delivery_skipped" in worker.text)
    bench.sandbox.heal(close_fault)
    await eventually(lambda: [one.status for one in bench.sandbox.alerts] == ["closed"] * 2)
    await bench.drained()
    results = [decode_result(record.value) for record in await bench.records("delivery-results")]
    skipped = [one for one in results if isinstance(one, Skipped)]
    assert [(one.delivery_id, one.reason) for one in skipped] == [(superseded.id, "superseded")]
    assert final.id != superseded.id
    assert bench.sandbox.alerts[1].requests == 2


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_what_waits_and_what_is_resent_survives_kills_in_its_order(
    bench: EpisodeBench,
) -> None:
    first, folded, repeat = (alert(START + at) for at in (0, 30, 60))
    worker = await bench.worker(**SCALE).ready()
    await bench.fire(first)
    await eventually(lambda: len(bench.sandbox.alerts) == 1)
    create_fault = bench.fail_on(Operation.CREATE)
    await bench.fire(folded, repeat)
    close = await bench.close(60)
    await eventually(lambda: len(bench.asked("alerts")) >= 3)
    shown = bench.show(repeat)
    assert states(shown) == [("create", "pending"), ("note", "waiting"), ("close", "waiting")]
    metrics = await worker.metrics()
    assert metrics["stream_app_pending_deliveries"] == 1
    worker.kill()  # a waiting note and a waiting close

    again = await bench.worker(**SCALE).ready()
    failed = len(bench.asked("alerts"))
    await eventually(lambda: len(bench.asked("alerts")) > failed)
    assert bench.asked("notes") == bench.asked("close") == []
    bench.fail_on(Operation.CLOSE)
    bench.sandbox.heal(create_fault)
    await eventually(lambda: len(bench.asked("close")) >= 2)
    assert [note.status for note in bench.asked("notes")] == [202]
    assert bench.asked("alerts")[-1].status == 202
    again.kill()  # a close that is resent

    bench.sandbox.heal()
    last = await bench.worker(**SCALE).ready()
    await eventually(lambda: bench.sandbox.alerts[0].status == "closed")
    await bench.drained()
    (shown_alert,) = bench.sandbox.alerts
    note, said = (entry.text for entry in shown_alert.notes)
    assert "\n1 more window has fired" in note
    assert said == "Its trigger has not fired for 5 minutes."
    assert [request.status for request in bench.asked("close")][-1] == 202
    assert {request.alias for request in bench.asked("close")} == {close.alias}
    assert states(bench.show(repeat)) == [("create", "sent"), ("note", "sent"), ("close", "sent")]
    (fold,) = bench.show(folded)["folded"]
    assert (fold["alias"], fold["told_in"]) == (close.alias, repeat.id)
    listed = WorkerProcess.command(bench.settings, "alerts", "list").stdout
    assert "521 sent, 521 note sent, 521 close sent" in listed
    assert "521 folded" in listed

    await opened_again(bench, last)
    assert last.stop() == 0


async def test_a_close_is_sent_only_when_its_alert_is_processed(
    bench: EpisodeBench,
) -> None:
    bench.sandbox._state._processing_ms = 3_600_000
    worker = await bench.worker(STREAM_APP_DELIVERY__RETRY_SCALE="0.01").ready()
    await bench.fire(alert(START))
    await eventually(lambda: len(bench.sandbox.alerts) == 1)
    await bench.close(0)
    name = 'stream_app_delivery_attempts_total{integration_type="unknown",reason="not_processed"}'
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await worker.metrics())[name] < 3:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
    assert bench.asked("close") == []
    assert bench.sandbox.alerts[0].status == "open"
    bench.sandbox._state._processing_ms = 0
    for request_id, (_, data) in bench.sandbox._state._processed.items():
        bench.sandbox._state._processed[request_id] = 0, data
    await eventually(lambda: bench.sandbox.alerts[0].status == "closed")
    assert len(bench.asked("close")) == 1
