"""What one flush of an agent sends, in the order in which it must reach the broker.

First what the events have caused: alerts, deliveries, notices, dead letters. Then the state that
remembers it, and its progress last. A crash between two steps causes the same again, under the same
ids, and never loses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Generic, Protocol, TypeVar

from stream_app.kafka.state.send import Send
from stream_app.kafka.state.state_table import PartitionShare

Cut = TypeVar("Cut")
State_co = TypeVar("State_co", covariant=True)


class StageTable(Protocol[State_co]):
    """The states of an agent's partitions: a `StateTable`, or one without Kafka behind it."""

    @property
    def epoch(self) -> int:
        """Raised by each rebalance."""

    @property
    def generation(self) -> int:
        """The assignment that the states are of; -1 while they are being read."""

    def state(self, partition: int) -> State_co:
        """Return the state of a partition, empty when there is none."""

    def flush_steps(self, shares: Sequence[PartitionShare]) -> Iterable[Sequence[Send]]:
        """Return the changelog records of a flush, in steps."""


def nothing() -> None:
    """Do nothing."""


class Flush(Generic[Cut]):
    """The records of one flush, and what to do when they are acknowledged.

    Args:
        table: holds the states.
        effects: what the events have caused, in steps; each may be made when its turn comes.
        cuts: partition -> what its state has taken since the last flush.
        flushed: called when the broker has acknowledged all of it.
    """

    def __init__(
        self,
        table: StageTable[Any],
        effects: Iterable[Sequence[Send]],
        cuts: Mapping[int, Cut],
        flushed: Callable[[], None] = nothing,
    ) -> None:
        self._table = table
        self._effects = effects
        self._shares = [
            PartitionShare(partition, table.state(partition), cut)
            for partition, cut in cuts.items()
        ]
        self._flushed = flushed

    def steps(self) -> Iterable[Sequence[Send]]:
        """Return the records, in steps; send each when the one before is acknowledged."""
        return chain(self._effects, self._table.flush_steps(self._shares))

    def confirm(self) -> None:
        """Note that the broker has acknowledged every step."""
        for share in self._shares:
            share.state.confirm(share.cut)
        self._flushed()
