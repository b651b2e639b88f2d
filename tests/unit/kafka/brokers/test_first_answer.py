"""Asking several until one answers."""

from __future__ import annotations

import asyncio

import pytest

from stream_app.kafka.brokers.first_answer import NoAnswerError, first_answer


class Ways:
    """What is asked: those that answer, that fail, and that are silent."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.thawed = asyncio.Event()

    async def answer(self) -> str:
        self.asked.append("answer")
        return "yes"

    async def fail(self) -> str:
        self.asked.append("fail")
        raise OSError("refused")

    async def silence(self) -> str:
        self.asked.append("silence")
        await self.thawed.wait()
        return "late"


async def test_the_first_answer_is_enough() -> None:
    ways = Ways()
    assert await first_answer({1: ways.answer, 2: ways.fail}, 5) == "yes"
    assert ways.asked == ["answer"]


async def test_the_next_one_is_asked_after_a_failure_or_a_silence() -> None:
    ways = Ways()
    assert await first_answer({1: ways.fail, 2: ways.silence, 3: ways.answer}, 60) == "yes"
    assert ways.asked == ["fail", "silence", "answer"]


async def test_a_silent_one_may_still_answer_first() -> None:
    ways = Ways()

    async def thaw() -> str:
        ways.thawed.set()
        await asyncio.Event().wait()
        return "never"

    assert await first_answer({1: ways.silence, 2: thaw}, 60) == "late"


async def test_an_answer_that_comes_too_late_is_handed_back() -> None:
    unused: asyncio.Queue[str] = asyncio.Queue()

    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "too late"
        return "never"

    assert await first_answer({1: stubborn, 2: Ways().answer}, 60, unused.put_nowait) == "yes"
    assert await unused.get() == "too late"


async def test_it_is_said_what_happened_with_each() -> None:
    ways = Ways()
    with pytest.raises(NoAnswerError) as caught:
        await first_answer({"a": ways.fail, "b": ways.silence}, 0.1)
    assert str(caught.value.problems["a"]) == "refused"
    assert caught.value.problems["b"] is None


async def test_nobody_to_ask_is_no_answer() -> None:
    with pytest.raises(NoAnswerError):
        await first_answer({}, 1)
