"""The rules of the sender, with a clock of the test's, and without a broker or a service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from stream_app.domain.delivery.records import Result
from stream_app.domain.delivery.state import DeliveryState, DeliveryStatus
from stream_app.kafka.cluster.broker_clock import BrokerClock
from stream_app.kafka.engine.ownership import Ownership
from stream_app.notifier.sender import Sender
from stream_app.setting_groups import DeliverySettings

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
        self.status, self.takes_ms = 202, 0
        self.retry_after: float | None = None
        self.reason = "accepted"
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
            clock=BrokerClock(lambda: self.now_ms, lambda: self.now_ms),
        )

    async def _make(self, state: DeliveryState) -> Result:
        self.made.append(state)
        await self.gate.wait()
        self.now_ms += self.takes_ms
        return Result(
            state.id, 1111, state.integration_id, "opsgenie", state.attempt, self.status == 202,
            self.reason, "", self.now_ms, self.takes_ms / 1000, self.status,
            retry_after_seconds=self.retry_after,
        )  # fmt: skip

    async def _write(self, partition: int, result: Result) -> None:
        if self.write_error is not None:
            raise self.write_error
        self.written.append((partition, result.delivery_id, result.attempt))

    async def show_to_be_quick(self, integration: int) -> None:
        self.sender.schedule(0, pending(999, to=integration))
        await eventually(lambda: len(self.written) == 1)
        await settle()
        self.made.clear()
        self.written.clear()

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
    async with asyncio.timeout(60):
        while not claim():  # noqa: ASYNC110 - the claim is about the sender, which has no event
            await asyncio.sleep(0.005)


async def settle() -> None:
    """Give everything that can run the time to do so."""
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
    await bench.show_to_be_quick(1)
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


async def test_a_redriven_delivery_is_sent_though_a_later_attempt_has_just_ended(
    bench: Bench,
) -> None:
    bench.gate.clear()
    bench.sender.schedule(0, pending(attempt=3))
    await eventually(lambda: len(bench.made) == 1)
    # It is cancelled, and comes back from the dead letters, while the request hangs.
    bench.sender.forget("alert 1/521")
    bench.sender.schedule(0, msgspec.structs.replace(pending(), redrives=1))
    bench.gate.set()
    await eventually(lambda: len(bench.written) == 2)
    assert bench.attempts() == [("alert 1/521", 3), ("alert 1/521", 1)]


async def test_a_forgotten_delivery_is_not_attempted(bench: Bench) -> None:
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


async def test_stop_lets_requests_in_flight_end_and_starts_no_more() -> None:
    bench = Bench()
    await bench.sender.start()
    bench.sender.clear()
    await bench.show_to_be_quick(1)
    bench.gate.clear()
    for number in range(3):
        bench.sender.schedule(0, pending(number, to=1))
    await eventually(lambda: len(bench.made) == 2)
    stopping = asyncio.create_task(bench.sender.stop())
    await settle()
    assert not stopping.done()
    bench.gate.set()
    await stopping
    assert len(bench.written) == 2
    assert len(bench.made) == 2


async def test_stop_cuts_off_a_request_that_does_not_end_in_time() -> None:
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


@pytest.mark.parametrize(("retry_after", "pause_ms"), [(7.5, 7500), (None, 60_000)])
async def test_a_429_pauses_its_integration_and_no_other(
    bench: Bench, retry_after: float | None, pause_ms: int
) -> None:
    bench.status, bench.retry_after = 429, retry_after
    bench.sender.schedule(0, pending(0, to=1))
    await eventually(lambda: len(bench.written) == 1)
    bench.sender.schedule(0, pending(1, to=1))
    bench.sender.schedule(0, pending(2, to=2))
    await eventually(lambda: len(bench.written) == 2)
    bench.now_ms += pause_ms - 1
    bench.sender.schedule(0, pending(3, to=1))
    await settle()
    assert [state.integration_id for state in bench.made] == [1, 2]
    bench.status = 202
    bench.now_ms += 1
    await eventually(lambda: len(bench.written) == 4)


async def test_an_integration_that_answers_slowly_has_one_place(bench: Bench) -> None:
    await bench.show_to_be_quick(1)
    bench.takes_ms = 2000
    bench.sender.schedule(0, pending(0, to=1))
    await eventually(lambda: len(bench.written) == 1)
    bench.gate.clear()
    for number in range(1, 4):
        bench.sender.schedule(0, pending(number, to=1))
    await settle()
    assert len(bench.made) == 2


@pytest.mark.parametrize("reason", ["local_error", "proxy_error"])
async def test_after_a_fault_of_our_own_the_same_attempt_waits_and_is_made_again(
    bench: Bench, reason: str
) -> None:
    bench.status, bench.reason = 0, reason
    again = pending(due_ms=NOW_MS + 10_000)

    async def write(partition: int, result: Result) -> None:
        bench.written.append((partition, result.delivery_id, result.attempt))
        if len(bench.written) == 1:  # as `deliver` does if it is quicker
            bench.sender.schedule(partition, again)

    bench.sender._write_result = write
    bench.sender.schedule(0, pending())
    await eventually(lambda: bool(bench.written))
    bench.sender.schedule(0, pending(2))
    await settle()
    assert bench.attempts() == [("alert 1/521", 1)], "the integration waits, too"
    bench.sender.schedule(0, pending(3, to=522))
    await eventually(lambda: ("alert 3/522", 1) in bench.attempts())
    bench.status, bench.reason = 202, "accepted"
    bench.now_ms += 10_000
    await eventually(lambda: bench.attempts().count(("alert 1/521", 1)) == 2)
