"""What is kept of the refusals of brokers, and how they end what waits for a broker."""

from __future__ import annotations

import asyncio

import pytest

from stream_app.kafka.sign_in.refusals import FORGET_SECONDS, Refusals, SignInRefusedError


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def refused(text: str) -> SignInRefusedError:
    return SignInRefusedError(text)


def test_the_newest_refusal_counts_until_its_broker_accepts() -> None:
    clock = Clock()
    refusals = Refusals(clock)
    assert refusals.newest() is None
    refusals.note("a:1", refused("first"))
    clock.now += 1
    refusals.note("b:1", refused("second"))
    assert str(refusals.newest()) == "second"
    refusals.clear("b:1")
    assert str(refusals.newest()) == "first"
    refusals.clear("a:1")
    assert refusals.newest() is None


def test_a_broker_that_nobody_tries_any_more_is_forgotten() -> None:
    clock = Clock()
    refusals = Refusals(clock)
    refusals.note("a:1", refused("gone"))
    clock.now += FORGET_SECONDS
    assert refusals.newest() is None


async def test_a_refusal_ends_what_waits() -> None:
    refusals = Refusals()
    loop = asyncio.get_running_loop()
    loop.call_later(0.01, refusals.note, "a:1", refused("no entry"))
    with pytest.raises(SignInRefusedError, match="no entry"):
        async with refusals.ending():
            await asyncio.Event().wait()
    # The task itself is not cancelled.
    await asyncio.sleep(0)


async def test_a_refusal_in_a_thread_ends_what_waits_in_nested_blocks() -> None:
    refusals = Refusals()
    noting = asyncio.create_task(asyncio.to_thread(refusals.note, "a:1", refused("no entry")))
    with pytest.raises(SignInRefusedError):
        async with refusals.ending(), refusals.ending():
            await asyncio.Event().wait()
    await noting
    await asyncio.sleep(0)


async def test_a_refusal_at_the_end_of_a_block_cancels_nothing_after_it() -> None:
    refusals = Refusals()
    async with refusals.ending():
        refusals.note("a:1", refused("too late"))
    await asyncio.sleep(0.01)


async def test_a_cancellation_by_others_stays_one() -> None:
    refusals = Refusals()

    async def wait() -> None:
        async with refusals.ending():
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_the_driver_makes_of_its_cancellation_does_not_matter() -> None:
    refusals = Refusals()
    asyncio.get_running_loop().call_later(0.01, refusals.note, "a:1", refused("no entry"))

    async def fail_while_cleaning_up() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("the connection is gone")

    with pytest.raises(SignInRefusedError, match="no entry"):
        async with refusals.ending():
            await fail_while_cleaning_up()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_cancellation_by_others_at_the_same_time_stays_one() -> None:
    refusals = Refusals()

    async def wait() -> None:
        async with refusals.ending():
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    refusals.note("a:1", refused("no entry"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
