"""What an agent does with batches, and the records of one flush: the interfaces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from stream_app.kafka.records.unreadable_batches import UnreadableBatch
from stream_app.kafka.state.send import Send

State_co = TypeVar("State_co", covariant=True)


class Flush(Protocol):
    """The records of one flush, and what to do when they are acknowledged."""

    def steps(self) -> Iterable[Sequence[Send]]:
        """Return the records, in steps; one may be made when the one before is acknowledged."""

    def confirm(self) -> None:
        """Note that the broker has acknowledged every step."""


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

    def changelog_record(self, partition: int, key: bytes, value: bytes | None) -> Send:
        """Return a record of the changelog, for a flush to send."""


class Stage(Protocol):
    """What an agent does with batches. Everything but `prepare` is synchronous."""

    @property
    def table(self) -> StageTable[Any]:
        """What the agent keeps."""

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

    def cut(self) -> Flush:
        """Take all that has changed since the last cut."""

    def reset(self) -> None:
        """Forget what is not flushed: another worker may own the partitions now."""
