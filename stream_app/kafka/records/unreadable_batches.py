"""Batches that cannot be read: each is noted once, for all consumers of the process.

A worker logs and counts them; a command reports them when it ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec
from aiokafka.errors import KafkaError

from stream_app.kafka.records.codecs import UnpackedTooLargeError

#: Most bytes of a batch that are kept: a topic takes no more by default.
MAX_KEPT_BYTES = 1024 * 1024
#: Batches that are remembered as noted: a bound on memory.
MAX_NOTED = 10_000


class UnreadableBatch(msgspec.Struct, frozen=True):
    """The part of a partition that an unreadable batch covers, in the shape of a record.

    `offset` is the last offset; `value` holds the batch's bytes, None if there are too many.
    """

    topic: str
    partition: int
    first_offset: int
    offset: int
    timestamp: int
    value: bytes | None
    size: int
    error_class: str
    error: str
    timestamp_type: int = 0
    key: None = None
    headers: tuple[()] = ()

    def __str__(self) -> str:
        """Return where it is and what is wrong."""
        last = f" to {self.offset}" if self.offset != self.first_offset else ""
        return (
            f"{self.topic} partition {self.partition}, offset {self.first_offset}{last}: "
            f"{self.error_class}: {self.error}"
        )


class UnreadableRegistry:
    """The unreadable batches that this process has found. Consumers run in several threads."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, int, int], UnreadableBatch] = {}
        self.listeners: list[Callable[[UnreadableBatch], None]] = []
        self._lock = threading.Lock()

    def note(self, batch: UnreadableBatch) -> None:
        """Note a batch; call the listeners the first time, from whatever thread this is."""
        place = batch.topic, batch.partition, batch.offset
        with self._lock:
            if place in self.found:
                return
            if len(self.found) >= MAX_NOTED:
                self.found.clear()
            self.found[place] = msgspec.structs.replace(batch, value=None)
        for listener in self.listeners:
            listener(batch)


#: One for the process, because aiokafka makes its objects without arguments of ours.
UNREADABLE_BATCHES = UnreadableRegistry()


def unreadable(
    topic: str, partition: int, offsets: tuple[int, int], raw: memoryview, error: Exception,
    timestamp: int,
) -> UnreadableBatch:  # fmt: skip
    """Return what is known of a batch, and note it; `offsets` are its first and last.

    If it unpacks to too much its bytes are not kept, so that nobody tries again.
    """
    is_kept = len(raw) <= MAX_KEPT_BYTES and not isinstance(error, UnpackedTooLargeError)
    batch = UnreadableBatch(
        topic,
        partition,
        *offsets,
        timestamp,
        bytes(raw) if is_kept else None,
        len(raw),
        type(error).__name__,
        # aiokafka's errors begin with the name of their class.
        str(error.args[0]) if isinstance(error, KafkaError) and error.args else str(error),
    )
    UNREADABLE_BATCHES.note(batch)
    return batch
