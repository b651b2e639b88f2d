"""Long work on the event loop, in steps between which other tasks have their turn.

A record of a few kilobytes may unfold into seconds of work. Meanwhile `/livez` must answer, and so
must the group's coordinator.
"""

from __future__ import annotations

import asyncio
import time

#: How long one task may hold the event loop. The step in hand still ends: 10 or 20 ms more.
SLICE_SECONDS = 0.01


class TimeSlice:
    """Yields to the event loop when a task has held it for long enough."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    async def end_step(self) -> None:
        """Yield if the slice is used up; call this after each step."""
        if time.monotonic() - self._since > SLICE_SECONDS:
            await asyncio.sleep(0)
            self._since = time.monotonic()
