"""aiokafka's fetcher, made safe against what lies on a topic, and leaner.

These classes take the place of aiokafka's own (`install_fetcher`) for every consumer of the
process. None of their steps holds an event loop for long: what is compressed is unpacked in a
thread, up to a bound, and records are handed out in parts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import aiokafka.consumer.consumer
import aiokafka.consumer.fetcher
import aiokafka.consumer.subscription_state

from stream_app.kafka.records.fetch_states import WatchedPartitionState
from stream_app.kafka.records.partition_records import LeanPartitionRecords
from stream_app.kafka.records.stored_batches import Batches

#: Most records of one partition that are handed out at a time, and of all: it takes time to make
#: their objects, and an agent works on all of them in one go.
MAX_RECORDS = 10_000
MAX_RECORDS_OF_ALL = 50_000
#: Most bytes of all partitions that are unpacked ahead of their use.
AHEAD_BYTES_OF_ALL = 16 * 1024 * 1024
#: How every consumer reads: an aborted or open transaction counts for nothing. Ends of partitions
#: are then last stable offsets, in fetches and when a consumer asks for them.
READ_COMMITTED = "read_committed"


class FetchedBatches:
    """The bytes of a fetch, in the place of aiokafka's `MemoryRecords`."""

    def __init__(self, data: bytes | None) -> None:
        self.data = data or b""

    def size_in_bytes(self) -> int:
        """Return how many bytes there are."""
        return len(self.data)

    def has_next(self) -> bool:
        """Tell whether there are bytes; even those that make no sense are handed on."""
        return bool(self.data)

    def __iter__(self) -> Batches:
        """Return the batches."""
        return Batches(self.data)


class WholeFetchResult(aiokafka.consumer.fetcher.FetchResult):
    """Hands out records of a partition with the part of the log that they come from."""

    _partition_records: LeanPartitionRecords | None

    def getall(self, max_records: int | None = None) -> list[Any]:
        """Return the next records; none while their batch is being unpacked."""
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
                # Only control records of transactions; they count as part of the next batch.
                source.skipped[partition] = (start, records.end)
        return records


class ContainedFetcher(aiokafka.consumer.fetcher.Fetcher):
    """Unpacks in a thread what it has fetched, before anybody asks for it."""

    async def _proc_fetch_request(self, *args: Any) -> bool:
        is_new: bool = await super()._proc_fetch_request(*args)
        if is_new:
            try:
                await self._unpack_ahead(())
            except asyncio.CancelledError:
                # As aiokafka answers for a cancelled request: nobody wants the result any more.
                return False
        return is_new

    async def fetched_records(
        self,
        partitions: Collection[Any],
        timeout: float = 0,  # noqa: ASYNC109 - aiokafka's
        max_records: int | None = None,
    ) -> dict[Any, Any]:
        """Return the records that are there, or wait for some."""
        most = min(max_records or MAX_RECORDS_OF_ALL, MAX_RECORDS_OF_ALL)
        while True:
            is_unpacked = await self._unpack_ahead(partitions)
            found: dict[Any, Any] = await super().fetched_records(partitions, 0, most)
            if found:
                return found
            if not is_unpacked and not any(s.is_in_hand for s in self._sources(partitions)):
                waited: dict[Any, Any] = await super().fetched_records(partitions, timeout, most)
                return waited
            # What was read held no record to hand out, but there is more of it.
            await asyncio.sleep(0)

    def _sources(self, partitions: Collection[Any]) -> list[LeanPartitionRecords]:
        """Return what has been fetched of some partitions, or of all, and not handed out yet."""
        found = [
            getattr(result, "_partition_records", None)
            for partition, result in self._records.items()
            if not partitions or partition in partitions
        ]
        return [source for source in found if source is not None]

    async def _unpack_ahead(self, partitions: Collection[Any]) -> bool:
        """Unpack what comes next in some partitions, or all; return whether there was any."""
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


def install_fetcher() -> None:
    """Make all consumers of this process use these classes.

    Call it before the first of them starts, because aiokafka tells a result from an error by its
    class. `LeanPartitionRecords.batched` names the topics whose records are handed out lean.
    """
    aiokafka.consumer.fetcher.MemoryRecords = FetchedBatches
    aiokafka.consumer.fetcher.PartitionRecords = LeanPartitionRecords
    aiokafka.consumer.fetcher.FetchResult = WholeFetchResult
    aiokafka.consumer.subscription_state.TopicPartitionState = WatchedPartitionState
    aiokafka.consumer.consumer.Fetcher = ContainedFetcher
