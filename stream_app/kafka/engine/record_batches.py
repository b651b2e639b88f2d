"""One partition's poll as one stream event.

Faust spends about 140 microseconds on each message. Handing an agent the records of one
partition's poll as one event removes that, and aiokafka's record objects are left out, too:
the agent gets the decoder's own records (`offset`, `timestamp`, `value`, `headers`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from stream_app.kafka.records.fetched_records import FetchedRecords

#: Fetched records and their objects take about this much more memory than their values.
RECORD_OVERHEAD_BYTES = 200
SAMPLE = 16


class RecordBatch(NamedTuple):
    """The records of one partition's poll, in the shape of a record for Faust.

    `offset` is the last of the part of the log that it holds; `value` is a `BatchValue`.
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

    It holds all that the log has from offset `start` up to `end` (exclusive). Faust and aiokafka
    may drop a batch around a rebalance; the next one then does not start where the last ended.
    `epoch` counts how often the consumer has been set to new positions. `release()` lets go of
    the records: the batch itself stays until all that they caused is acknowledged. `unreadable`
    are the stored batches in that part of the log which cannot be read; no record is one of them.
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
        """Let go of the records, and let the consumer fetch as many again."""
        self.records = ()
        self._release()


def size_of(records: Sequence[Any]) -> int:
    """Estimate the memory of records from a sample of them."""
    sample = records[:: max(1, len(records) // SAMPLE)]
    mean = sum(len(record.value or b"") for record in sample) // len(sample)
    return len(records) * (mean + RECORD_OVERHEAD_BYTES)
