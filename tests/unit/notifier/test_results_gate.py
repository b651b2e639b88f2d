from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from stream_app.notifier import results_gate as module
from stream_app.notifier.results_gate import ResultsGate


class FakeApp:
    """Answers what the gate asks the consumer of its app."""

    def __init__(self) -> None:
        self.consumer = self
        self.ends = {0: 10, 1: 0}
        self.starts = {0: 0, 1: 0}
        self.done = {0: 0, 1: 0}
        self.is_broker_away = False
        self.tasks: list[asyncio.Future[Any]] = []

    async def highwaters(self, *tps: TP) -> Mapping[TP, int]:
        if self.is_broker_away:
            raise KafkaConnectionError
        return {tp: self.ends[tp.partition] for tp in tps}

    async def earliest_offsets(self, *tps: TP) -> Mapping[TP, int]:
        return {tp: self.starts[tp.partition] for tp in tps}

    def done_to(self, tp: TP) -> int:
        return self.done[tp.partition]

    def add_future(self, coro: Any) -> asyncio.Future[Any]:
        self.tasks.append(asyncio.ensure_future(coro))
        return self.tasks[-1]


@pytest.fixture
async def app(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeApp]:
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.01)
    app = FakeApp()
    yield app
    for task in app.tasks:
        task.cancel()
    await asyncio.gather(*app.tasks, return_exceptions=True)


def results_gate(app: FakeApp) -> ResultsGate:
    return ResultsGate(app, "delivery-results")


async def test_the_gate_opens_when_earlier_results_are_read(app: FakeApp) -> None:
    gate = results_gate(app)
    gate.close([0, 1], lambda: False)
    assert not gate.is_open(1, -1), "nothing is known yet"
    await asyncio.sleep(0.03)
    assert gate.is_open(1, -1), "there are none"
    assert not gate.is_open(0, 8)
    assert gate.is_open(0, 9)
    app.ends[0] = 20
    await asyncio.sleep(0.03)
    assert gate.is_open(0, 9), "later results are of attempts that were made after"


async def test_results_that_the_topic_has_dropped_are_not_waited_for(app: FakeApp) -> None:
    gate = results_gate(app)
    gate.close([0], lambda: False)
    await asyncio.sleep(0.03)
    assert not gate.is_open(0, 3)
    app.starts[0] = 10
    await asyncio.sleep(0.03)
    assert gate.is_open(0, 3)


async def test_the_gate_stays_closed_while_the_broker_is_away(app: FakeApp) -> None:
    app.is_broker_away = True
    gate = results_gate(app)
    gate.close([1], lambda: True)
    await asyncio.sleep(0.05)
    assert not gate.is_open(1, -1)
    app.is_broker_away = False
    await asyncio.sleep(0.03)
    assert gate.is_open(1, -1)


async def test_it_tries_to_open_until_nothing_is_held(app: FakeApp) -> None:
    looks = iter([False, False, True])
    gate = results_gate(app)
    gate.close([0], lambda: next(looks))
    await asyncio.wait_for(app.tasks[0], 2)
    assert next(looks, None) is None


async def test_closing_again_ends_the_earlier_watch(app: FakeApp) -> None:
    gate = results_gate(app)
    gate.close([0], lambda: False)
    gate.close([], lambda: False)
    await asyncio.sleep(0.03)
    assert app.tasks[0].cancelled()
    assert not gate.is_open(0, 100)


async def test_the_gate_opens_before_the_end_of_a_transaction_which_is_no_result(
    app: FakeApp,
) -> None:
    gate = results_gate(app)
    gate.close([0], lambda: False)
    await asyncio.sleep(0.03)
    assert not gate.is_open(0, 7)
    app.done[0] = 10
    assert gate.is_open(0, 7)
