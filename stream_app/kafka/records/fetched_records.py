"""The records that a consumer gets, and the part of the log that they come from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from stream_app.kafka.records.unreadable_batches import UnreadableBatch


class FetchedRecords(list[Any]):
    """Records of one fetch: all that there is from offset `start` up to `end`, exclusive.

    Batches that cannot be read stand among them, and in `unreadable`, too.
    """

    start = 0
    end = 0
    unreadable: Collection[UnreadableBatch] = ()

    def readable(self) -> Sequence[Any]:
        """Return the records without the unreadable batches."""
        if not self.unreadable:
            return self
        return [record for record in self if not isinstance(record, UnreadableBatch)]


def whole_records(key: bytes | None) -> bytes | None:
    """Return the key. As a `key_deserializer` it marks a consumer that wants aiokafka's records.

    The configuration is read by such a consumer, beside the agent that reads the same topics.
    """
    return key


def lean_records(key: bytes | None) -> bytes | None:
    """Return the key. As a `key_deserializer` it marks a consumer that wants the decoder's records.

    Changelogs are read by such a consumer, because they have many records.
    """
    return key
