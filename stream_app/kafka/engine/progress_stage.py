"""What stages have in common whose effects are each written once: they keep a progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from stream_app.kafka.engine.flush import Flush, StageTable
from stream_app.kafka.records.unreadable_batches import UnreadableBatch
from stream_app.kafka.state.send import Send


class ProgressState(Protocol):
    """The state of a partition that is processed up to an offset."""

    def advance(self, offset: int) -> None:
        """Note that the records up to an offset are taken."""

    def cut(self) -> Any:
        """Return what has changed since the last cut."""


Progressed = TypeVar("Progressed", bound=ProgressState)


class ProgressStage(Generic[Progressed]):
    """Keeps the progress of a stage, partition by partition."""

    #: Each of its effects is written once, however long a flush waits.
    changes = 0
    hold_seconds = 0.0

    def __init__(self, table: StageTable[Progressed]) -> None:
        self.table = table
        self._changed: dict[int, None] = {}

    def advance(self, partition: int, offset: int) -> None:
        """Note that the records up to an offset are taken."""
        self.table.state(partition).advance(offset)
        self._changed[partition] = None

    def pass_over(self, _topic: str, partition: int, batch: UnreadableBatch) -> None:
        """Move past a batch that cannot be read."""
        self.advance(partition, batch.offset)

    def flush(self, effects: Sequence[Send], flushed: Callable[[], None]) -> Flush[Any]:
        """Return the flush of everything that has been taken since the last one."""
        cuts = {partition: self.table.state(partition).cut() for partition in self._changed}
        self._changed = {}
        return Flush(self.table, [effects], cuts, flushed)

    def reset(self) -> None:
        """Forget what is not flushed; it will be read again."""
        self._changed = {}
