"""Long work on the event loop, in steps between which others have their turn.

A record of a few kilobytes may unfold to work of seconds. Meanwhile `/livez` must answer, and so
must the group's coordinator.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any

#: How long the loop is kept before others have their turn. A step may end so much later as it
#: takes itself: a hundredth of a second or two.
HOLD_SECONDS = 0.01


class Breath:
    """Gives others their turn when it is time; call it after each step."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    async def __call__(self) -> None:
        """Let others have their turn, unless they had it a moment ago."""
        if time.monotonic() - self._since > HOLD_SECONDS:
            await asyncio.sleep(0)
            self._since = time.monotonic()


class InSteps:
    """A stage that takes batches in steps."""

    def steps(self, topic: str, partition: int, records: Sequence[Any]) -> Iterator[None]:
        """Take the records of one batch; yield after each step."""
        raise NotImplementedError

    def add(self, topic: str, partition: int, records: Sequence[Any]) -> None:
        """Take the records of one batch at once, where nobody waits."""
        for _ in self.steps(topic, partition, records):
            pass
