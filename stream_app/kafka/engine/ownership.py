"""Is this worker still the owner of its partitions?

A worker that was stopped (by a debugger, a long pause of the machine) and wakes up may have lost
its partitions without knowing. So before each write it checks that its assignment is current
and that the broker accepted a heartbeat lately.
"""

from __future__ import annotations

import asyncio
from typing import Any

from stream_app.logs import get_logger

log = get_logger(__name__)

POLL_SECONDS = 0.05


class Ownership:
    """Tells whether a generation of the consumer group still stands."""

    def __init__(self, app: Any, session_timeout_seconds: float) -> None:
        self._app = app
        #: A heartbeat older than this may hide that the group has gone on without us.
        self._max_age_seconds = session_timeout_seconds / 2

    @property
    def generation(self) -> int:
        """Return the generation of the newest assignment that this worker knows."""
        generation: int = self._app.consumer_generation_id
        return generation

    def is_current(self, generation: int) -> bool:
        """Tell whether to take up new work of an assignment: it stands, and no other is coming."""
        return not (self._app.rebalancing or self._app.is_stopping) and self._holds(generation)

    def _holds(self, generation: int) -> bool:
        """Tell whether the group still counts on the assignment of `generation`.

        While another assignment is being made it does: the group waits until this worker has
        let go of its partitions, so that it can finish what is in flight.
        """
        app = self._app
        return bool(
            app.consumer_generation_id == generation and app.consumer.group_generation == generation
        )

    async def confirm(self, generation: int) -> bool:
        """Wait for a fresh heartbeat; return whether a write of `generation` may be made.

        While the broker is away this waits: nothing is written, and nothing is given up.
        """
        while self._holds(generation):
            if self._app.consumer.heartbeat_age_seconds < self._max_age_seconds:
                return True
            await asyncio.sleep(POLL_SECONDS)
        return False

    def give_up(self, error: BaseException) -> None:
        """End the process with nothing acknowledged; the next owner replays.

        An error of the broker, the producer or a table must never be passed over: Faust would
        acknowledge the records it happened on.
        """
        log.error("agent_failed", error=str(error) or type(error).__name__, exc_info=error)
        self._app.fail(error)
