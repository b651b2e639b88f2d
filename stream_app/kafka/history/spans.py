"""The selected offsets of a log's partitions, and the time that their records cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiokafka import TopicPartition

from stream_app.domain.errors import StreamAppError
from stream_app.domain.replay.ranges import Extent, Range
from stream_app.kafka.history.newest_records import fair_cap


@dataclass(frozen=True)
class Span:
    """The offsets of one partition that are read, and those that it has (`low` to `high`).

    Both ends are exclusive.
    """

    start: int
    end: int
    low: int
    high: int

    @property
    def size(self) -> int:
        """The number of offsets; compaction and transactions leave some without records."""
        return self.end - self.start


class LogSpans(dict[TopicPartition, Span]):
    """The span of each partition; one that has nothing to read has an empty span."""

    def __init__(self) -> None:
        super().__init__()
        #: Timestamps (Unix ms) of the first and the last record that each partition has given.
        self.times: dict[TopicPartition, tuple[int, int]] = {}

    @property
    def size(self) -> int:
        """The number of records to be read, as far as offsets tell."""
        return sum(span.size for span in self.values())

    def select(self, tp: TopicPartition, start: int, end: int, low: int, high: int) -> None:
        """Select the offsets of a partition that lie between two and exist (`low` to `high`)."""
        start, end = (min(max(offset, low), high) for offset in (start, end))
        self[tp] = Span(start, max(start, end), low, high)

    def cap(self, most: int) -> bool:
        """Keep only the first offsets of each partition, so that all together are at most `most`.

        Returns:
            Whether something was left out.
        """
        cap = fair_cap([span.size for span in self.values()], most)
        cut = [tp for tp, span in self.items() if span.size > cap]
        for tp in cut:
            self[tp] = replace(self[tp], end=self[tp].start + cap)
        return bool(cut)

    def note_read(self, tp: TopicPartition, records: Sequence[Any]) -> None:
        """Note the times of records that were read; there is at least one."""
        first, _ = self.times.get(tp, (records[0].timestamp, 0))
        self.times[tp] = first, records[-1].timestamp

    def partition_count(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        return sum(tp.topic == topic for tp in self)

    def partitions(self, topic: str) -> list[int]:
        """Return the partitions of a topic that have something to read."""
        return [tp.partition for tp, span in self.items() if tp.topic == topic and span.size]

    def require_records(self, topics: Sequence[str]) -> None:
        """Check that there is something to read in one of the topics.

        Raises:
            StreamAppError: there is not; it says which offsets the topics have.
        """
        if self.size:
            return
        parts, is_empty = [], True
        for topic in topics:
            spans = [span for tp, span in self.items() if tp.topic == topic]
            held = sum(span.high - span.low for span in spans)
            is_empty = is_empty and not held
            low, high = min(s.low for s in spans), max(s.high for s in spans)
            parts.append(
                f"{topic} holds {held} records"
                + (f", at offsets {low} to {high - 1} of its partitions" if held else "")
            )
        found = "; ".join(parts)
        if is_empty:
            raise StreamAppError(
                f"nothing to read: {found}: no event has come, or the topic's retention has "
                "deleted them all; look at STREAM_APP_TOPIC_PREFIX if there should be some"
            )
        raise StreamAppError(f"nothing to read in this range: {found}: give another --from or --to")

    def extent(self, topic: str, selected: Range) -> Extent:
        """Return the time that has been read in all partitions of a topic."""
        start, end = selected.start.moment_ms, selected.end.moment_ms
        first, last = [], []
        for tp, span in self.items():
            if tp.topic != topic:
                continue
            read = self.times.get(tp)
            if span.start > span.low and start is not None:
                first.append(start)
            elif span.start > 0 and read is not None:
                first.append(read[0])
            if span.end < span.high and end is not None:
                last.append(end)
            elif span.end < span.high and read is not None:
                last.append(read[1] + 1)
        return Extent(max(first, default=None), min(last, default=None))

    def covered_ms(self, selected: Range, now_ms: int) -> tuple[int, int]:
        """Return the time (Unix ms) that the records of all topics cover.

        It begins with the first record if the log holds nothing older, and goes on until now if it
        holds nothing newer: a time without events counts, too.

        Raises:
            StreamAppError: no record was read, though the range has offsets.
        """
        if not self.times:
            raise StreamAppError(
                "nothing to read in this range: its offsets hold no records, only what "
                "transactions or compaction have left: give another --from or --to"
            )
        first = min(first for first, _ in self.times.values())
        last = max(last for _, last in self.times.values())
        is_older = any(span.start > span.low for span in self.values())
        is_newer = any(span.end < span.high for span in self.values())
        start, end = selected.start.moment_ms, selected.end.moment_ms
        from_ms = start if start is not None and is_older else first
        if end is None:
            end = last + 1 if is_newer else now_ms
        return from_ms, max(min(end, now_ms), from_ms + 1)
