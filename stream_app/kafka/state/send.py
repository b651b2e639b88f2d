"""A record to be sent to Kafka, and the offsets that the broker gave to changelog records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec


class WrittenTable(Protocol):
    """A table that wants to know the offsets of its changelog records."""

    def note_written(self, partition: int, offsets: Sequence[int]) -> None:
        """Note the offsets of acknowledged changelog records of a partition."""


class Send(msgspec.Struct, frozen=True, gc=False):
    """A record to be sent. `table` is set if it is a changelog record of that table.

    `if_too_large` makes the dead letter that is sent instead if its topic finds it too large.

    This is a struct because a flush may have tens of thousands of them: making one takes a tenth of
    the time of a data class.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    table: WrittenTable | None = None
    if_too_large: Callable[[], Send] | None = None


#: The offsets that the broker gave to a flush's changelog records, by table and partition.
Written = defaultdict[tuple[WrittenTable, int], list[int]]
