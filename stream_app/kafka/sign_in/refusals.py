"""Refusals by brokers and token endpoints: the driver's error, and the newest of each place."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

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

    @contextlib.asynccontextmanager
    async def ending(self) -> AsyncIterator[None]:
        """End the block as soon as a connection is refused.

        The driver would try it again until the block's time is over.

        Raises:
            SignInRefusedError: one is refused.
        """
        loop, block = asyncio.get_running_loop(), asyncio.timeout(None)
        found: list[SignInRefusedError] = []

        def end() -> None:
            with contextlib.suppress(RuntimeError):  # the block ends already
                block.reschedule(loop.time())

        def note(error: SignInRefusedError) -> None:
            found.append(error)
            loop.call_soon_threadsafe(end)

        self._listeners.add(note)
        try:
            async with block:
                yield
        except Exception:
            # Whatever the driver turned its cancellation into. Somebody else's stays one.
            if block.expired():
                raise found[0] from None
            raise
        finally:
            self._listeners.discard(note)


#: Of this process: its clients do not know each other.
REFUSALS = Refusals()
