"""The records of one partition's poll as one stream event.

Faust spends about 140 microseconds on each message. Handing an agent all records of a poll as one
event avoids that. It also avoids aiokafka's record objects: the agent gets the decoder's own
records (`offset`, `timestamp`, `value`, `headers`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

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

    def __init__(self, records: FetchedRecords, epoch: int, release: Callable[[], None]) -> None:
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
        self._release()


def size_of(records: Sequence[Any]) -> int:
    """Estimate the memory that records take, in bytes, from a sample of them."""
    sample = records[:: max(1, len(records) // SAMPLE)]
    mean = sum(len(record.value or b"") for record in sample) // len(sample)
    return len(records) * (mean + RECORD_OVERHEAD_BYTES)
