"""aiokafka's fetches: contained, leaner, and telling which part of the log they are all of.

All classes take the place of aiokafka's own (`install`), for every consumer of the process: there
is no other way to reach a record before an object of eleven fields has been made of it, nor to get
past a batch that the decoder gives up on. No step of theirs holds an event loop for long, whatever
lies on a topic: what is compressed is unpacked in a thread, up to a bound, and records are handed
out in parts.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any, ClassVar

import aiokafka.consumer.consumer
import aiokafka.consumer.fetcher
import aiokafka.consumer.subscription_state
from aiokafka.errors import CorruptRecordException

from stream_app.kafka.records.codecs import MAX_UNPACKED_BYTES
from stream_app.kafka.records.small_batches import SmallBatches
from stream_app.kafka.records.stored_batches import Batches, StoredBatch
from stream_app.kafka.records.unreadable_batches import UnreadableBatch, unreadable

#: Most records of one partition that are handed out at a time, and of all: their objects take
#: time, and so does what an agent does with them in one go.
MAX_RECORDS = 10_000
MAX_RECORDS_OF_ALL = 50_000
#: Time after which no more are added, and how many are made between two looks at the clock.
STEP_SECONDS = 0.05
_STEP_RECORDS = 500
_STEP_BYTES = 256 * 1024
#: What is unpacked ahead of its use: of one partition, and of all that are asked for.
AHEAD_BYTES = 4 * 1024 * 1024
AHEAD_BYTES_OF_ALL = 16 * 1024 * 1024

#: How every consumer reads: an aborted transaction, or an open one, has told nothing yet. Ends are
#: last stable offsets then, in fetches and where a consumer asks for them.
READ_COMMITTED = "read_committed"


def whole_records(key: bytes | None) -> bytes | None:
    """Return the key: as `key_deserializer` it marks a consumer of aiokafka's usual records.

    The configuration is read by a consumer of its own, beside the agent on the same topics.
    """
    return key


def lean_records(key: bytes | None) -> bytes | None:
    """Return the key: as `key_deserializer` it marks a consumer that wants the decoder's records.

    States are read by a consumer of its own, and are many.
    """
    return key


class FetchedRecords(list[Any]):
    """Records of one fetch, and which part of the log they are all of.

    Among them may be batches that cannot be read: those that are in `unreadable`, too.
    """

    start = 0
    end = 0
    unreadable: Collection[UnreadableBatch] = ()

    def readable(self) -> Sequence[Any]:
        """Return the records without those batches."""
        if not self.unreadable:
            return self
        return [record for record in self if not isinstance(record, UnreadableBatch)]


class FetchedBatches:
    """The bytes of a fetch, in the place of aiokafka's `MemoryRecords`."""

    def __init__(self, data: bytes | None) -> None:
        self.data = data or b""

    def size_in_bytes(self) -> int:
        """Return how many bytes there are."""
        return len(self.data)

    def has_next(self) -> bool:
        """Tell whether there is anything: also what makes no sense is handed on."""
        return bool(self.data)

    def __iter__(self) -> Batches:
        """Return the batches."""
        return Batches(self.data)


class WholeFetchResult(aiokafka.consumer.fetcher.FetchResult):
    """Says which part of the log its records are all of."""

    _partition_records: LeanPartitionRecords | None

    def getall(self, max_records: int | None = None) -> list[Any]:
        """Return the next records: of a batched topic as `FetchedRecords`.

        They may be none although there are more: of a batch that is being unpacked.
        """
        partition: Any = self._topic_partition
        source: LeanPartitionRecords | None = self._partition_records
        if not self.check_assignment(partition) or source is None or source.is_busy:
            return []
        start = source.next_fetch_offset
        state = self._assignment.state_value(partition)
        source.log_end = None if state is None else state.highwater
        records = source.take(min(max_records or MAX_RECORDS, MAX_RECORDS))
        self._update_position()
        if source.is_drained:
            self._partition_records = None
        if source.is_lean:
            if (jump := state.jump if state is not None else None) and jump[1] == start:
                start = jump[0]
            if (skipped := source.skipped.pop(partition, None)) and skipped[1] == start:
                start = skipped[0]
            records.start, records.end = start, source.next_fetch_offset
            if not records and start != records.end:
                # Only control records of transactions: they belong to the next batch.
                source.skipped[partition] = (start, records.end)
        return records


