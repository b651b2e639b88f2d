"""Faust's consumer, changed so that agents get batches of records (`record_batches.py`).

This relies on private methods of Faust 0.15 and aiokafka 0.14. `test_faust_contract.py` and
`test_consumer.py` in `tests/unit/kafka/engine` fail when they change.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from aiokafka.errors import IllegalStateError, KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream_app.domain.errors import TopicMismatchError
from stream_app.kafka.cluster.connection import is_refusal
from stream_app.kafka.engine.consumer_thread import BatchingThread
from stream_app.kafka.engine.lost_records import LostRecords
from stream_app.kafka.engine.record_batches import BatchValue, RecordBatch, WaitingBatches, size_of
from stream_app.kafka.records.fetch_states import Fetched, fetched, partition_states
from stream_app.kafka.records.fetched_records import FetchedRecords
from stream_app.kafka.records.fetcher import install_fetcher
from stream_app.kafka.records.partition_records import LeanPartitionRecords
from stream_app.logs import get_logger

log = get_logger(__name__)

#: Pause before a broker that did not answer is asked again.
RETRY_SECONDS = 1.0
#: How often to look whether the positions that records follow are known here.
HOLD_SECONDS = 0.01


class BatchingConsumer(driver.Consumer):
    """A Faust consumer that packs the records of batched topics.

    It stops fetching a topic while more than `app.buffer_bytes` of it wait in the agent's queue.
    It starts right after the acknowledged progress of the state. The group's committed offset may
    be older than that, or (after a rebalance) newer.
    """

    logger = driver.logger

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.batched: frozenset[str] = frozenset(self.app.batched_topics)
        LeanPartitionRecords.batched = self.batched
        install_fetcher()
        #: The batches that are fetched and not yet taken by their agents.
        self.waiting = WaitingBatches()
        self._space = asyncio.Event()
        self._rewinding: asyncio.Task[None] | None = None
        #: How often the positions have been set.
        self.epoch = 0
        #: What the positions were last set to, and where the partitions ended then.
        self.start_positions: dict[TP, int] = {}
        self.end_offsets: dict[TP, int] = {}
        # Committed offsets of the group that are behind the start positions.
        self._stale_commits: dict[TP, int | None] = {}
        #: Records that retention removed before they were read.
        self.lost = LostRecords()

    def _new_consumer_thread(self) -> BatchingThread:
        return BatchingThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def heartbeat_age_seconds(self) -> float:
        """How long ago the broker accepted this worker's last heartbeat; 0 before it joined."""
        last = float(self._thread.last_heartbeat)
        return time.monotonic() - last if last else 0.0

    @property
    def group_generation(self) -> int:
        """The generation that the group coordinator has this worker in; -1 when in none."""
        client = self._started_client()
        return -1 if client is None else int(client._coordinator.generation)  # noqa: SLF001 - not public

    async def commit_note(self, partitions: Collection[TP], note: Callable[[str], str]) -> set[TP]:
        """Write a note beside the committed offset of partitions: see `BatchingThread`."""
        noted: set[TP] = await self._thread.commit_note(partitions, note)
        return noted

    def fetched(self) -> dict[TP, Fetched] | None:
        """Return how far each assigned partition is fetched; None: there is no assignment now."""
        client = self._started_client()
        return None if client is None else fetched(client)

    def topic_partitions(self, topic: str) -> int | None:
        """Return how many partitions a topic has now; None before that is known."""
        client = self._started_client()
        return None if client is None else client._coordinator._metadata_snapshot.get(topic)  # noqa: SLF001 - not public

    def _partition_states(self) -> dict[TP, Any] | None:
        client = self._started_client()
        return None if client is None else partition_states(client)

    def _started_client(self) -> Any | None:
        """Return aiokafka's consumer; None while Faust still starts it, which may take seconds."""
        client = self._thread._consumer  # noqa: SLF001 - not public
        is_started = client is not None and client._coordinator is not None  # noqa: SLF001 - not public
        return client if is_started else None

    def is_full(self, tp: TP) -> bool:
        """Tell whether a partition is not fetched because enough of its topic is waiting."""
        return tp in self._buffered_partitions

    def note_lost(self) -> None:
        """Count the records that aiokafka skipped because the broker no longer has them."""
        for tp, state in (self._partition_states() or {}).items():
            while state.lost and tp.topic in self.batched:
                self.lost.note(tp, *state.lost.pop(0))

    def _note_removed(
        self,
        resume: Mapping[TP, int],
        committed: Mapping[TP, int | None],
        earliest: Mapping[TP, int],
    ) -> None:
        """Count the records between the offset to resume at and the beginning of the log.

        If neither the state nor the group has an offset, this is a first start, and nothing is
        lost.
        """
        self.note_lost()
        for tp, kept in earliest.items():
            known = [offset for offset in (resume.get(tp), committed[tp]) if offset is not None]
            if known and max(known) < kept:
                self.lost.note(tp, max(known), kept)

    def is_behind(self, topics: Collection[str]) -> bool:
        """Tell whether the broker had more of these topics at the last fetches."""
        return any(
            at.position is not None and at.position < (at.end or 0)
            for tp, at in (self.fetched() or {}).items()
            if tp.topic in topics
        )

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Resume at the progress of the state, else at the committed offset or the beginning."""
        offsets = dict(await super().seek_to_committed())
        sources = [tp for tp in offsets if tp.topic in self.batched]
        if sources:
            earliest = await self._thread.earliest_offsets(*sources)
            resume = self.app.resume_offsets(sources)
            self.end_offsets = dict(await self._thread.highwaters(*sources))
            _check_ends(self.app, resume, self.end_offsets)
            positions = {tp: max(resume.get(tp, offsets[tp] or 0), earliest[tp]) for tp in sources}
            self._note_removed(resume, offsets, earliest)
            await self.seek_wait(positions)
            self.start_positions = positions
            self._stale_commits = {
                tp: offsets[tp] for tp in sources if positions[tp] > (offsets[tp] or 0)
            }
            offsets.update(positions)
        else:
            self._thread.seeks += 1
        self._begin_epoch()
        return offsets

    def _begin_epoch(self) -> None:
        """Forget the batches that were fetched from the positions before."""
        self.epoch = self._thread.seeks
        self.waiting.keep(self.epoch)
        self._buffered_partitions.clear()

    async def perform_seek(self) -> None:
        """Seek to the start positions, and commit those that are ahead of the group's offsets.

        A worker that dies after writing its progress and before its commit leaves the group's
        offset behind. If no further record comes, no acknowledgement moves that offset, and it
        looks like lag.
        """
        self._stale_commits = {}
        while True:
            try:
                await super().perform_seek()
                break
            except (KafkaError, OSError) as error:
                if isinstance(error, IllegalStateError) or is_refusal(error):
                    raise
                self.log.warning("no start positions: %r: trying again", error)
            await asyncio.sleep(RETRY_SECONDS)
        for tp, committed in self._stale_commits.items():
            self._committed_offset[tp] = committed
            last = self.start_positions[tp] - 1
            self._acked[tp] = [last]
            self._acked_index[tp] = {last}

    def rewind(self, event: str, **facts: Any) -> None:
        """Read again from the progress on: a batch did not reach its agent.

        Args:
            event: what happened, for the log.
            facts: the batch and its place, for the log.
        """
        if not self.app.rebalancing and (self._rewinding is None or self._rewinding.done()):
            log.warning(event, **facts, then="reading again from the progress")
            self._rewinding = asyncio.create_task(self._rewind())

    async def _rewind(self) -> None:
        if not self.assignment():
            return
        try:
            await self.perform_seek()
            self.resume_partitions(
                {tp for tp in self.assignment() if not self._is_changelog_tp(tp)}
            )
        except IllegalStateError:
            # The partitions are moving; the next assignment sets new positions.
            return
        except Exception as error:  # noqa: BLE001 - the broker's: the worker cannot go on
            self.app.ownership.give_up(error)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Ignore the offsets inside a batch, which Faust takes for gaps left by compaction."""
        if tp.topic not in self.batched:
            await super()._add_gap(tp, offset_from, offset_to)

    def _new_offset(self, tp: TP) -> int | None:
        """Return the offset to commit: the end of the last acknowledged batch.

        Batches are acknowledged strictly in order, so nothing before that offset is pending. Faust
        would look for holes between every two offsets, and stop at an offset that it lists twice.
        """
        if tp.topic not in self.batched:
            offset: int | None = super()._new_offset(tp)
            return offset
        if tp not in self.start_positions:
            return None
        done = self.done_to(tp)
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return done

    def done_to(self, tp: TP) -> int:
        """Return the offset before which everything in a partition is done.

        Transaction markers, aborted records, and records that are gone leave nothing to do: they
        are done as soon as everything before them is. It may be long until another record follows.
        """
        acked = self._acked.get(tp)
        committed: int | None = self._committed_offset[tp]
        done = committed if committed is not None else self.start_positions.get(tp, 0)
        if acked:
            done = max(done, int(max(acked)) + 1)
        state = (self._partition_states() or {}).get(tp)
        for part in (LeanPartitionRecords.skipped.get(tp), state.jump if state else None):
            if part is not None and part[0] <= done < part[1]:
                done = part[1]
        return done

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        """Yield all partitions: the offset to commit may move without any acknowledgement.

        That includes partitions that have never had a record. Without a committed offset nobody
        could tell later what the group has not read.
        """
        yield from super()._filter_tps_with_pending_acks(topics)
        if topics is None:
            yield from (tp for tp in self.start_positions if tp not in self._acked)

    async def on_stop(self) -> None:
        """Commit a last time, if the thread of the client still takes calls.

        Whatever becomes of that, the thread must be stopped next: it would outlive its worker.
        """
        if self.crashed:
            return
        commit = asyncio.ensure_future(super().on_stop())
        await asyncio.wait({commit})
        error = None if commit.cancelled() else commit.exception()
        if error is not None:
            log.warning("last_commit_failed", why=repr(error), then="the next owner reads on")

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget the positions: they must not be committed after the next assignment."""
        self.start_positions = {}
        await super().on_partitions_revoked(revoked)

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:  # noqa: ASYNC109 - Faust's
        if self.flow_active and self._buffered_partitions and not self._get_active_partitions():
            # All partitions are full. Faust would sleep for a second here.
            self._space.clear()
            try:
                await asyncio.wait_for(self._space.wait(), timeout)
            except TimeoutError:
                return {}, set()
        records, active = await super()._wait_next_records(timeout)
        if not records or not self._is_of_now(seeks := records.seeks):
            return {}, active
        records = {
            tp: [self._pack(tp, found, seeks)] if found and tp.topic in self.batched else found
            for tp, found in records.items()
        }
        # A fetch may outlast a rebalance. What it has read from the new positions is fetched only
        # once, and until the rebalance has ended Faust and the agents drop it.
        while self._is_moving(seeks) and not self.should_stop:  # noqa: ASYNC110 - three conditions
            await asyncio.sleep(HOLD_SECONDS)
        return (records if self._is_of_now(seeks) else {}), self._get_active_partitions()

    def _is_of_now(self, seeks: int) -> bool:
        """Tell whether records are from the newest positions; others are read again from those."""
        return seeks >= self.epoch

    def _is_moving(self, seeks: int) -> bool:
        """Tell whether partitions move, or it is not known here yet that positions were set."""
        return not self.flow_active or self.app.rebalancing or seeks > self.epoch

    def _pack(self, tp: TP, records: FetchedRecords, epoch: int) -> RecordBatch:
        last = records[-1]
        # Covers the transaction markers after the last record, too.
        offset = records.end - 1
        size = size_of(records)
        value = BatchValue(records, epoch, self._release)
        self.waiting.add(value, tp, size)
        if self.waiting.bytes[tp.topic] > self.app.buffer_bytes:
            for partition in self.assignment():
                if partition.topic == tp.topic:
                    self.on_buffer_full(partition)
        return RecordBatch(
            tp.topic, tp.partition, offset, last.timestamp, last.timestamp_type,
            None, value, None, 0, size, (),
        )  # fmt: skip

    def _release(self, value: BatchValue) -> None:
        topic = self.waiting.take(value)
        if topic is not None and self.waiting.bytes[topic] <= self.app.buffer_bytes // 2:
            for partition in [tp for tp in self._buffered_partitions if tp.topic == topic]:
                self.on_buffer_drop(partition)
            self._space.set()


def _check_ends(app: Any, resume: Mapping[TP, int], ends: Mapping[TP, int]) -> None:
    """End the worker if a topic ends before the offset that the state has counted up to.

    Raises:
        TopicMismatchError: the topic was recreated, or has lost its newest records.
    """
    for tp, offset in resume.items():
        if offset > ends[tp]:
            error = TopicMismatchError(
                f"{tp.topic} partition {tp.partition} ends at offset {ends[tp]}, but its records "
                f"up to {offset - 1} are counted: the topic was made anew. Stop all workers of "
                f"this role and run 'stream-app state reset {app.role} --yes'"
            )
            app.fail(error)
            raise error


class BatchingTransport(driver.Transport):
    """A Faust transport with the batching consumer."""

    Consumer = BatchingConsumer
