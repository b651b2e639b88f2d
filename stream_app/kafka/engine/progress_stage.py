"""What the stages that keep nothing but their progress have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stream_app.domain.state.progress import PartitionProgress
from stream_app.kafka.engine.flush import Flush, StageTable
from stream_app.kafka.records.unreadable_batches import UnreadableBatch
from stream_app.kafka.state.send import Send


class ProgressStage:
    """The progress of a stage whose only state is the last offset that is done."""

    #: Each of its effects is written once, however long a flush waits.
    changes = 0
    hold_seconds = 0.0

    def __init__(self, table: StageTable[PartitionProgress]) -> None:
        self.table = table
        self._changed: dict[int, None] = {}

    def advance(self, partition: int, offset: int) -> None:
        """Note that the records up to an offset are taken."""
        state = self.table.state(partition)
        state.offset = max(state.offset, offset)
        self._changed[partition] = None

    def pass_over(self, _topic: str, partition: int, batch: UnreadableBatch) -> None:
        """Move past a batch that cannot be read."""
        self.advance(partition, batch.offset)

    def flush(self, effects: Sequence[Send], flushed: Callable[[], None]) -> Flush[int]:
        """Return the flush of everything that has been taken since the last one."""
        offsets = {partition: self.table.state(partition).offset for partition in self._changed}
        self._changed = {}
        return Flush(self.table, [effects], offsets, flushed)

    def reset(self) -> None:
        """Forget what is not flushed; it will be read again."""
        self._changed = {}
