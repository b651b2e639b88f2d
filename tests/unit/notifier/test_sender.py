"""The sender with a clock of the test's; a broker and a service are not needed for its rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stream_app.domain.deliveries import DeliveryState, DeliveryStatus, Result
from stream_app.kafka.ownership import Ownership
from stream_app.notifier.sender import Sender
from stream_app.settings import DeliverySettings

NOW_MS = 1_767_225_600_000
SESSION_SECONDS = 10.0


def pending(
    number: int = 1, attempt: int = 1, due_ms: int = NOW_MS, to: int = 521
) -> DeliveryState:
    return DeliveryState(
        f"alert {number}/{to}", DeliveryStatus.PENDING, 1111, to, attempt, NOW_MS, due_ms=due_ms
    )


class Bench:
    """A sender whose attempts end when the test says so."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS
        self.consumer = SimpleNamespace(heartbeat_age_seconds=0.0, group_generation=1)
        self.failures: list[BaseException] = []
        self.app = SimpleNamespace(
            rebalancing=False,
            consumer_generation_id=1,
            consumer=self.consumer,
            should_stop=False,
            is_stopping=False,
            fail=self.failures.append,
        )
        self.made: list[DeliveryState] = []
        self.written: list[tuple[int, str, int]] = []
        self.write_error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.closed = False
        self.sender = self.build()

    def build(self, stop_seconds: float = 5.0) -> Sender:
        return Sender(
            client=cast("AbstractAsyncContextManager[Any]", nullcontext()),
            make_attempt=self._make,
            write_result=self._write,
            ownership=Ownership(self.app, SESSION_SECONDS),
            settings=DeliverySettings(max_in_flight=3, max_in_flight_per_integration=2),
            stop_seconds=stop_seconds,
            now_ms=lambda: self.now_ms,
        )

    async def _make(self, state: DeliveryState) -> Result:
        self.made.append(state)
        await self.gate.wait()
        return Result(
            state.id, 1111, state.integration_id, "opsgenie", state.attempt, True, "accepted",
            "", self.now_ms, 0.0,
        )  # fmt: skip

    async def _write(self, partition: int, result: Result) -> None:
        if self.write_error is not None:
            raise self.write_error
        self.written.append((partition, result.delivery_id, result.attempt))

    def attempts(self) -> list[tuple[str, int]]:
        return [(state.id, state.attempt) for state in self.made]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    await bench.sender.start()
    bench.sender.clear()
    yield bench
    bench.gate.set()
    await bench.sender.stop()


