"""State of an agent: a plain Faust table whose partitions are typed objects.

Faust gives the changelog topic, its recovery and the move of partitions between workers. What
is kept of a partition, and how two records of one key are merged, is the partition state's: it
holds the only copy in memory.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar, cast

from faust import Table
from faust.types import TP

from stream_app.domain.errors import UnreadableStateError
from stream_app.kafka.cluster.topics import BROKER_CLOCK
from stream_app.kafka.records.unreadable_batches import UnreadableBatch
from stream_app.kafka.state.send import Send
from stream_app.logs import get_logger

log = get_logger(__name__)

HOUR_MS = 3600 * 1000

#: Recovery merges records of one key by their content, so both must still be there: a worker
#: that was stopped and woke up may have written an older one behind a newer one. The brokers stamp
#: them: they refuse what a worker has that is an hour ahead or more.
CHANGELOG_CONFIG = {
    "cleanup.policy": "compact",
    "min.compaction.lag.ms": str(HOUR_MS),
    "segment.ms": str(HOUR_MS),
    "min.cleanable.dirty.ratio": "0.2",
    **BROKER_CLOCK,
}


class PartitionState(Protocol):
    """What a table keeps of one source partition."""

    def progress_of(self, topic: str) -> int:
        """Return the last offset of a source topic whose effects are acknowledged; -1: none."""

    def restore(self, key: bytes, value: bytes | None) -> object:
        """Take a record of the changelog."""

    def restored(self) -> None:
        """Note that the changelog has been read to its end."""

    def roll_back(self) -> None:
        """Forget everything that is not known to be acknowledged."""


class KeyedState(PartitionState, Protocol):
    """One whose changelog has a record for each key."""

    def rewrite(self) -> None:
        """Write all that is kept once more with the next flush."""


State = TypeVar("State", bound=PartitionState)


class StateTable(Table, Generic[State]):
    """A plain table with one `State` object for each source partition.

    It is written by `changelog_record` and a flush, never through the mapping of Faust, which
    would keep a second copy and can't tell when the broker has acknowledged a write.
    """

    # Else mode names the logger after this module, and its chatter passes for ours.
    logger = logging.getLogger("faust.stream_app")

    #: Kafka's settings of the changelog.
    config: ClassVar[dict[str, str]] = CHANGELOG_CONFIG

    def __init__(
        self,
        app: Any,
        *,
        source_topics: Sequence[str],
        new_state: Callable[[], State],
        **kwargs: Any,
    ) -> None:
        super().__init__(
            app,
            key_type=bytes,
            value_type=bytes,
            extra_topic_configs=self.config,
            **kwargs,
        )
        self.source_topics = frozenset(source_topics)
        self.states: dict[int, State] = {}
        self._new_state = new_state
        # Changelog offset up to which the state in memory is that of the log, by partition.
        # Recovery goes on from there after a rebalance, instead of reading all of it again.
        self._restored_to: dict[int, int] = {}
        # Last changelog offset that is known to be read or written by this worker, by partition.
        self._last_own: dict[int, int] = {}
        #: Raised by each rebalance: what was read for an older one is nobody's state any more.
        self.epoch = 0
        # Epoch and generation that the states have been read for to the end.
        self._read_for = (-1, -1)
        #: The consumer group's generation that the states in memory are of; -1 while they are
        #: being read. Faust's own flag can be off too early when rebalances overlap.
        self.generation = -1
        #: Called when the states of all assigned partitions are up to date.
        self.on_restored: list[Callable[[], None]] = []

    def state(self, partition: int) -> State:
        """Return the state of a source partition, empty when there is none."""
        state = self.states.get(partition)
        if state is None:
            state = self.states[partition] = self._new_state()
        return state

    def changelog_record(self, partition: int, key: bytes, value: bytes | None) -> Send:
        """Return a record of the changelog, for a flush to send."""
        return Send(self.changelog_topic_name, key, value, partition, table=self)

    def known_states(self) -> Collection[State] | None:
        """Return the states of this worker's partitions; None: they are being read."""
        return None if self.generation < 0 else self.states.values()

    def note_written(self, partition: int, offsets: Iterable[int]) -> None:
        """Note the changelog writes of a flush that is acknowledged as a whole.

        A gap between them means that somebody else wrote there, too: a worker that had lost the
        partition. The next recovery then reads from the gap on and mends what it spoiled; until
        then compaction might leave no record but the spoiling one, so all is written once more.
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
        """Return where to go on reading, for source partitions with a progress."""
        offsets = {
            tp: self.states[tp.partition].progress_of(tp.topic) + 1
            for tp in assigned
            if tp.topic in self.source_topics and tp.partition in self.states
        }
        return {tp: offset for tp, offset in offsets.items() if offset > 0}

    # -- called by Faust

    def persisted_offset(self, tp: TP) -> int:
        """Return up to where the changelog is in memory; -1: read all of it."""
        return self._restored_to.get(tp.partition, -1)

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Drop partitions that went elsewhere; undo in the others what is not acknowledged."""
        self.epoch += 1
        self.generation = -1
        kept = {tp.partition for tp in assigned if tp.topic in self.source_topics}
        for partition in list(self.states):
            if partition in kept:
                self.states[partition].roll_back()
            else:
                del self.states[partition]
                self._restored_to.pop(partition, None)
                self._last_own.pop(partition, None)
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Have the agent begin, unless the states are those of an assignment that is over.

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

    # -- called while the changelog is read (`changelog_reader.py`)

    def begin_reading(self, partition: int, begin: int) -> None:
        """Prepare to read a changelog that begins at an offset."""

    def finish_reading(self, partition: int, begin: int, end: int) -> Iterator[None]:  # noqa: ARG002 - of no use here
        """Note that a changelog has been read up to its end; in slices."""
        self.note_read_to(partition, end - 1)
        yield

    def restore(self, partition: int, records: Sequence[Any]) -> None:
        """Take changelog records, in their order; all of them, or an error ends the worker."""
        restore = self.state(partition).restore
        for record in records:
            restore(record.key, record.value)
        self.note_read_to(partition, records[-1].offset)

    def note_unreadable(self, partition: int, batch: UnreadableBatch) -> None:  # noqa: ARG002 - of no use here
        """Note a batch of the changelog whose records nobody knows.

        To go on without them would count events twice, or send again what has been sent, and say
        nothing.

        Raises:
            UnreadableStateError: nothing stands for them.
        """
        raise UnreadableStateError(
            f"the state cannot be read: {batch}. Stop all workers of this role and run "
            f"'stream-app state reset {self.app.role} --yes'"
        )

    def note_read_to(self, partition: int, offset: int) -> None:
        """Note that all records up to an offset are in the state; there may be none at the end."""
        if offset > self.persisted_offset(TP(self.changelog_topic_name, partition)):
            self._restored_to[partition] = self._last_own[partition] = offset

    def note_read(self, epoch: int, generation: int) -> None:
        """Note that the states of all assigned partitions are read for a generation."""
        self._read_for = epoch, generation
