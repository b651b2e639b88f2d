"""Is this worker still the owner of its partitions?

A worker that was stopped (by a debugger, a long pause of the machine) and wakes up may have lost
its partitions without knowing. So before each write it checks that its assignment is current
and that the broker has accepted a heartbeat lately.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from stream_app.logs import get_logger

log = get_logger(__name__)

POLL_SECONDS = 0.05


class Membership(Protocol):
    """What the consumer knows of this worker's place in the consumer group."""

    @property
    def group_generation(self) -> int:
        """The generation that the group coordinator has this worker in; -1 when in none."""

    @property
    def heartbeat_age_seconds(self) -> float:
        """How long ago the broker accepted the last heartbeat; 0 before this worker joined."""


class Assignment(Protocol):
    """What the worker's app knows of its newest assignment."""

    is_stopping: bool
    #: Whether another assignment is being made.
    rebalancing: bool
    #: The generation of the newest assignment.
    consumer_generation_id: int

    @property
    def consumer(self) -> Membership:
        """The consumer, a member of the group."""

    def fail(self, error: BaseException) -> None:
        """End the process with `error`."""


class Ownership:
    """Tells whether a generation of the consumer group still stands."""

    def __init__(self, assignment: Assignment, session_timeout_seconds: float) -> None:
        self._assignment = assignment
        #: A heartbeat older than this may hide that the group has gone on without us.
        self._max_age_seconds = session_timeout_seconds / 2

    @property
    def generation(self) -> int:
        """Return the generation of the newest assignment that this worker knows."""
        return self._assignment.consumer_generation_id

    def is_current(self, generation: int) -> bool:
        """Tell whether to take up new work of an assignment: it stands, and no other is coming."""
        newest = self._assignment
        return not (newest.rebalancing or newest.is_stopping) and self._holds(generation)

    def _holds(self, generation: int) -> bool:
        """Tell whether the group still counts on the assignment of `generation`.

        It does while another assignment is being made: the group waits until this worker has
        let go of its partitions, so that it can finish what is in flight.
        """
        newest = self._assignment
        return newest.consumer_generation_id == newest.consumer.group_generation == generation

    async def confirm(self, generation: int) -> bool:
        """Wait for a fresh heartbeat; return whether a write of `generation` may be made.

        While the broker is away this waits: nothing is written, and nothing is given up.
        """
        while self._holds(generation):
            if self._assignment.consumer.heartbeat_age_seconds < self._max_age_seconds:
                return True
            await asyncio.sleep(POLL_SECONDS)
        return False

    def give_up(self, error: BaseException) -> None:
        """End the process with nothing acknowledged; the next owner replays.

        An error of the broker, the producer or a table must never be ignored: Faust would
        acknowledge the records that it happened on.
        """
        log.error("agent_failed", error=str(error) or type(error).__name__, exc_info=error)
        self._assignment.fail(error)


def run_beside(
    ownership: Ownership, work: Coroutine[Any, Any, None], name: str | None = None
) -> asyncio.Task[None]:
    """Run a task beside the agents; its error ends the process, or nobody would notice it."""

    def end(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            ownership.give_up(error)

    task = asyncio.create_task(work, name=name)
    task.add_done_callback(end)
    return task
