"""The state of an agent: a Faust table that holds one typed object for each partition.

Faust provides the changelog topic and moves partitions between workers. The partition state holds
the only copy in memory. It decides what is kept, and how two records of one key are merged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar, cast

from faust import Table
from faust.types import TP

from stream_app.domain.errors import UnreadableStateError
from stream_app.domain.times import HOUR_MS
from stream_app.domain.topics import Role
from stream_app.kafka.cluster.topics import BROKER_CLOCK
from stream_app.kafka.records.unreadable_batches import UnreadableBatch
from stream_app.kafka.state.send import Send
from stream_app.logs import get_logger

log = get_logger(__name__)


#: Recovery merges the records of one key by their content, because a worker that was suspended
#: may have written an older record after a newer one. So compaction waits for an hour.
#: The brokers stamp the records: otherwise they would refuse those of a worker whose clock is an
#: hour or more ahead.
CHANGELOG_CONFIG = {
    "cleanup.policy": "compact",
    "min.compaction.lag.ms": str(HOUR_MS),
    "segment.ms": str(HOUR_MS),
    "min.cleanable.dirty.ratio": "0.2",
    **BROKER_CLOCK,
}


class PartitionState(Protocol):
    """The state of one source partition."""

    def progress_of(self, topic: str) -> int:
        """Return the last source offset whose effects are acknowledged; -1 if there is none."""

    def restored(self) -> None:
        """Note that the changelog has been read to its end."""

    def roll_back(self) -> None:
        """Undo every change that is not known to be acknowledged."""


class KeyedState(PartitionState, Protocol):
    """A partition state whose changelog has a record for each key."""

    def restore(self, key: bytes, value: bytes | None) -> object:
        """Take a changelog record."""

    def records(self, cut: Any) -> Sequence[tuple[bytes, bytes | None]]:
        """Return the changelog records of what a flush has changed."""

    def progress_record(self, cut: Any) -> tuple[bytes, bytes]:
        """Return the changelog record of a flush's progress."""

    def rewrite(self) -> None:
        """Write the whole state again with the next flush."""


class PartitionShare(NamedTuple):
    """One partition's share of a flush: its state, and the cut of what has changed in it."""

    partition: int
    state: Any
    cut: Any


State = TypeVar("State", bound=PartitionState)


class TableApp(Protocol):
    """What a table asks of its app, beside what Faust's own tables ask."""

    role: Role
    #: Faust's tables, and those of this class among them.
    tables: Any
    state_tables: list[StateTable[Any]]
    #: The generation of the newest assignment.
    consumer_generation_id: int


def stateless(assigned: Collection[TP], sources: Collection[str], changelog: str) -> list[TP]:
    """Return the source partitions among those assigned whose changelog partition is not."""
    logs = {tp.partition for tp in assigned if tp.topic == changelog}
    return sorted(tp for tp in assigned if tp.topic in sources and tp.partition not in logs)


