"""A state table whose changelog holds packed records (`domain/packed_log.py`).

One record for each flush and partition, its progress inside, and snapshots in between. Changelogs
that an older version has written, a record for each key, are read as well.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from faust.types import TP

from stream_app.domain.errors import UnreadableStateError
from stream_app.domain.state import packed_log
from stream_app.domain.state.keys import NEVER
from stream_app.domain.state.packed_log import GroupKind, PackedLog, PackedPart
from stream_app.kafka.cluster.topics import BROKER_CLOCK
from stream_app.kafka.records.unreadable_batches import UnreadableBatch
from stream_app.kafka.state.send import Send
from stream_app.kafka.state.state_table import HOUR_MS, PartitionState, StateTable
from stream_app.logs import get_logger

log = get_logger(__name__)

#: Nothing goes by itself: the owner of a partition deletes what two whole snapshots stand for.
PACKED_CONFIG = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "segment.bytes": str(64 * 1024 * 1024),
    "segment.ms": str(HOUR_MS),
    **BROKER_CLOCK,
}


class PackedState(PartitionState, Protocol):
    """What such a table keeps of one source partition."""

    @property
    def version(self) -> int:
        """The source offset that the acknowledged state is as of."""

    @property
    def newest_version(self) -> int:
        """The largest offset of anything in it."""

    @property
    def can_be_packed(self) -> bool:
        """Tell whether a snapshot may be taken."""

    def restore(self, key: bytes, value: bytes | None) -> bool:
        """Take a record that an older version has written; False: it is none."""

    def apply(self, version: int, rows: bytes) -> None:
        """Take a part of the changelog, or of a snapshot."""

    def progress_rows(self) -> bytes:
        """Return rows that hold nothing but the acknowledged progress."""

    def snapshot(self, size: int) -> Iterator[tuple[int, bytes]]:
        """Yield the acknowledged state in slices of about `size`, each with its version."""


Packed = TypeVar("Packed", bound=PackedState)


class PackedTable(StateTable[Packed]):
    """A state table with packed records and snapshots."""

    config = PACKED_CONFIG

    def __init__(self, app: Any, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self._logs: dict[int, PackedLog] = {}
        self._bases: dict[int, int | None] = {}
        # Offsets that this worker has written beyond what it knows without a gap.
        self._beyond: dict[int, set[int]] = {}
        # By partition and last offset of a batch that cannot be read: the largest version that
        # anything in it may have.
        self._unknown: dict[tuple[int, int], int] = {}
        self._writer = secrets.token_hex(8)
        self._groups = itertools.count(1)
        #: By partition: what the newest whole snapshot covers, its size, when it was written, and
        #: how many bytes have come behind it.
        self.covered: dict[int, int] = {}
        self.snapshot_bytes: dict[int, int] = {}
        self.snapshot_at: dict[int, float] = {}
        self.tail_bytes: dict[int, int] = {}

    # -- writing

    def new_group(self) -> str:
        """Return a name that no other flush or snapshot has, of whatever worker."""
        return f"{self._writer}-{next(self._groups)}"

    def changes(self, partition: int, version: int, rows: Sequence[bytes]) -> list[Send]:
        """Return the records of a flush's changes of one partition."""
        records = packed_log.changes(self.new_group(), version, rows)
        size = sum(len(value) for _, value in records)
        self.tail_bytes[partition] = self.tail_bytes.get(partition, 0) + size
        return [self.send(partition, key, value) for key, value in records]

    def snapshot_part(self, partition: int, group: str, number: int, part: PackedPart) -> Send:
        """Return the record of a part of a snapshot."""
        return self.send(partition, *packed_log.record(GroupKind.SNAPSHOT, group, number, part))

    def send(self, partition: int, key: bytes, value: bytes) -> Send:
        """Return a record of the changelog."""
        return Send(self.changelog_topic_name, key, value, partition, (), self)

    def note_written(self, partition: int, offsets: Iterable[int]) -> None:
        """Note changelog records of this worker that are acknowledged.

        A gap between them may be a write of its own that is still on its way, or somebody else's:
        of a worker that had lost the partition. The next snapshot looks what is in it.
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
        """Return the offset up to which the state holds all that the changelog does."""
        return self._restored_to.get(partition, NEVER)

    def gap(self, partition: int) -> range:
        """Return the changelog offsets among the known ones that are not known."""
        known, beyond = self.known_to(partition), self._beyond.get(partition)
        return range(known + 1, max(beyond) + 1 if beyond else known + 1)

    def close_gap(self, partition: int, records: Iterable[Any], source_end: int) -> int | None:
        """Take in what others have written among this worker's records.

        The state stands for what is of its version or of an older one, whoever of the two has
        lost the partition: all counts up to an offset are the same, whoever has counted. What
        cannot be read is of no newer version than the source had records when it was found.

        Args:
            partition: which one.
            records: what the gap holds.
            source_end: where the source partition ends now.

        Returns:
            How many records were of others; None where one is, or may be, of a newer version.
        """
        state = self.states[partition]
        read, scratch = PackedLog(), self._new_state()
        gap = self.gap(partition)
        own, others, unknown = self._beyond.get(partition, set()), 0, NEVER
        for record in records:
            if isinstance(record, UnreadableBatch):
                of_others = set(gap[max(0, record.first_offset - gap.start) :]) - own
                if missing := sum(offset <= record.offset for offset in of_others):
                    others += missing
                    place = partition, record.offset
                    unknown = max(unknown, self._unknown.setdefault(place, source_end - 1))
            elif record.offset in gap and record.offset not in own:
                others += 1
                self._take(read, scratch, record)
        if max(read.newest_version, scratch.newest_version, unknown) > state.version:
            return None
        self._restored_to[partition] = gap.stop - 1
        own -= set(gap)
        self._advance(partition)
        return others

    # -- called by Faust, and while the changelog is read

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Drop what is known of partitions that went elsewhere, and what is read halfway."""
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
        self._logs, self._bases, self._beyond, self._unknown = {}, {}, {}, {}
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
        self._bases[partition] = None if is_new else self.state(partition).version
        self._logs[partition] = PackedLog()

    def restore(self, partition: int, records: Sequence[Any]) -> None:
        """Take changelog records, in their order; what is packed is kept until all are read."""
        read, state = self._logs[partition], self.state(partition)
        for record in records:
            self._take(read, state, record)

    def note_unreadable(self, partition: int, batch: UnreadableBatch) -> None:
        """Note a batch whose records nobody knows; what they were is looked at at the end."""
        why = f"{batch.error_class}: {batch.error}"
        self._logs[partition].note_unreadable(batch.first_offset, batch.offset, why)

    def _take(self, read: PackedLog, state: Packed, record: Any) -> None:
        key, value = record.key, record.value
        if read.take(record.offset, key, value):
            return
        try:
            if key is None or not state.restore(key, value):
                read.passed_over += 1
        except ValueError as error:  # msgspec's errors are among them
            read.note_damaged(record.offset, str(error))

    def finish_reading(self, partition: int, begin: int, end: int) -> Iterator[None]:
        """Make the state of what has been read, in slices.

        Raises:
            UnreadableStateError: it cannot be made.
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
            # Soon after the start: what was read may be much longer than the state.
            self.snapshot_at[partition] = time.monotonic()
            size = sum(len(part.rows) for part in parts)
            self.tail_bytes[partition] = size - read.snapshot_bytes + read.others_bytes
