"""Asking several until one answers: the next one is asked, too, once the one before is silent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

Name = TypeVar("Name")
Found = TypeVar("Found")

#: After this time without an answer the next one is asked, too.
NEXT_SECONDS = 0.5


class NoAnswerError(Exception, Generic[Name]):
    """None has answered; `problems` has the error of each, None for one that was silent."""

    def __init__(self, problems: Mapping[Name, BaseException | None]) -> None:
        self.problems = problems
        super().__init__(problems)


async def first_answer(
    ways: Mapping[Name, Callable[[], Awaitable[Found]]],
    seconds: float,
    unused: Callable[[Found], None] = lambda _: None,
) -> Found:
    """Return the first answer.

    Args:
        ways: how to ask each, in the order in which they are tried.
        seconds: the longest time for all together.
        unused: called with an answer that came too late.

    Raises:
        NoAnswerError: none answers in time.
    """
    problems: dict[Name, BaseException | None] = dict.fromkeys(ways)
    asked: dict[asyncio.Future[Found], Name] = {}
    remaining = list(ways)
    try:
        async with asyncio.timeout(seconds):
            while remaining or asked:
                if remaining:
                    name = remaining.pop(0)
                    asked[asyncio.ensure_future(ways[name]())] = name
                done, _ = await asyncio.wait(
                    asked,
                    timeout=NEXT_SECONDS if remaining else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in done:
                    name = asked.pop(task)
                    if task.exception() is None:
                        return task.result()
                    problems[name] = task.exception()
    except TimeoutError:
        pass
    finally:
        _drop(asked, unused)
    raise NoAnswerError(problems)


def _drop(asked: Iterable[asyncio.Future[Any]], unused: Callable[[Any], None]) -> None:
    """End the tasks that are not needed any more.

    This waits for none of them: a cancellation here would lose the answer that is needed.
    """

    def ended(task: asyncio.Future[Any]) -> None:
        if not task.cancelled() and task.exception() is None:
            unused(task.result())

    for task in asked:
        task.add_done_callback(ended)
        task.cancel()
