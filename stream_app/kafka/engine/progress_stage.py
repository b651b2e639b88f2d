"""A stage that keeps only its progress, and the flush of such a stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from stream_app.domain.state.progress import PartitionProgress
from stream_app.kafka.engine.stage import StageTable
from stream_app.kafka.records.unreadable_batches import UnreadableBatch
from stream_app.kafka.state.send import Send


class ProgressFlush:
    """The records that a stage sends, followed by the progress of each partition.

    Args:
        table: keeps the progress.
        effects: the records that the stage sends.
        offsets: partition -> the last offset that is done.
        flushed: called when all of it is acknowledged.
    """

    def __init__(
        self,
        table: StageTable[PartitionProgress],
        effects: Sequence[Send],
        offsets: Mapping[int, int],
        flushed: Callable[[], None],
    ) -> None:
        self._table = table
        self._effects = effects
        self._offsets = offsets
        self._flushed = flushed

    def steps(self) -> Sequence[Sequence[Send]]:
        """Return the records in their order."""
        progress = [
            self._table.changelog_record(partition, *self._table.state(partition).record(offset))
            for partition, offset in self._offsets.items()
        ]
        return [self._effects, progress]

    def confirm(self) -> None:
        """Note the progress."""
        for partition, offset in self._offsets.items():
            self._table.state(partition).confirm(offset)
        self._flushed()


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
        """Go on behind a batch that cannot be read."""
        self.advance(partition, batch.offset)

    def flush(self, effects: Sequence[Send], flushed: Callable[[], None]) -> ProgressFlush:
        """Return the flush of everything that is taken; the next one begins behind it."""
        offsets = {partition: self.table.state(partition).offset for partition in self._changed}
        self._changed = {}
        return ProgressFlush(self.table, effects, offsets, flushed)

    def reset(self) -> None:
        """Forget what is not flushed; it will be read again."""
        self._changed = {}
