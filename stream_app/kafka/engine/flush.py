"""What one flush of an agent sends, in the order in which it must reach the broker, and when.

First what the events have caused: alerts, deliveries, notices, dead letters. Then the state that
remembers it, and its progress last. A crash between two steps causes the same again, under the same
ids, and never loses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Generic, Protocol, TypeVar

from stream_app.kafka.state.send import Send
from stream_app.kafka.state.state_table import PartitionShare

Cut = TypeVar("Cut")
State_co = TypeVar("State_co", covariant=True)


@dataclass(frozen=True)
class FlushLimits:
    """When to flush while batches keep coming.

    A flush is due after the interval or `max_events`, whichever comes first. One that would write
    a change for fewer than `events_per_change` events waits for more of them: at most `patience`
    times the interval, and at most for `most_events`. What is not flushed is counted again after a
    crash.
    """

    interval_seconds: float
    max_events: int
    events_per_change: int = 20
    patience: int = 4
    #: At this many changes a flush is due at once: their records take memory.
    most_changes: int = 20_000
    #: While a flush waits for the broker, up to this many times `max_events` are taken.
    overtake: int = 3

    @property
    def most_events(self) -> int:
        """Return the most events between two flushes."""
        return 10 * self.max_events

    def is_due(self, events: int, seconds: float, changes: Callable[[], int]) -> bool:
        """Tell whether to flush what has been taken since the last flush."""
        if events < self.max_events and seconds < self.interval_seconds:
            return False
        number = changes()
        return (
            events >= self.most_events
            or seconds >= self.patience * self.interval_seconds
            or number >= self.most_changes
            or not self.writes_much(events, number)
        )

    def writes_much(self, events: int, changes: int) -> bool:
        """Tell whether a flush would write much for the events that it has taken."""
        return events < self.events_per_change * changes


class StageTable(Protocol[State_co]):
    """The states of an agent's partitions: a `StateTable`, or one without Kafka behind it."""

    @property
    def epoch(self) -> int:
        """Raised by each rebalance."""

    @property
    def generation(self) -> int:
        """The generation that the states belong to; -1 while they are being read."""

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