class StateTable(Table, Generic[State]):
    """A table with one `State` object for each source partition.

    Flushes write it with the records that `changelog_record` makes. Faust's mapping is never used:
    it would keep a second copy, and it cannot tell when the broker has acknowledged a write.

    Args:
        app: gets the table.
        name: ends the changelog's name.
        source_topics: full names of the topics that the agent reads.
        partitions: of each of these topics.
        new_state: makes the empty state of a partition.
    """

    # Otherwise mode would name its logger after this module, and its lines would pass for ours.
    logger = logging.getLogger("faust.stream_app")

    #: Kafka's settings of the changelog.
    config: ClassVar[dict[str, str]] = CHANGELOG_CONFIG

    def __init__(
        self,
        app: TableApp,
        name: str,
        source_topics: Sequence[str],
        partitions: int,
        new_state: Callable[[], State],
    ) -> None:
        super().__init__(
            app,
            name=name,
            partitions=partitions,
            key_type=bytes,
            value_type=bytes,
            extra_topic_configs=self.config,
        )
        app.tables.add(self)
        app.state_tables.append(self)
        self.source_topics = frozenset(source_topics)
        self.states: dict[int, State] = {}
        self._new_state = new_state
        # By partition: the changelog offset up to which the state in memory equals the log.
        # After a rebalance recovery goes on from there instead of reading everything again.
        self._restored_to: dict[int, int] = {}
        # By partition: the last changelog offset that this worker has read or written.
        self._last_own: dict[int, int] = {}
        #: Number of rebalances so far. A state that was read for an earlier one is out of date.
        self.epoch = 0
        # Epoch and generation for which all states have been read.
        self._read_for = (-1, -1)
        #: Source partitions that are assigned without the changelog partition of their state.
        self.stateless: list[TP] = []
        #: The consumer group's generation to which the states in memory belong; -1 while they are
        #: being read. Faust's own flag may be cleared too early when rebalances overlap.
        self.generation = -1
        #: Called when the states of all assigned partitions are up to date.
        self.on_restored: list[Callable[[], None]] = []

    def state(self, partition: int) -> State:
        """Return the state of a source partition; make an empty one if there is none."""
        state = self.states.get(partition)
        if state is None:
            state = self.states[partition] = self._new_state()
        return state

    def changelog_record(self, partition: int, key: bytes, value: bytes | None) -> Send:
        """Return a changelog record for a flush to send."""
        return Send(self.changelog_topic_name, key, value, partition, table=self)

    def flush_steps(self, shares: Sequence[PartitionShare]) -> Iterable[Sequence[Send]]:
        """Return the changelog records of a flush, in steps: the states, then the progress."""
        states = [
            self.changelog_record(partition, key, value)
            for partition, state, cut in shares
            for key, value in state.records(cut)
        ]
        progress = [
            self.changelog_record(partition, *state.progress_record(cut))
            for partition, state, cut in shares
        ]
        return [states, progress] if states else [progress]

    def known_states(self) -> Collection[State] | None:
        """Return the states of this worker's partitions; None while they are being read."""
        return None if self.generation < 0 else self.states.values()

    def note_written(self, partition: int, offsets: Iterable[int]) -> None:
        """Note the changelog writes of a flush after all of them are acknowledged.

        A gap between them means that another worker wrote there, too, after it had lost the
        partition. The next recovery reads from the gap on and so repairs what that worker
        overwrote. Until then compaction might keep only the wrong records, so the whole state is
        written again.
        """
        if partition not in self.states:
            return
        restored = self._restored_to.get(partition, -1)
        last = self._last_own.get(partition, -1)
        is_alone = True
        for offset in sorted(offsets):
            if offset == restored + 1:
                restored = offset
            is_alone = is_alone and offset == last + 1
            last = offset
        self._restored_to[partition], self._last_own[partition] = restored, last
        if not is_alone:
            log.warning("state_overwritten", changelog=self.changelog_topic_name, then="rewritten")
            cast("KeyedState", self.states[partition]).rewrite()

    def resume_offsets(self, assigned: Iterable[TP]) -> Mapping[TP, int]:
        """Return where to resume reading the source partitions that have a progress."""
        offsets = {
            tp: self.states[tp.partition].progress_of(tp.topic) + 1
            for tp in assigned
            if tp.topic in self.source_topics and tp.partition in self.states
        }
        return {tp: offset for tp, offset in offsets.items() if offset > 0}

    # -- called by Faust

    def persisted_offset(self, tp: TP) -> int:
        """Return the changelog offset up to which the state is in memory; -1: read it all."""
        return self._restored_to.get(tp.partition, -1)

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Drop partitions that went to other workers; roll the others back."""
        self.epoch += 1
        self.generation = -1
        kept = {tp.partition for tp in assigned if tp.topic in self.source_topics}
        self.stateless = stateless(assigned, self.source_topics, self.changelog_topic_name)
        for partition in list(self.states):
            if partition in kept:
                self.states[partition].roll_back()
            else:
                del self.states[partition]
                self._restored_to.pop(partition, None)
                self._last_own.pop(partition, None)
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Declare the states ready, unless they were read for an earlier assignment.

        The next rebalance may begin before the recovery of this one ends.
        """
        await super().on_recovery_completed(active_tps, standby_tps)
        epoch, generation = self._read_for
        if epoch != self.epoch or generation != self.app.consumer_generation_id:
            return
        for state in self.states.values():
            state.restored()
        self.generation = generation
        for callback in self.on_restored:
            callback()

    # -- called by `changelog_reader.py`

    def begin_reading(self, partition: int, begin: int) -> None:
        """Do nothing: only packed tables prepare for a reading."""

    def finish_reading(self, partition: int, begin: int, end: int) -> Iterator[None]:  # noqa: ARG002 - of no use here
        """Note that a changelog has been read to its end. Packed tables work here, in slices."""
        self.note_read_to(partition, end - 1)
        yield

    def restore(self, partition: int, records: Sequence[Any]) -> None:
        """Take all of these changelog records in their order; an error ends the worker."""
        restore = cast("KeyedState", self.state(partition)).restore
        for record in records:
            restore(record.key, record.value)
        self.note_read_to(partition, records[-1].offset)

    def note_unreadable(self, partition: int, batch: UnreadableBatch) -> None:  # noqa: ARG002 - of no use here
        """Refuse a changelog batch that cannot be read.

        Without its records events would be counted twice, or alerts sent again, and nobody would
        notice.

        Raises:
            UnreadableStateError: always; a packed table may have a snapshot that covers the batch.
        """
        raise UnreadableStateError(
            f"the state cannot be read: {batch}. Stop all workers of this role and run "
            f"'stream-app state reset {self.app.role} --yes'"
        )

    def note_read_to(self, partition: int, offset: int) -> None:
        """Note that the state contains all records up to an offset, which may hold none itself."""
        if offset > self.persisted_offset(TP(self.changelog_topic_name, partition)):
            self._restored_to[partition] = self._last_own[partition] = offset

    def note_read(self, epoch: int, generation: int) -> None:
        """Note that the states of all assigned partitions have been read for a generation."""
        self._read_for = epoch, generation
