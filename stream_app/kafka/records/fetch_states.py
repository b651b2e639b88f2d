"""How far a client of aiokafka has fetched its partitions, and where these end.

This costs no request: each answer to a fetch says it, even an empty one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import aiokafka.consumer.subscription_state
from aiokafka import TopicPartition


class Fetched(NamedTuple):
    """How far a partition is fetched, and where it ends.

    `position` is the offset behind the last record that aiokafka has handed out, None until the
    beginning is known. The others come from the last fetch and are None before the first one:
    `end` is the last stable offset (records behind it may still be aborted), `log_end` is the end
    of the log, and `at_ms` is the time of that fetch.
    """

    position: int | None
    end: int | None
    log_end: int | None = None
    at_ms: int | None = None


def partition_states(consumer: Any) -> dict[TopicPartition, Any] | None:
    """Return aiokafka's states of the assigned partitions; None without an assignment."""
    subscription = consumer._subscription.subscription  # noqa: SLF001 - not public
    assignment = None if subscription is None else subscription.assignment
    if assignment is None:
        return None
    return {tp: assignment.state_value(tp) for tp in assignment.tps}


def fetched(consumer: Any) -> dict[TopicPartition, Fetched] | None:
    """Return how far each assigned partition is fetched; None without an assignment."""
    if (states := partition_states(consumer)) is None:
        return None
    return {tp: _fetched(state) for tp, state in states.items()}


def _fetched(state: Any) -> Fetched:
    # Another thread may change the state meanwhile. It sets the end of the log before the stable
    # end. Reading them in another order could show an open transaction where there is none.
    at_ms, log_end = state.timestamp, state.highwater
    return Fetched(state._position, state.lso, log_end, at_ms)  # noqa: SLF001 - not public


class WatchedPartitionState(aiokafka.consumer.subscription_state.TopicPartitionState):
    """Notices when retention has removed records before they were fetched.

    aiokafka says nothing then, and goes on where the log begins now.
    """

    def __init__(self, assignment: Any) -> None:
        super().__init__(assignment)
        self._out_of_range: int | None = None
        #: The last removed part of the log: its first offset, and the first offset that still
        #: exists. It counts as part of the next batch, as control records do.
        self.jump: tuple[int, int] | None = None
        #: All removed parts, until somebody takes them.
        self.lost: list[tuple[int, int]] = []

    def await_reset(self, strategy: Any) -> None:
        """Note the position that is out of range."""
        if self._position is not None:
            self._out_of_range = self._position
        super().await_reset(strategy)

    def reset_to(self, position: int) -> None:
        """Note what was removed; a topic that was made anew begins before the position."""
        start, self._out_of_range = self._out_of_range, None
        if start is not None and start < position:
            self.lost.append((start, position))
            before = self.jump
            self.jump = (before[0] if before and before[1] == start else start, position)
        super().reset_to(position)

    def seek(self, position: int) -> None:
        """Go elsewhere; what was removed before does not belong to what is read there."""
        self._out_of_range = self.jump = None
        super().seek(position)
