"""What an agent does with batches: the interface that the flush loop knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from stream_app.kafka.engine.flush import Flush, StageTable
from stream_app.kafka.records.unreadable_batches import UnreadableBatch


class Stage(Protocol):
    """What an agent does with batches. Everything but `prepare` is synchronous."""

    @property
    def table(self) -> StageTable[Any]:
        """The states that the agent keeps."""

    @property
    def changes(self) -> int:
        """How much a flush would write that further events may change again; 0: nothing."""

    @property
    def hold_seconds(self) -> float:
        """Shortest time from one flush to the next, while no batch waits."""

    def steps(self, topic: str, partition: int, records: Sequence[Any]) -> Iterator[None]:
        """Take the records of one batch; yield after each step, none of which takes long."""

    def pass_over(self, topic: str, partition: int, batch: UnreadableBatch) -> None:
        """Note that the records up to a batch's offset are done: the batch cannot be read."""

    async def prepare(self) -> None:
        """Wait for what a flush needs."""

    def cut(self) -> Flush[Any]:
        """Take all that has changed since the last cut."""

    def reset(self) -> None:
        """Forget what is not flushed: another worker may own the partitions now."""