async def eventually(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not claim():  # noqa: ASYNC110 - the claim is about the sender, which has no event
            await asyncio.sleep(0.005)


async def settle() -> None:
    """Let everything run that can."""
    await asyncio.sleep(0.12)


async def test_a_due_delivery_is_attempted_once_and_its_result_goes_to_its_partition(
    bench: Bench,
) -> None:
    bench.sender.schedule(3, pending())
    await eventually(lambda: bool(bench.written))
    await settle()
    assert bench.written == [(3, "alert 1/521", 1)]
    assert len(bench.made) == 1


async def test_nothing_is_attempted_before_it_is_due(bench: Bench) -> None:
    bench.sender.schedule(0, pending(attempt=2, due_ms=NOW_MS + 1000))
    await settle()
    assert bench.made == []
    bench.now_ms += 1000
    await eventually(lambda: bench.attempts() == [("alert 1/521", 2)])


async def test_a_first_attempt_does_not_wait_for_another_machines_clock(bench: Bench) -> None:
    bench.sender.schedule(0, pending(due_ms=NOW_MS + 3_600_000))
    await eventually(lambda: len(bench.made) == 1)


async def test_a_busy_integration_does_not_hold_others_back(bench: Bench) -> None:
    bench.gate.clear()
    for number in range(100):
        bench.sender.schedule(0, pending(number, to=1))
    bench.sender.schedule(0, pending(to=2))
    await eventually(lambda: len(bench.made) == 3)
    await settle()
    assert sorted(state.integration_id for state in bench.made) == [1, 1, 2]


async def test_no_second_attempt_while_one_is_in_flight(bench: Bench) -> None:
    bench.gate.clear()
    bench.sender.schedule(0, pending())
    await eventually(lambda: len(bench.made) == 1)
    # A rebalance: the state still says that this attempt is due.
    bench.sender.clear()
    bench.sender.schedule(0, pending())
    await settle()
    assert len(bench.made) == 1
    bench.gate.set()
    await eventually(lambda: len(bench.written) == 1)
    await settle()
    assert len(bench.made) == 1, "its result is written, and says what is next"
    bench.sender.schedule(0, pending(attempt=2))
    await eventually(lambda: len(bench.written) == 2)


async def test_what_is_forgotten_is_not_attempted(bench: Bench) -> None:
    bench.sender.schedule(0, pending(attempt=2, due_ms=NOW_MS + 100))
    bench.sender.forget("alert 1/521")
    bench.now_ms += 100
    await asyncio.sleep(0.6)
    assert bench.made == []


async def test_a_rebalance_stops_sending_until_the_state_is_read_again(bench: Bench) -> None:
    bench.app.rebalancing = True
    bench.sender.schedule(0, pending(1))
    await settle()
    assert bench.made == []
    bench.app.consumer_generation_id = bench.consumer.group_generation = 2
    bench.sender.clear()
    bench.sender.schedule(0, pending(2))
    bench.app.rebalancing = False
    await eventually(lambda: bool(bench.written))
    await settle()
    assert [state.id for state in bench.made] == ["alert 2/521"]


async def test_a_new_generation_alone_stops_sending(bench: Bench) -> None:
    bench.app.consumer_generation_id = 2
    bench.sender.schedule(0, pending())
    await settle()
    assert bench.made == []


async def test_no_request_is_made_without_a_fresh_heartbeat(bench: Bench) -> None:
    bench.consumer.heartbeat_age_seconds = SESSION_SECONDS
    bench.sender.schedule(0, pending())
    await settle()
    assert bench.made == []
    bench.consumer.heartbeat_age_seconds = 0.0
    await eventually(lambda: len(bench.written) == 1)


async def test_an_attempt_that_lost_its_partition_while_waiting_is_not_made(bench: Bench) -> None:
    bench.consumer.heartbeat_age_seconds = SESSION_SECONDS
    bench.sender.schedule(0, pending())
    await settle()
    bench.app.consumer_generation_id = bench.consumer.group_generation = 2
    bench.consumer.heartbeat_age_seconds = 0.0
    bench.sender.clear()
    await settle()
    assert bench.made == []
    bench.sender.schedule(0, pending())
    await eventually(lambda: len(bench.written) == 1)


async def test_an_attempt_that_waited_into_a_rebalance_is_not_made(bench: Bench) -> None:
    bench.consumer.heartbeat_age_seconds = SESSION_SECONDS
    bench.sender.schedule(0, pending())
    await settle()
    bench.app.rebalancing = True
    bench.consumer.heartbeat_age_seconds = 0.0
    await settle()
    assert bench.made == []


async def test_an_attempt_made_before_a_rebalance_still_writes_its_result(bench: Bench) -> None:
    bench.gate.clear()
    bench.sender.schedule(0, pending())
    await eventually(lambda: len(bench.made) == 1)
    bench.app.rebalancing = True
    bench.gate.set()
    await eventually(lambda: len(bench.written) == 1)


async def test_a_result_that_cannot_be_written_ends_the_worker(bench: Bench) -> None:
    bench.write_error = OSError("no broker")
    bench.sender.schedule(0, pending())
    await eventually(lambda: bool(bench.failures))
    assert isinstance(bench.failures[0], OSError)


async def test_stop_lets_requests_in_flight_end_and_begins_no_more() -> None:
    bench = Bench()
    bench.gate.clear()
    await bench.sender.start()
    bench.sender.clear()
    for number in range(3):
        bench.sender.schedule(0, pending(number))
    await eventually(lambda: len(bench.made) == 2)
    stopping = asyncio.create_task(bench.sender.stop())
    await settle()
    assert not stopping.done()
    bench.gate.set()
    await stopping
    assert len(bench.written) == 2
    assert len(bench.made) == 2


async def test_stop_cuts_off_what_does_not_end_in_time() -> None:
    bench = Bench()
    sender = bench.build(stop_seconds=0.1)
    bench.gate.clear()
    await sender.start()
    sender.clear()
    sender.schedule(0, pending())
    await eventually(lambda: len(bench.made) == 1)
    await asyncio.wait_for(sender.stop(), 2)
    assert bench.written == []
    assert bench.failures == []


async def test_stop_before_start_does_nothing() -> None:
    await Bench().sender.stop()
