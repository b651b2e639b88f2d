"""The records of a fetch of one partition: unpacked ahead, and handed out in parts.

They take the place of aiokafka's `PartitionRecords`: there is no other way to get a record before
an object of eleven fields is made of it, nor to get past a batch that the decoder gives up on.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any, ClassVar

import aiokafka.consumer.fetcher
from aiokafka.errors import CorruptRecordException

from stream_app.kafka.records.codecs import MAX_UNPACKED_BYTES
from stream_app.kafka.records.fetched_records import FetchedRecords, lean_records, whole_records
from stream_app.kafka.records.small_batches import SmallBatches
from stream_app.kafka.records.stored_batches import Batches, StoredBatch, without_frames
from stream_app.kafka.records.unreadable_batches import unreadable

#: Time after which no more records are added, and how many are made between two looks at the clock.
STEP_SECONDS = 0.05
_STEP_RECORDS = 500
_STEP_BYTES = 256 * 1024
#: Most bytes of one partition that are unpacked ahead of their use.
AHEAD_BYTES = 4 * 1024 * 1024


class LeanPartitionRecords(aiokafka.consumer.fetcher.PartitionRecords):
    """The records of a fetch of one partition.

    From batched topics it hands out the decoder's records, without a `ConsumerRecord` for each.
    """

    batched: frozenset[str] = frozenset()
    #: Parts of the log that held no record to hand out, by partition.
    skipped: ClassVar[dict[Any, tuple[int, int]]] = {}
    #: Places of batches that are fetched once more because their checksum was wrong.
    suspected: ClassVar[set[tuple[str, int, int]]] = set()

    #: Of the next record to be handed out.
    next_fetch_offset: int
    #: Where the log ends, as far as is known.
    log_end: int | None = None

    def __init__(self, tp: Any, *args: Any) -> None:
        super().__init__(tp, *args)
        mark = self._key_deserializer
        #: Whether the decoder's own records are wanted.
        self.is_lean = mark is lean_records or (
            tp.topic in self.batched and mark is not whole_records
        )
        #: Whether all has been handed out, and whether a thread is unpacking.
        self.is_drained = False
        self.is_busy = False
        #: Whether the fetcher unpacks batches before they are asked for.
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
        """Whether something can be handed out or skipped at once."""
        return not self.is_busy and (self._batch is not None or bool(self._ready))

    @property
    def held_bytes(self) -> int:
        """How many unpacked bytes are kept."""
        held = self._batch.size if self._batch and self._batch.codec else 0
        return held + sum(batch.size for batch in self._ready)

    def is_waiting(self) -> bool:
        """Tell whether the next batch must be unpacked first."""
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
        """Unpack the next batches; return how many bytes that gave."""
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
        """Return the next records; fewer than asked for if they take long to make."""
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
        """Add the records of the next small batches; tell whether there are any."""
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
        """Add the records of a batch from the wanted offset on."""
        if found and found[0].offset < self.next_fetch_offset:
            found = [record for record in found if record.offset >= self.next_fetch_offset]
        if found:
            # No further than the end of the batch, whatever a record says: the next begins there.
            after = min(found[-1].offset, batch.last_offset) + 1
            self.next_fetch_offset = max(self.next_fetch_offset, after)
            self._add_found(records, found)

    def _begin(self, records: FetchedRecords) -> bool:
        """Begin with the next batch; tell whether that was any progress."""
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
            # Fetch it again from here: the fault may have happened on the way.
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
                # Read it again, from the last offset that was handed out.
                self._decoded, self._is_tolerant = batch.tolerant_records(), True
                return
            problem = without_frames(error)
        is_over = len(found) < wanted
        self._hand_out(records, found, batch)
        if problem is not None and self.next_fetch_offset <= batch.last_offset:
            self._give_up(records, batch, problem)
        elif is_over:
            self._pass(batch)

    def _pass(self, batch: StoredBatch) -> None:
        """Go on behind a batch, even if compaction has removed its last record."""
        self._batch = None
        self.next_fetch_offset = max(self.next_fetch_offset, batch.last_offset + 1)

    def _end(self, records: FetchedRecords) -> None:
        """End the fetch; without any progress the same one would come back for ever."""
        self.is_drained = True
        if self._records is not None and self.next_fetch_offset == self._fetch_offset:
            data = memoryview(self._records.data)
            error = CorruptRecordException("the batch does not hold the offset it was found by")
            self._give_up(records, StoredBatch(data), error)

    def _give_up(self, records: FetchedRecords, batch: StoredBatch, error: Exception) -> None:
        """Go on behind what cannot be read of a batch, and hand that out as an unreadable batch."""
        self._batch = None
        first = self.next_fetch_offset
        last = self._last_offset(batch)
        if last < first:
            return  # its last offset is too large, so the broker took it for the one asked for
        found = unreadable(
            self._tp.topic,
            self._tp.partition,
            (first, last),
            batch.raw,
            error,
            # The time in damaged bytes means nothing.
            0 if isinstance(error, CorruptRecordException) else batch.max_timestamp,
        )
        self.next_fetch_offset = last + 1
        if self.is_lean:
            records.append(found)
            records.unreadable = [*records.unreadable, found]

    def _last_offset(self, batch: StoredBatch) -> int:
        """Return the last offset of a batch that cannot be read.

        Its header may be as wrong as the rest. If it says too much, sound records are skipped with
        it; if it says too little, some records are lost without a trace. So the beginning of the
        next batch decides, since a log has no gaps.
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
        """Tell whether a batch holds no data: it was aborted, or marks a transaction's end."""
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
        """Return nothing.

        aiokafka would keep the generator, and the generator all that was fetched: a reference
        cycle of megabytes until the next garbage collection.
        """
        return iter(())


class _SuspectedError(Exception):
    """The checksum of a batch is wrong for the first time."""
