"""A state table whose changelog holds packed records (`domain/state/packed_log.py`).

Each flush writes one record for a partition, with its changes and its progress, and there are
snapshots in between.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from faust.types import TP

from stream_app.domain.errors import NewerFormatError, UnreadableStateError
from stream_app.domain.state import packed_log
from stream_app.domain.state.keys import NEVER
from stream_app.domain.state.packed_log import GroupKind, PackedLog, PackedPart
from stream_app.domain.times import HOUR_MS
from stream_app.kafka.cluster.topics import BROKER_CLOCK
from stream_app.kafka.records.unreadable_batches import UnreadableBatch
from stream_app.kafka.state.send import Send
from stream_app.kafka.state.state_table import (
    PartitionShare,
    PartitionState,
    StateTable,
    TableApp,
)
from stream_app.logs import get_logger

log = get_logger(__name__)

#: Nothing expires: the owner of a partition deletes what its snapshots replace.
PACKED_CONFIG = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "segment.bytes": str(64 * 1024 * 1024),
    "segment.ms": str(HOUR_MS),
    **BROKER_CLOCK,
}


class PackedState(PartitionState, Protocol):
    """The state of one source partition in a packed table."""

    @property
    def progress_offset(self) -> int:
        """The source offset up to which the acknowledged state counts everything: its version."""

    def rows(self, cut: Any) -> Sequence[bytes]:
        """Return the rows of what a flush has changed; `cut.offset` is its progress."""

    def apply(self, version: int, rows: bytes) -> None:
        """Apply the rows of a flush, or of a part of a snapshot."""

    def progress_rows(self) -> bytes:
        """Return rows that hold only the acknowledged progress."""

    def snapshot(self, size: int) -> Iterator[tuple[int, bytes]]:
        """Yield the acknowledged state in slices of about `size`, each with its version."""


Packed = TypeVar("Packed", bound=PackedState)


class PackedTable(StateTable[Packed]):
    """A state table with packed records and snapshots."""

    config = PACKED_CONFIG

    def __init__(
        self,
        app: TableApp,
        name: str,
        source_topics: Sequence[str],
        partitions: int,
        new_state: Callable[[], Packed],
    ) -> None:
        super().__init__(app, name, source_topics, partitions, new_state)
        # For each partition whose changelog is being read: what was read of it so far, and the
        # version of the state before the reading (None: there was no state).
        self._logs: dict[int, PackedLog] = {}
        self._bases: dict[int, int | None] = {}
        # Changelog offsets that this worker has written beyond a gap.
        self._beyond: dict[int, set[int]] = {}
        # For a batch that cannot be read, by partition and last offset: the largest version that
        # its records may have.
        self._unreadable_versions: dict[tuple[int, int], int] = {}
        self._writer = secrets.token_hex(8)
        self._groups = itertools.count(1)
        #: By partition, the newest whole snapshot: up to which changelog offset it covers the log,
        #: its size, when it was written (monotonic clock), and how many bytes have come after it.
        self.covered: dict[int, int] = {}
        self.snapshot_bytes: dict[int, int] = {}
        self.snapshot_at: dict[int, float] = {}
        self.tail_bytes: dict[int, int] = {}

    # -- writing

    def new_group(self) -> str:
        """Return a name for a flush or a snapshot, unique among all workers."""
        return f"{self._writer}-{next(self._groups)}"

    def flush_steps(self, shares: Sequence[PartitionShare]) -> Iterator[Sequence[Send]]:
        """Yield the changelog records of a flush in one step: the progress is in its rows."""
        sends: list[Send] = []
        for partition, state, cut in shares:
            records = packed_log.changes(self.new_group(), cut.offset, state.rows(cut))
            size = sum(len(value) for _, value in records)
            self.tail_bytes[partition] = self.tail_bytes.get(partition, 0) + size
            sends += [self.changelog_record(partition, key, value) for key, value in records]
        yield sends

    def snapshot_part(self, partition: int, group: str, number: int, part: PackedPart) -> Send:
        """Return the record of a part of a snapshot."""
        record = packed_log.record(GroupKind.SNAPSHOT, group, number, part)
        return self.changelog_record(partition, *record)

    def note_written(self, partition: int, offsets: Iterable[int]) -> None:
        """Note acknowledged changelog records of this worker.

        A gap between them is either a write of this worker that is still on its way, or a write of
        another worker that had lost the partition. The next snapshot finds out which.
        """
        if partition not in self.states:
            return
        beyond = self._beyond.setdefault(partition, set())
        beyond.update(offsets)
        self._advance(partition)

    def _advance(self, partition: int) -> None:
        beyond, known = self._beyond.get(partition, set()), self.known_to(partition)
        while known + 1 in beyond:
            known += 1
            beyond.discard(known)
        self._restored_to[partition] = known

    def known_to(self, partition: int) -> int:
        """Return the offset up to which the state contains everything in the changelog."""
        return self._restored_to.get(partition, NEVER)

    def gap(self, partition: int) -> range:
        """Return the range of changelog offsets from the first unknown to the last known one."""
        known, beyond = self.known_to(partition), self._beyond.get(partition)
        return range(known + 1, max(beyond) + 1 if beyond else known + 1)

    def close_gap(self, partition: int, records: Iterable[Any], source_end: int) -> int | None:
        """Judge the records of other workers in the gap, and close it if the state covers them.

        The state covers every record of its own version or an older one, whichever worker has lost
        the partition: the counts up to a source offset are the same, whoever counts. The version of
        an unreadable record is at most the last source offset at the time when it was found.

        Args:
            partition: which one.
            records: the records in the gap.
            source_end: where the source partition ends now.

        Returns:
            How many records others have written; None if one has, or may have, a newer version.
        """
        read, gap = PackedLog(), self.gap(partition)
        own, others, unreadable = self._beyond.get(partition, set()), 0, NEVER
        for record in records:
            if isinstance(record, UnreadableBatch):
                of_others = set(gap[max(0, record.first_offset - gap.start) :]) - own
                if missing := sum(offset <= record.offset for offset in of_others):
                    others += missing
                    place = partition, record.offset
                    version = self._unreadable_versions.setdefault(place, source_end - 1)
                    unreadable = max(unreadable, version)
            elif record.offset in gap and record.offset not in own:
                others += 1
                self._take(partition, read, record)
        if max(read.newest_version, unreadable) > self.states[partition].progress_offset:
            return None
        self._restored_to[partition] = gap.stop - 1
        own -= set(gap)
        self._advance(partition)
        return others

    # -- called by Faust, and while the changelog is read

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Forget the partitions that went to other workers, and whatever is half read."""
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
        self._logs, self._bases, self._beyond, self._unreadable_versions = {}, {}, {}, {}
        for known in (self.covered, self.snapshot_bytes, self.snapshot_at, self.tail_bytes):
            for partition in known.keys() - self.states.keys():
                del known[partition]

    def begin_reading(self, partition: int, begin: int) -> None:
        """Prepare to read a changelog that begins at an offset."""
        known = self.known_to(partition)
        is_new = known == NEVER or known + 1 < begin
        if is_new:
            self.states[partition] = self._new_state()
            self._restored_to.pop(partition, None)
        self._bases[partition] = None if is_new else self.state(partition).progress_offset
        self._logs[partition] = PackedLog()

    def restore(self, partition: int, records: Sequence[Any]) -> None:
        """Take changelog records in their order; they are applied when all are read."""
        read = self._logs[partition]
        for record in records:
            self._take(partition, read, record)

    def note_unreadable(self, partition: int, batch: UnreadableBatch) -> None:
        """Note an unreadable batch. Whether a snapshot covers it is known only at the end."""
        why = f"{batch.error_class}: {batch.error}"
        self._logs[partition].note_unreadable(batch.first_offset, batch.offset, why)

    def _take(self, partition: int, read: PackedLog, record: Any) -> None:
        try:
            read.take(record.offset, record.key, record.value)
        except NewerFormatError as error:
            where = f"{self.changelog_topic_name} partition {partition}"
            raise NewerFormatError(f"{where}, {error}") from None

    def finish_reading(self, partition: int, begin: int, end: int) -> Iterator[None]:
        """Build the state from what has been read, in slices.

        Raises:
            UnreadableStateError: records are missing that no snapshot covers.
        """
        read, base = self._logs.pop(partition), self._bases.pop(partition)
        state = self.state(partition)
        name = f"{self.changelog_topic_name} partition {partition}"
        try:
            parts = read.plan(begin, base)
            for part in parts:
                state.apply(part.version, part.rows)
                yield
        except UnreadableStateError as error:
            raise UnreadableStateError(
                f"the state in {name} is damaged: {error}. Stop all workers of this role and run "
                f"'stream-app state reset {self.app.role} --yes'"
            ) from None
        state.restored()
        self.note_read_to(partition, end - 1)
        if read.passed_over:
            log.warning("state_records_passed_over", changelog=name, records=read.passed_over)
        if base is None:
            self.covered[partition] = read.covered
            self.snapshot_bytes[partition] = read.snapshot_bytes
            self.snapshot_at[partition] = time.monotonic()
            # If the log is much longer than the state, the next snapshot is due soon.
            size = sum(len(part.rows) for part in parts)
            self.tail_bytes[partition] = size - read.snapshot_bytes