class LeanPartitionRecords(aiokafka.consumer.fetcher.PartitionRecords):
    """The records of a fetch of one partition.

    Of batched topics it hands out the decoder's records, without a `ConsumerRecord` of each.
    """

    batched: frozenset[str] = frozenset()
    #: Parts of the log that held nothing to hand out, by partition.
    skipped: ClassVar[dict[Any, tuple[int, int]]] = {}
    #: Places of batches with a wrong checksum that have been fetched once more since.
    suspected: ClassVar[set[tuple[str, int, int]]] = set()

    #: Of the next record to be handed out.
    next_fetch_offset: int
    #: Where the log ends, as far as is known.
    log_end: int | None = None

    def __init__(self, tp: Any, *args: Any) -> None:
        super().__init__(tp, *args)
        #: Whether these are records of a batched topic, for its agent.
        mark = self._key_deserializer
        self.is_lean = mark is lean_records or (
            tp.topic in self.batched and mark is not whole_records
        )
        #: Whether all has been handed out, and whether a thread is at work on it.
        self.is_drained = False
        self.is_busy = False
        #: Whether somebody unpacks what is compressed before it is asked for.
        self.is_unpacked_ahead = False
        self._batches = Batches(self._records.data if self._records else b"")
        self._small = SmallBatches(self._batches, check_crcs=self._check_crcs)
        self._ready: deque[StoredBatch] = deque()
        self._next_packed: StoredBatch | None = None
        self._batch: StoredBatch | None = None
        self._decoded: Iterator[Any] = iter(())
        self._is_tolerant = False
        self._step = _STEP_RECORDS
        self._fetch_offset = self.next_fetch_offset

    # -- unpacking

    @property
    def is_in_hand(self) -> bool:
        """Whether something can be handed out at once, or passed over."""
        return not self.is_busy and (self._batch is not None or bool(self._ready))

    @property
    def held_bytes(self) -> int:
        """How many bytes are unpacked and not all handed out."""
        held = self._batch.size if self._batch and self._batch.codec else 0
        return held + sum(batch.size for batch in self._ready)

    def is_waiting(self) -> bool:
        """Tell whether the next batch is one that must be unpacked first."""
        if self._batch is not None or self._ready or self.is_drained or self.is_busy:
            return False
        if self._next_packed is None:
            if self._small.is_next():
                return False
            batch = next(self._batches, None)
            if batch is None:
                return False
            if not batch.codec:
                self._ready.append(batch)
                return False
            self._next_packed = batch
        return True

    def unpack(self) -> int:
        """Unpack the next batches; return how many bytes they have come to."""
        size = 0
        while size < AHEAD_BYTES and (batch := self._next_packed) is not None:
            if self._has_valid_checksum(batch):
                batch.unpack()
            size += batch.size
            self._ready.append(batch)
            self._next_packed = following = next(self._batches, None)
            if following is not None and not following.codec:
                self._ready.append(following)
                self._next_packed = None
        return size

    # -- handing out

    def take(self, most: int) -> FetchedRecords:
        """Return the next records: fewer than there are, where they take long to make."""
        records = FetchedRecords()
        deadline = time.monotonic() + STEP_SECONDS
        while len(records) < most and not self.is_drained:
            if self._batch is not None:
                self._add(records, self._batch, most - len(records))
            elif not self._add_small(records, most - len(records), deadline) and not self._begin(
                records
            ):
                break
            if time.monotonic() > deadline:
                break
        return records

    def _add_small(self, records: FetchedRecords, most: int, deadline: float) -> bool:
        """Add the records of the next batches that are small; tell whether there are any."""
        if self._ready or self._next_packed is not None:
            return False
        offset = self.next_fetch_offset
        found, self.next_fetch_offset = self._small.take(most, offset, deadline)
        self._add_found(records, found)
        return bool(found)

    def _add_found(self, records: FetchedRecords, found: list[Any]) -> None:
        if self.is_lean:
            records += found
        else:
            records += [self._consumer_record(self._tp, record) for record in found]

    def _hand_out(self, records: FetchedRecords, found: list[Any], batch: StoredBatch) -> None:
        """Add records of a batch to those that are handed out, but for those before the offset."""
        if found and found[0].offset < self.next_fetch_offset:
            found = [record for record in found if record.offset >= self.next_fetch_offset]
        if found:
            # No further than the batch goes, whatever a record says: the next one begins there.
            after = min(found[-1].offset, batch.last_offset) + 1
            self.next_fetch_offset = max(self.next_fetch_offset, after)
            self._add_found(records, found)

    def _begin(self, records: FetchedRecords) -> bool:
        """Begin with the next batch; tell whether there is any progress."""
        if self.is_waiting():
            if self.is_unpacked_ahead:
                return False
            self.unpack()
        if not self._ready:
            self._end(records)
            return False
        batch = self._ready.popleft()
        if batch.error is None and not batch.codec:
            self._has_valid_checksum(batch)
        if isinstance(batch.error, _SuspectedError):
            # It is fetched again from here: the fault may have been on the way.
            self.is_drained = True
            return False
        if batch.error is not None:
            self._give_up(records, batch, batch.error)
            return True
        try:
            if self._is_passed_over(batch):
                self._pass(batch)
            else:
                self._batch, self._decoded, self._is_tolerant = batch, batch.records(), False
                self._step = _STEP_RECORDS
                if batch.size > _STEP_BYTES:
                    mean = batch.size // max(1, batch.count)
                    self._step = max(1, min(_STEP_RECORDS, _STEP_BYTES // max(1, mean)))
        except Exception as error:  # noqa: BLE001 - whatever a decoder says of bytes
            self._give_up(records, batch, error)
        return True

    def _add(self, records: FetchedRecords, batch: StoredBatch, most: int) -> None:
        """Add the next records of the batch in hand."""
        wanted = min(most, self._step)
        found: list[Any] = []
        problem: Exception | None = None
        try:
            if self._is_tolerant:
                found.extend(islice(self._decoded, wanted))
            else:
                found = list(islice(self._decoded, wanted))
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a decoder says of bytes
            if not self._is_tolerant:
                # What this has read is read once more, from the last offset handed out on.
                self._decoded, self._is_tolerant = batch.tolerant_records(), True
                return
            problem = error
        is_over = len(found) < wanted
        self._hand_out(records, found, batch)
        if problem is not None and self.next_fetch_offset <= batch.last_offset:
            self._give_up(records, batch, problem)
        elif is_over:
            self._pass(batch)

    def _pass(self, batch: StoredBatch) -> None:
        """Go on behind a batch: the offset of its last record, though compaction removed it."""
        self._batch = None
        self.next_fetch_offset = max(self.next_fetch_offset, batch.last_offset + 1)

    def _end(self, records: FetchedRecords) -> None:
        """Come to the end of the fetch: it would come back for ever if it were no progress."""
        self.is_drained = True
        if self._records is not None and self.next_fetch_offset == self._fetch_offset:
            data = memoryview(self._records.data)
            error = CorruptRecordException("the batch does not hold the offset it was found by")
            self._give_up(records, StoredBatch(data), error)

    def _give_up(self, records: FetchedRecords, batch: StoredBatch, error: Exception) -> None:
        """Go on behind what cannot be read of a batch, and hand it out as what it is."""
        self._batch = None
        first = self.next_fetch_offset
        last = self._last_offset(batch)
        if last < first:
            return  # the broker took it for what was asked for, by a last offset that is too large
        found = unreadable(
            self._tp.topic,
            self._tp.partition,
            (first, last),
            batch.raw,
            error,
            # Of damaged bytes the time is nobody's word.
            0 if isinstance(error, CorruptRecordException) else batch.max_timestamp,
        )
        self.next_fetch_offset = last + 1
        if self.is_lean:
            records.append(found)
            records.unreadable = [*records.unreadable, found]

    def _last_offset(self, batch: StoredBatch) -> int:
        """Return up to where a batch goes that cannot be read.

        Its header may be as wrong as the rest. One that says too much would take sound records
        with it, and one that says too little would leave some that nobody has heard of. So what
        counts is where the next batch begins: a log has no gap that anything could be lost in.
        """
        first, bound = self.next_fetch_offset, self.next_fetch_offset + MAX_UNPACKED_BYTES
        behind = self._batches.offset_behind(batch)
        if behind is not None and 0 <= behind <= bound:
            return behind - 1
        if self.log_end is not None:
            bound = min(bound, self.log_end)
        if batch.base_offset <= first <= batch.last_offset < bound:
            return batch.last_offset
        return first

    def _has_valid_checksum(self, batch: StoredBatch) -> bool:
        if batch.error is not None or not self._check_crcs or batch.has_valid_checksum():
            return batch.error is None
        place = self._tp.topic, self._tp.partition, batch.base_offset
        if place in self.suspected:
            self.suspected.discard(place)
            batch.error = CorruptRecordException("its checksum is wrong")
        else:
            self.suspected.add(place)
            batch.error = _SuspectedError()
        return False

    def _is_passed_over(self, batch: StoredBatch) -> bool:
        """Tell whether a batch is no data: of an aborted transaction, or a mark of its end."""
        if (
            self._isolation_level == aiokafka.consumer.fetcher.READ_COMMITTED
            and batch.producer_id is not None
        ):
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch.records()):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return batch.is_control_batch

    def _unpack_records(self) -> Iterator[Any]:
        """Return nothing: aiokafka would keep the generator, and that all that was fetched.

        Such a ring holds megabytes until somebody looks for garbage.
        """
        return iter(())

    def __next__(self) -> Any:
        """Return the next record, for who asks aiokafka for one."""
        while not self.is_drained:
            if self.is_waiting():
                self.unpack()
            if found := self.take(1):
                return found[0]
        raise StopIteration


class _SuspectedError(Exception):
    """A batch whose checksum is wrong, for the first time."""


class ContainedFetcher(aiokafka.consumer.fetcher.Fetcher):
    """Unpacks what it has fetched in a thread, before anybody asks for it."""

    async def _proc_fetch_request(self, *args: Any) -> bool:
        is_new: bool = await super()._proc_fetch_request(*args)
        if is_new:
            try:
                await self._unpack_ahead(())
            except asyncio.CancelledError:
                # As of a request on its way: nobody is interested any more.
                return False
        return is_new

    async def fetched_records(
        self,
        partitions: Collection[Any],
        timeout: float = 0,  # noqa: ASYNC109 - aiokafka's
        max_records: int | None = None,
    ) -> dict[Any, Any]:
        """Return what is there; wait for something otherwise."""
        most = min(max_records or MAX_RECORDS_OF_ALL, MAX_RECORDS_OF_ALL)
        while True:
            is_unpacked = await self._unpack_ahead(partitions)
            found: dict[Any, Any] = await super().fetched_records(partitions, 0, most)
            if found:
                return found
            if not is_unpacked and not any(s.is_in_hand for s in self._sources(partitions)):
                waited: dict[Any, Any] = await super().fetched_records(partitions, timeout, most)
                return waited
            # What has been read held nothing to hand out; there is more of it.
            await asyncio.sleep(0)

    def _sources(self, partitions: Collection[Any]) -> list[LeanPartitionRecords]:
        """Return what is fetched of some partitions, or of all, and not handed out."""
        found = [
            getattr(result, "_partition_records", None)
            for partition, result in self._records.items()
            if not partitions or partition in partitions
        ]
        return [source for source in found if source is not None]

    async def _unpack_ahead(self, partitions: Collection[Any]) -> bool:
        """Unpack what comes next in some partitions, or all; return whether that was anything."""
        asked, held = [], 0
        for source in self._sources(partitions):
            source.is_unpacked_ahead = True
            held += source.held_bytes
            if source.is_waiting():
                asked.append(source)
        if not asked or held >= AHEAD_BYTES_OF_ALL:
            return False
        for source in asked:
            source.is_busy = True
        await asyncio.to_thread(_unpack, asked, AHEAD_BYTES_OF_ALL - held)
        return True


def _unpack(sources: Collection[LeanPartitionRecords], most: int) -> None:
    try:
        for source in sources:
            if most > 0:
                most -= source.unpack()
    finally:
        for source in sources:
            source.is_busy = False


class WatchedPartitionState(aiokafka.consumer.subscription_state.TopicPartitionState):
    """Notices what aiokafka does in silence: it goes on where the log begins now.

    Retention has then removed records before they were fetched.
    """

    def __init__(self, assignment: Any) -> None:
        super().__init__(assignment)
        self._out_of_range: int | None = None
        #: The last such part of the log, from the first offset that is gone to the first that is
        #: there. It belongs to the next batch, as what is no record does.
        self.jump: tuple[int, int] | None = None
        #: All of them, until somebody takes them.
        self.lost: list[tuple[int, int]] = []

    def await_reset(self, strategy: Any) -> None:
        """Note where the fetch was that is out of range."""
        if self._position is not None:
            self._out_of_range = self._position
        super().await_reset(strategy)

    def reset_to(self, position: int) -> None:
        """Note how far the log has gone on meanwhile; a topic that was made anew goes back."""
        start, self._out_of_range = self._out_of_range, None
        if start is not None and start < position:
            self.lost.append((start, position))
            before = self.jump
            self.jump = (before[0] if before and before[1] == start else start, position)
        super().reset_to(position)

    def seek(self, position: int) -> None:
        """Go elsewhere: what is read from there has no part of before."""
        self._out_of_range = self.jump = None
        super().seek(position)


def install() -> None:
    """Make the consumers of this process use these classes.

    To be called before the first of them starts: aiokafka tells a result from an error by its
    class. `LeanPartitionRecords.batched` says for which topics records are handed out lean.
    """
    aiokafka.consumer.fetcher.MemoryRecords = FetchedBatches
    aiokafka.consumer.fetcher.PartitionRecords = LeanPartitionRecords
    aiokafka.consumer.fetcher.FetchResult = WholeFetchResult
    aiokafka.consumer.subscription_state.TopicPartitionState = WatchedPartitionState
    aiokafka.consumer.consumer.Fetcher = ContainedFetcher
