"""Reading a part of some topics again: by assignment, without a group and without commits."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.domain.errors import UsageError
from stream_app.domain.pulse.probe import is_probe
from stream_app.domain.replay.ranges import Bound, Range
from stream_app.kafka.cluster.connection import CONNECT_SECONDS, READ_SECONDS, kafka_errors
from stream_app.kafka.cluster.consumers import close, open_topics
from stream_app.kafka.history.spans import LogSpans, Span
from stream_app.kafka.records.fetched_records import FetchedRecords, lean_records
from stream_app.settings import Settings

_POLL_MS = 500
_FETCH_BYTES = 4 * 1024 * 1024
#: Records of a part that are unpacked at a time; a reader of it may stop early.
_PART_RECORDS = 500


class EventLog:
    """A part of some topics, without the events of the pulse. Use it with `async with`.

    Args:
        settings: those of the installation.
        topics: full names.

    Raises:
        KafkaUnreachableError: no broker answers, or they stop answering.
        TopicMismatchError: a topic is missing.
    """

    def __init__(self, settings: Settings, topics: Sequence[str]) -> None:
        self._settings = settings
        self.topics = tuple(dict.fromkeys(topics))
        self.spans = LogSpans()
        #: Number of records that were read.
        self.records = 0
        #: There is one inside the `async with`.
        self._reader: AIOKafkaConsumer

    async def __aenter__(self) -> Self:
        """Connect."""
        self._reader = await open_topics(
            self._settings,
            self.topics,
            max_partition_fetch_bytes=_FETCH_BYTES,
            # As a worker reads them: without an object for each record.
            key_deserializer=lean_records,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await close(self._reader)

    async def select(self, wanted: Range, *, may_be_empty: bool = False) -> None:
        """Select the offsets of a range, as the topics are now.

        Raises:
            StreamAppError: the range holds no record, and may not be empty.
        """
        reader = self._reader
        async with kafka_errors(self._settings), asyncio.timeout(CONNECT_SECONDS):
            partitions = sorted(reader.assignment())
            lows = await reader.beginning_offsets(partitions)
            highs = await reader.end_offsets(partitions)
            starts = await self._offsets(wanted.start, lows, highs)
            ends = await self._offsets(wanted.end, highs, highs)
        for tp in partitions:
            self.spans.select(tp, starts[tp], ends[tp], lows[tp], highs[tp])
        if not may_be_empty:
            self.spans.require_records(self.topics)

    async def select_offsets(self, wanted: Mapping[str, Sequence[tuple[int, int]]]) -> None:
        """Select (first offset, end) of each partition, by topic, without what has been removed.

        Raises:
            UsageError: a topic has other partitions.
            StreamAppError: they hold no record.
        """
        await self.select(Range())
        for topic in self.topics:
            rows, count = wanted.get(topic, ()), self.spans.partition_count(topic)
            if len(rows) != count:
                raise UsageError(
                    f"--resume names {len(rows)} partitions of {topic}, which has {count}: give it "
                    "as the interrupted run has printed it, with the same topics"
                )
        for tp, span in self.spans.items():
            start, end = wanted[tp.topic][tp.partition]
            self.spans.select(tp, start, end, span.low, span.high)
        self.spans.require_records(self.topics)

    def hold(self, partition: TopicPartition) -> None:
        """Pause a partition."""
        self._reader.pause(partition)

    def release(self, partition: TopicPartition) -> None:
        """Resume a partition."""
        self._reader.resume(partition)

    async def _offsets(
        self,
        bound: Bound,
        otherwise: dict[TopicPartition, int],
        highs: dict[TopicPartition, int],
    ) -> dict[TopicPartition, int]:
        """Return each partition's first offset from a bound on, or `otherwise` without a bound."""
        if bound.offset is not None:
            return dict.fromkeys(highs, bound.offset)
        if bound.moment_ms is None:
            return otherwise
        found = await self._reader.offsets_for_times(dict.fromkeys(highs, bound.moment_ms))
        return {
            tp: high if found.get(tp) is None else found[tp].offset for tp, high in highs.items()
        }

    async def batches(
        self, report: Callable[[int], None] = lambda _done: None
    ) -> AsyncGenerator[tuple[TopicPartition, Sequence[Any], bool], None]:
        """Yield (partition, records, whether they are its last), in the order of each partition.

        The last records of a partition may be an empty list.

        Args:
            report: called with the number of offsets that are done.
        """
        open_spans = {tp: span for tp, span in self.spans.items() if span.size}
        reader, done = self._reader, 0
        self.records = 0
        reader.resume(*open_spans)
        reader.pause(*(tp for tp in self.spans if tp not in open_spans))
        for tp, span in open_spans.items():
            reader.seek(tp, span.start)
        async with kafka_errors(self._settings):
            silent_since = time.monotonic()
            while open_spans:
                fetched = await reader.getmany(timeout_ms=_POLL_MS)
                positions = {tp: await reader.position(tp) for tp in open_spans}
                for tp, span in list(open_spans.items()):
                    records = self._within(tp, span, fetched.get(tp, ()))
                    is_last = positions[tp] >= span.end
                    if records or is_last:
                        yield tp, records, is_last
                    if is_last:
                        del open_spans[tp]
                        reader.pause(tp)
                        done += span.size
                report(done + sum(positions[tp] - s.start for tp, s in open_spans.items()))
                if fetched:
                    # Only now, because the caller may have taken long with the records.
                    silent_since = time.monotonic()
                elif open_spans and time.monotonic() - silent_since > READ_SECONDS:
                    raise TimeoutError(f"no record came for {READ_SECONDS:.0f} s")

    def _within(self, tp: TopicPartition, span: Span, records: Sequence[Any]) -> Sequence[Any]:
        if isinstance(records, FetchedRecords):
            # Unreadable batches are reported where they are found, and cannot be replayed.
            records = records.readable()
        if records and records[-1].offset >= span.end:
            records = list(itertools.takewhile(lambda record: record.offset < span.end, records))
        if records:
            self.spans.note_read(tp, records)
            records = _without_probes(records)
            self.records += len(records)
        return records

    async def first_offset(self, topic: str, partition: int) -> int:
        """Return the first offset that a partition still has."""
        tp = TopicPartition(topic, partition)
        async with kafka_errors(self._settings), asyncio.timeout(CONNECT_SECONDS):
            return int((await self._reader.beginning_offsets([tp]))[tp])

    async def read_part(
        self, topic: str, partition: int, first: int, last: int
    ) -> AsyncGenerator[list[Any], None]:
        """Yield the records of one partition from an offset to another, both inclusive."""
        reader, tp = self._reader, TopicPartition(topic, partition)
        async with kafka_errors(self._settings), asyncio.timeout(READ_SECONDS):
            reader.resume(tp)
            reader.seek(tp, first)
            try:
                while await reader.position(tp) <= last:
                    fetched = await reader.getmany(
                        tp, timeout_ms=_POLL_MS, max_records=_PART_RECORDS
                    )
                    found = fetched.get(tp)
                    records = found.readable() if found else ()
                    yield [r for r in _without_probes(records) if r.offset <= last]
            finally:
                reader.pause(tp)


def _without_probes(records: Sequence[Any]) -> Sequence[Any]:
    if any(record.headers and is_probe(record) for record in records):
        return [record for record in records if not is_probe(record)]
    return records
