"""Snapshots: each owner writes the whole states of its partitions from time to time.

A restart reads from the newest whole snapshot on. So what it reads is bounded by the size of the
state, not by how long the system has run. A snapshot says which changelog offset it *covers*: it
contains everything up to there. Records up to the offset that the *previous* snapshot covers are
deleted: they are not needed even if the newest snapshot turns out to be damaged.

A snapshot is written in small slices with pauses, one partition at a time, so that it holds up
neither the event loop nor the producer. It stops when the worker loses the partition.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from stream_app.domain.errors import StreamAppError
from stream_app.domain.state.keys import NEVER
from stream_app.domain.state.packed_log import PackedPart
from stream_app.kafka.cluster.admin import Admin
from stream_app.kafka.cluster.connection import connection_options
from stream_app.kafka.cluster.consumers import close
from stream_app.kafka.engine.batched_sends import PartitionName
from stream_app.kafka.engine.ownership import Ownership, run_beside
from stream_app.kafka.records.fetched_records import lean_records
from stream_app.kafka.state.packed_table import PackedTable
from stream_app.kafka.state.send import Send
from stream_app.logs import get_logger
from stream_app.settings import Settings

log = get_logger(__name__)

#: Cells or windows in one slice, which takes some 10 ms of the event loop.
SLICE = 2_000
#: The pause after a slice is this many times as long as the slice took.
PAUSE_FACTOR = 3
#: A snapshot is due early when the changelog has grown, since the last one, by more than this and
#: by more than this many times the size of that snapshot.
MIN_TAIL_BYTES = 16 * 1024 * 1024
TAIL_PER_SNAPSHOT = 4
#: The first snapshot comes after this share of the interval: nothing can be deleted before there
#: are two.
FIRST_SHARE = 0.2
#: Longest time between two looks for snapshots that are due.
LOOK_SECONDS = 1.0
#: Records that are unknown for longer are another worker's: a write of this one is acknowledged by
#: then, or this worker ends.
GAP_SECONDS = 5.0
FETCH_MS = 500


class SnapshotApp(Protocol):
    """The app whose states are written."""

    settings: Settings

    @property
    def ownership(self) -> Ownership:
        """Tells whether the partitions still belong to this worker."""

    @property
    def packed_tables(self) -> Sequence[PackedTable[Any]]:
        """The tables that have snapshots."""

    async def produce_step(self, step: Sequence[Send]) -> Mapping[PartitionName, list[int]]:
        """Send records and wait for the broker; return their offsets by topic and partition."""


class Snapshots:
    """Writes the snapshots of one worker.

    Args:
        app: the worker's app.
        interval_seconds: time between two snapshots of a partition that has changed.
    """

    def __init__(self, app: SnapshotApp, interval_seconds: float) -> None:
        self._app = app
        self._interval = interval_seconds
        self._task: asyncio.Task[None] | None = None
        self._has_logged_refusal = False

    async def start(self) -> None:
        """Start to look for snapshots that are due."""
        # Its error ends the worker: without snapshots restarts would take longer and longer.
        self._task = run_beside(self._app.ownership, self._run())

    async def stop(self) -> None:
        """Stop; a snapshot that is being written stays incomplete."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(min(LOOK_SECONDS, self._interval))
            for table in self._app.packed_tables:
                for partition in list(table.states):
                    if self._is_due(table, partition):
                        await self._try_to_write(table, partition)

    def _is_due(self, table: PackedTable[Any], partition: int) -> bool:
        state, tail = table.states.get(partition), table.tail_bytes.get(partition, 0)
        if table.generation < 0 or state is None or not tail:
            return False
        waited = time.monotonic() - table.snapshot_at.setdefault(partition, time.monotonic())
        is_first = table.covered.get(partition, NEVER) == NEVER
        if waited >= self._interval * (FIRST_SHARE if is_first else 1):
            return True
        return tail > max(
            MIN_TAIL_BYTES, TAIL_PER_SNAPSHOT * table.snapshot_bytes.get(partition, 0)
        )

    async def _try_to_write(self, table: PackedTable[Any], partition: int) -> None:
        try:
            await self._write_snapshot(table, partition)
        except (KafkaError, OSError, StreamAppError) as error:
            why = str(error) or type(error).__name__
            log.warning(
                "snapshot_not_written",
                changelog=table.changelog_topic_name,
                partition=partition,
                why=why,
                then="trying again later",
            )
            table.snapshot_at[partition] = time.monotonic()

    async def _write_snapshot(self, table: PackedTable[Any], partition: int) -> None:
        generation, epoch, state = table.generation, table.epoch, table.states[partition]
        covers = await self._known_to(table, partition, epoch)
        if covers is None or table.epoch != epoch:
            return
        # Changes from here on come after the snapshot, even if a slice already contains them.
        version, rows = state.progress_offset, state.progress_rows()
        tail = table.tail_bytes[partition]
        group, number, size, started = table.new_group(), 0, 0, time.monotonic()
        for slice_version, slice_rows in state.snapshot(SLICE):
            part = PackedPart(0, NEVER, slice_version, slice_rows)
            began = time.monotonic()
            if not await self._write_part(table, partition, group, number, part, generation):
                return
            number, size = number + 1, size + len(slice_rows)
            await asyncio.sleep(min(PAUSE_FACTOR * (time.monotonic() - began), 0.1))
        last = PackedPart(number + 1, covers, version, rows)
        if not await self._write_part(table, partition, group, number, last, generation):
            return
        previous = table.covered.get(partition, NEVER)
        table.covered[partition], table.snapshot_bytes[partition] = covers, size
        table.snapshot_at[partition] = time.monotonic()
        # After the first snapshot a byte stays, so that the second one, which deletes the records
        # before the first, comes even if nothing else changes.
        table.tail_bytes[partition] -= tail - (previous == NEVER)
        log.debug(
            "snapshot_written",
            changelog=table.changelog_topic_name,
            partition=partition,
            records=number + 1,
            bytes=size,
            seconds=round(time.monotonic() - started, 2),
        )
        if previous != NEVER:
            await self._delete_before(table, partition, previous + 1)

    async def _write_part(
        self,
        table: PackedTable[Any],
        partition: int,
        group: str,
        number: int,
        part: PackedPart,
        generation: int,
    ) -> bool:
        """Write one part; return whether the partition still belongs to this worker."""
        app, epoch = self._app, table.epoch
        if table.generation != generation or not app.ownership.is_current(generation):
            return False
        if not await app.ownership.confirm(generation):
            return False
        send = table.snapshot_part(partition, group, number, part)
        sent = await app.produce_step([send])
        if table.epoch != epoch:
            return False
        for offsets in sent.values():
            table.note_written(partition, offsets)
        return True

    async def _known_to(self, table: PackedTable[Any], partition: int, epoch: int) -> int | None:
        """Return the changelog offset up to which the state is complete; None if unknown now."""
        known, since = table.known_to(partition), time.monotonic()
        while table.gap(partition):
            await asyncio.sleep(LOOK_SECONDS / 20)
            if table.epoch != epoch:
                return None
            if table.known_to(partition) != known:
                known, since = table.known_to(partition), time.monotonic()
            elif time.monotonic() - since > GAP_SECONDS:
                break
        gap = table.gap(partition)
        if gap:
            records, source_end = await self._read_changelog(table, partition, gap)
            if table.epoch != epoch or table.known_to(partition) != known:
                return None
            others = table.close_gap(partition, records, source_end)
            log.warning(
                "state_overwritten",
                changelog=table.changelog_topic_name,
                partition=partition,
                records=others,
                then="waiting" if others is None else "a snapshot stands for them",
            )
            if others is None:
                table.snapshot_at[partition] = time.monotonic()
                return None
        return table.known_to(partition)

    async def _read_changelog(
        self, table: PackedTable[Any], partition: int, offsets: range
    ) -> tuple[Sequence[Any], int]:
        """Return the changelog records of some offsets, and the end of the source partition."""
        consumer = AIOKafkaConsumer(
            **connection_options(self._app.settings),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            key_deserializer=lean_records,
        )
        await consumer.start()
        try:
            tp, found = TopicPartition(table.changelog_topic_name, partition), list[Any]()
            consumer.assign([tp])
            consumer.seek(tp, offsets.start)
            while await consumer.position(tp) < offsets.stop:
                for records in (await consumer.getmany(tp, timeout_ms=FETCH_MS)).values():
                    found += records
            sources = [TopicPartition(topic, partition) for topic in table.source_topics]
            return found, max((await consumer.end_offsets(sources)).values())
        finally:
            await close(consumer)

    async def _delete_before(self, table: PackedTable[Any], partition: int, before: int) -> None:
        """Delete the changelog records before an offset."""
        tp = TopicPartition(table.changelog_topic_name, partition)
        try:
            async with Admin(self._app.settings) as client:
                try:
                    await client.delete_records({tp: RecordsToDelete(before)})
                except TopicAuthorizationFailedError:
                    raise TopicAuthorizationFailedError(tp.topic) from None
        except StreamAppError as error:
            if not self._has_logged_refusal:
                self._has_logged_refusal = True
                log.warning(
                    "changelog_not_trimmed",
                    changelog=tp.topic,
                    why=str(error),
                    then="it grows: a restart reads more than it must",
                )
