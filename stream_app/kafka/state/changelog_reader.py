"""Reads whole changelogs: record batches in large fetches, applied in slices.

A slice holds the event loop for some tens of milliseconds at most, so that the health page answers
and the next rebalance is noticed. A slice is never applied in part.

Uncommitted records are read, too: this app writes changelogs without transactions, and somebody
else's open transaction must not hide the records behind it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from stream_app.domain.errors import StreamAppError, TopicMismatchError, error_text
from stream_app.kafka.cluster.consumers import close
from stream_app.kafka.records.fetched_records import FetchedRecords, lean_records
from stream_app.kafka.state.recovery_progress import RestoreProgress
from stream_app.kafka.state.state_table import StateTable
from stream_app.logs import get_logger

log = get_logger(__name__)

#: Most bytes of a fetch, of all partitions and of one. Larger fetches are no faster, and Python
#: returns little of their memory to the system.
FETCH_BYTES = 32 * 1024 * 1024
PARTITION_FETCH_BYTES = 512 * 1024
#: Most records that are unpacked at once.
FETCH_RECORDS = 5_000
#: A slice ends after this time. The clock is read once for so many records.
SLICE_SECONDS = 0.02
SLICE_RECORDS = 200
FETCH_WAIT_MS = 20
POLL_MS = 200


class StaleRestoreError(Exception):
    """The partitions are being reassigned, so nobody needs what is read here any more."""


async def restore(
    options: Mapping[str, Any],
    tables: Mapping[TP, StateTable[Any]],
    is_current: Callable[[], bool],
    progress: RestoreProgress,
) -> None:
    """Bring the states of changelog partitions up to the end of their logs.

    Args:
        options: how to reach the brokers.
        tables: the table of each changelog partition to read.
        is_current: tells whether the states are still needed; asked before each change.
        progress: updated as the reading goes on.

    Raises:
        StaleRestoreError: the states are not needed any more.
        StreamAppError: a changelog cannot be read by this version, or has lost records.
        KafkaError: the broker does not answer, or refuses.
    """
    consumer = AIOKafkaConsumer(
        **options,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        key_deserializer=lean_records,
        fetch_max_bytes=FETCH_BYTES,
        max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
        # A broker that has nothing more to read must not hold up the others.
        fetch_max_wait_ms=FETCH_WAIT_MS,
        max_poll_records=None,
    )
    await consumer.start()
    try:
        # Otherwise aiokafka asks for the metadata of one topic at a time, which takes 0.1 s each.
        await consumer._client.set_topics({tp.topic for tp in tables})  # noqa: SLF001 - not public
        await _Reading(consumer, tables, is_current, progress).run()
    finally:
        await close(consumer)


class _Reading:
    """One pass over the partitions that have something to read."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        tables: Mapping[TP, StateTable[Any]],
        is_current: Callable[[], bool],
        progress: RestoreProgress,
    ) -> None:
        self._consumer = consumer
        self._tables = {TopicPartition(*tp): table for tp, table in tables.items()}
        self._is_current = is_current
        self._progress = progress

    async def run(self) -> None:
        consumer, progress = self._consumer, self._progress
        partitions = list(self._tables)
        ends = await consumer.end_offsets(partitions) if partitions else {}
        begins = await consumer.beginning_offsets(partitions) if partitions else {}
        self._require_current()
        positions = {tp: max(self._next_offset(tp), begins[tp]) for tp in partitions}
        for tp in partitions:
            if ends[tp] < self._next_offset(tp):
                raise _lost_records_error(tp, self._next_offset(tp), ends[tp])
        # A log whose records are all deleted is not a new one: its table must find out at the end
        # of the reading that they are missing.
        wanted = [
            tp
            for tp in partitions
            if positions[tp] < ends[tp] or (begins[tp] > 0 and self._next_offset(tp) == 0)
        ]
        progress.begin(sum(ends[tp] - positions[tp] for tp in wanted), len(wanted))
        if wanted:
            log.info("state_reading", partitions=len(wanted), records=progress.total)
            consumer.assign(wanted)
            for tp in wanted:
                consumer.seek(tp, positions[tp])
                self._tables[tp].begin_reading(tp.partition, begins[tp])
            starts = dict(positions)
            await self._read(wanted, ends, positions)
            begins = await self._begin_offsets_now(wanted, starts)
        for tp in wanted:
            for _ in self._tables[tp].finish_reading(tp.partition, begins[tp], ends[tp]):
                await asyncio.sleep(0)
                self._require_current()
                if progress.is_due():
                    log.info("state_being_made", partitions=progress.made, of=progress.partitions)
            progress.made += 1
        progress.end()
        if wanted:
            log.info(
                "state_read",
                records=progress.records,
                seconds=round(progress.seconds, 2),
                records_per_second=progress.per_second,
            )

    async def _begin_offsets_now(
        self, wanted: Sequence[TopicPartition], starts: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, int]:
        """Return where the logs begin now: records deleted meanwhile may not have been read.

        Raises:
            ConnectionError: records are gone that a state in memory needs; read again.
        """
        begins = await self._consumer.beginning_offsets(wanted)
        self._require_current()
        for tp in wanted:
            if begins[tp] > starts[tp] > 0 and self._tables[tp].persisted_offset(tp) >= 0:
                raise ConnectionError(f"{tp.topic}[{tp.partition}]: its oldest records have gone")
        found: Mapping[TopicPartition, int] = begins
        return found

    def _next_offset(self, tp: TopicPartition) -> int:
        return self._tables[tp].persisted_offset(tp) + 1

    def _require_current(self) -> None:
        """Raise `StaleRestoreError` if nobody needs these states any more."""
        if not self._is_current():
            raise StaleRestoreError

    async def _read(
        self,
        wanted: Sequence[TopicPartition],
        ends: Mapping[TopicPartition, int],
        positions: dict[TopicPartition, int],
    ) -> None:
        """Read until each position is at the end; the last record may be compacted away."""
        open_partitions = set(wanted)
        while open_partitions:
            found = await self._consumer.getmany(
                *open_partitions, timeout_ms=POLL_MS, max_records=FETCH_RECORDS
            )
            for tp, records in found.items():
                await self._take(tp, records)
            for tp in list(open_partitions):
                position = min(await self._consumer.position(tp), ends[tp])
                self._progress.done += position - positions[tp]
                positions[tp] = position
                if position >= ends[tp]:
                    open_partitions.discard(tp)
                    self._consumer.pause(tp)
            self._report()

    async def _take(self, tp: TopicPartition, found: FetchedRecords) -> None:
        table, at = self._tables[tp], 0
        for batch in found.unreadable:
            table.note_unreadable(tp.partition, batch)
        records = found.readable()
        while at < len(records):
            self._require_current()
            until = time.monotonic() + SLICE_SECONDS
            while at < len(records) and time.monotonic() < until:
                piece = records[at : at + SLICE_RECORDS]
                try:
                    table.restore(tp.partition, piece)
                except StreamAppError:
                    raise
                except Exception as error:
                    raise _unreadable_error(tp, table.app.role, piece, error) from error
                at += len(piece)
                self._progress.records += len(piece)
            await asyncio.sleep(0)

    def _report(self) -> None:
        progress = self._progress
        if progress.is_due():
            log.info(
                "state_still_reading",
                done=progress.done,
                of=progress.total,
                records_per_second=progress.per_second,
                seconds_left=progress.seconds_left,
            )


def _lost_records_error(tp: TopicPartition, wanted: int, end: int) -> TopicMismatchError:
    return TopicMismatchError(
        f"{tp.topic} partition {tp.partition} ends at offset {end}, but its records up to "
        f"{wanted - 1} are in memory: the topic was made anew, or has lost its newest records. "
        "Stop all workers of this role and start them again"
    )


def _unreadable_error(
    tp: TopicPartition, role: str, records: Sequence[Any], error: Exception
) -> StreamAppError:
    first, last = records[0].offset, records[-1].offset
    return StreamAppError(
        f"the state in {tp.topic} partition {tp.partition} cannot be read: a record of the "
        f"offsets {first} to {last}: {error_text(error)}. Stop all workers of this role and run "
        f"'stream-app state reset {role} --yes'"
    )
