"""How far a client of aiokafka has fetched its partitions, and how far these go.

Nothing is asked for it: each answer to a fetch says it, an empty one, too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import aiokafka.consumer.subscription_state
from faust.types import TP


class Fetched(NamedTuple):
    """How far a partition is fetched, and goes.

    `position` is the offset behind the last record that aiokafka has handed out, None before it
    is known where to begin. The others are by the last fetch, None before the first one: `end` is
    the last stable offset, since records behind it may still be aborted, `log_end` the end of all
    that is there, and `at_ms` when that was.
    """

    position: int | None
    end: int | None
    log_end: int | None = None
    at_ms: int | None = None


def partition_states(consumer: Any) -> dict[TP, Any] | None:
    """Return aiokafka's states of the assigned partitions; None: there is no assignment."""
    subscription = consumer._subscription.subscription  # noqa: SLF001 - not public
    assignment = None if subscription is None else subscription.assignment
    if assignment is None:
        return None
    return {TP(*tp): assignment.state_value(tp) for tp in assignment.tps}


def fetched(consumer: Any) -> dict[TP, Fetched] | None:
    """Return how far each assigned partition is fetched; None: there is no assignment now."""
    if (states := partition_states(consumer)) is None:
        return None
    return {tp: _fetched(state) for tp, state in states.items()}


def _fetched(state: Any) -> Fetched:
    # Another thread may change it meanwhile. It sets the end of the log before the stable one: read
    # in the same order, no transaction is seen where there is none.
    at_ms, log_end = state.timestamp, state.highwater
    return Fetched(state._position, state.lso, log_end, at_ms)  # noqa: SLF001 - not public


class WatchedPartitionState(aiokafka.consumer.subscription_state.TopicPartitionState):
    """Notices what aiokafka does in silence: it goes on where the log begins now.

    Retention has then removed records before they were fetched.
    """

    def __init__(self, assignment: Any) -> None:
        super().__init__(assignment)
        self._out_of_range: int | None = None
        #: The last such part of the log, from the first offset that is gone to the first that is
        #: there. It belongs to the next batch, as what is no record does.
        self.jump: tuple[int, int] | None = None
        #: All of them, until somebody takes them.
        self.lost: list[tuple[int, int]] = []

    def await_reset(self, strategy: Any) -> None:
        """Note where the fetch was that is out of range."""
        if self._position is not None:
            self._out_of_range = self._position
        super().await_reset(strategy)

    def reset_to(self, position: int) -> None:
        """Note how far the log has gone on meanwhile; a topic that was made anew goes back."""
        start, self._out_of_range = self._out_of_range, None
        if start is not None and start < position:
            self.lost.append((start, position))
            before = self.jump
            self.jump = (before[0] if before and before[1] == start else start, position)
        super().reset_to(position)

    def seek(self, position: int) -> None:
        """Go elsewhere: what is read from there has no part of before."""
        self._out_of_range = self.jump = None
        super().seek(position)
