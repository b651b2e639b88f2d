"""What a consumer gets of a fetch: its records, and which part of the log they are all of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from stream_app.kafka.records.unreadable_batches import UnreadableBatch


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
