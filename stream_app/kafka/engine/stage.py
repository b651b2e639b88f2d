"""What an agent does with batches, and the records of one flush: the shapes, without any code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from stream_app.kafka.records.unreadable_batches import UnreadableBatch
from stream_app.kafka.state.send import Send
from stream_app.kafka.state.state_table import StateTable


class Flush(Protocol):
    """The records of one flush, and what to do when they are acknowledged."""

    def steps(self) -> Iterable[Sequence[Send]]:
        """Return the records, in steps; one may be made when the one before is acknowledged."""

    def confirm(self) -> None:
        """Note that the broker has acknowledged every step."""


class Stage(Protocol):
    """What an agent does with batches. Everything but `prepare` is synchronous."""

    table: StateTable[Any]

    @property
    def changes(self) -> int:
        """How much a flush would write that further events may change again; 0: nothing."""

    @property
    def hold_seconds(self) -> float:
        """Shortest time from one flush to the next, while no batch waits."""

    def steps(self, topic: str, partition: int, records: Sequence[Any]) -> Iterator[None]:
        """Take the records of one batch; yield after each step, none of which takes long."""

    def pass_over(self, topic: str, partition: int, batch: UnreadableBatch) -> None:
        """Note that the records up to a batch's offset are done: that one cannot be read."""

    async def prepare(self) -> None:
        """Wait for what a flush needs."""

    def cut(self) -> Flush:
        """Take all that has changed since the last cut."""

    def reset(self) -> None:
        """Forget what is not flushed: another worker may own the partitions now."""
