"""Refusals by brokers and token endpoints: the driver's error, and the newest of each place."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from aiokafka.errors import KafkaError

#: Connections are tried again many times in this time. A place that is not tried is not needed.
FORGET_SECONDS = 30.0


class SignInRefusedError(KafkaError):
    """No connection can be made, because one side refuses the other; the text names the setting.

    Args:
        text: a whole line for a person.
        may_pass: whether waiting may help, as it does when a token endpoint is away.
    """

    retriable = False

    def __init__(self, text: str, *, may_pass: bool = False) -> None:
        super().__init__(text)
        self.may_pass = may_pass

    def __str__(self) -> str:
        """Return the line alone; aiokafka would put the class before it."""
        return str(self.args[0])


class Refusals:
    """The refusals of this process's connections, from all of its threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._found: dict[str, tuple[float, SignInRefusedError]] = {}
        self._listeners: set[Callable[[SignInRefusedError], None]] = set()

    def note(self, place: str, error: SignInRefusedError) -> None:
        """Note that no connection to `place` can be made, and why."""
        self._found[place] = (self._clock(), error)
        for listener in tuple(self._listeners):
            listener(error)

    def clear(self, place: str) -> None:
        """Note that there is a connection to `place`."""
        self._found.pop(place, None)

    def current(self) -> dict[str, SignInRefusedError]:
        """Return the refusals by place, newest first, without places that are not needed."""
        now = self._clock()
        found = sorted(self._found.copy().items(), key=lambda item: -item[1][0])
        return {place: error for place, (at, error) in found if now - at < FORGET_SECONDS}

    def newest(self) -> SignInRefusedError | None:
        """Return the newest refusal, if there is one."""
        return next(iter(self.current().values()), None)

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """End the block in the running task as soon as a connection is refused.

        The driver would try it again until the block's time is over.

        Raises:
            SignInRefusedError: one is refused.
        """
        ending = _Ending(asyncio.current_task(), asyncio.get_running_loop())
        self._listeners.add(ending.note)
        try:
            yield
        except (asyncio.CancelledError, Exception) as error:
            ended = ending.end()
            # Whatever the driver turned its cancellation into. Somebody else's stays one.
            if ended is None or (isinstance(error, asyncio.CancelledError) and ending.is_ended):
                raise
            raise ended from None
        finally:
            ending.end()
            self._listeners.discard(ending.note)


class _Ending:
    """Cancels a task at a refusal."""

    def __init__(self, task: asyncio.Task[Any] | None, loop: asyncio.AbstractEventLoop) -> None:
        self._task = task
        self._loop = loop
        self._cancelled_before = 0 if task is None else task.cancelling()
        self._is_cancelled = False
        self._is_over = False
        self._error: SignInRefusedError | None = None

    def note(self, error: SignInRefusedError) -> None:
        """Take a refusal, from any thread."""
        if self._error is None:
            self._error = error
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None and not self._is_over:
            self._is_cancelled = True
            self._task.cancel()

    def end(self) -> SignInRefusedError | None:
        """Take the cancellation back; return the refusal if it has cancelled the task."""
        self._is_over = True
        if not self._is_cancelled or self._task is None:
            return None
        self._is_cancelled = False
        self._task.uncancel()
        return self._error

    @property
    def is_ended(self) -> bool:
        """Whether somebody else wants the task to end, too."""
        return self._task is not None and self._task.cancelling() > self._cancelled_before


#: Of this process: its clients do not know each other.
REFUSALS = Refusals()
