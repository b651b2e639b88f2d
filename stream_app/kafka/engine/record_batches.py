"""The records of one partition's poll as one stream event.

Faust spends about 140 microseconds on each message. Handing an agent all records of a poll as one
event avoids that. It also avoids aiokafka's record objects: the agent gets the decoder's own
records (`offset`, `timestamp`, `value`, `headers`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from faust.types import TP

from stream_app.kafka.records.fetched_records import FetchedRecords

#: A fetched record takes about this much more memory than its value.
RECORD_OVERHEAD_BYTES = 200
#: A batch's size is estimated from this many of its records, or up to twice as many.
SAMPLE = 16


class RecordBatch(NamedTuple):
    """The records of one partition's poll, in the shape that Faust expects of a record.

    `offset` is the last offset that the batch covers; `value` is a `BatchValue`.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: None
    value: BatchValue
    checksum: None
    serialized_key_size: int
    serialized_value_size: int
    headers: tuple[()]


class BatchValue:
    """The records of a batch, and its place among the batches of its partition.

    It covers the log from offset `start` up to `end` (exclusive). Faust and aiokafka may drop a
    batch around a rebalance; the next one then does not start where the last one ended. `epoch`
    counts how often the consumer has been given new positions. `release()` lets go of the records;
    the batch itself stays until everything that they caused is acknowledged. `unreadable` holds
    the stored batches of that range that cannot be read.
    """

    __slots__ = ("_release", "end", "epoch", "records", "size", "start", "unreadable")

    def __init__(
        self, records: FetchedRecords, epoch: int, release: Callable[[BatchValue], None]
    ) -> None:
        self.unreadable = records.unreadable
        self.records: Sequence[Any] = records.readable()
        #: How many records there are, or were.
        self.size = len(self.records)
        self.start = records.start
        self.end = records.end
        self.epoch = epoch
        self._release = release

    def release(self) -> None:
        """Let go of the records, so that the consumer may fetch as many again."""
        self.records = ()
        self._release(self)


def size_of(records: Sequence[Any]) -> int:
    """Estimate the memory that records take, in bytes, from a sample of them."""
    sample = records[:: max(1, len(records) // SAMPLE)]
    mean = sum(len(record.value or b"") for record in sample) // len(sample)
    return len(records) * (mean + RECORD_OVERHEAD_BYTES)


class WaitingBatches:
    """The batches that are fetched and not yet taken by their agents, the oldest first.

    `number` counts them by topic, and `bytes` is the memory that they take.
    """

    def __init__(self) -> None:
        self.number: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self._batches: dict[BatchValue, tuple[TP, int]] = {}

    def add(self, batch: BatchValue, partition: TP, size: int) -> None:
        """Add a batch that has just been fetched; `size` is in bytes."""
        self._batches[batch] = partition, size
        self.number[partition.topic] += 1
        self.bytes[partition.topic] += size

    def take(self, batch: BatchValue) -> str | None:
        """Take out a batch, and return its topic; None if it is of positions before."""
        partition, size = self._batches.pop(batch, (None, 0))
        if partition is None:
            return None
        topic: str = partition.topic
        self.number[topic] -= 1
        self.bytes[topic] -= size
        return topic

    def keep(self, epoch: int) -> None:
        """Forget the batches of other positions; the first of the new ones may be here already."""
        kept = {batch: row for batch, row in self._batches.items() if batch.epoch == epoch}
        self._batches.clear()
        self.number.clear()
        self.bytes.clear()
        for batch, row in kept.items():
            self.add(batch, *row)

    def oldest(self, topics: Collection[str]) -> tuple[TP, BatchValue] | None:
        """Return the oldest batch of some topics."""
        found = ((tp, batch) for batch, (tp, _) in self._batches.items() if tp.topic in topics)
        return next(found, None)
