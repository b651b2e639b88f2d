"""Partial counts: the records from stage 1 of counting to stage 2.

A partial count is the number of events of one source partition that one (trigger, revision,
window) has counted, absolute. A record holds all of one flush for one partition of `counts`.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import Annotated

import msgspec

from stream_app.domain.counting.cells import CellRow
from stream_app.domain.counting.windows import counts_key

#: Numbers have at most 64 bits.
MAX_NUMBER = 2**63 - 1
Number = Annotated[int, msgspec.Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)]
#: Start, source partition and count.
WindowCount = Annotated[list[Number], msgspec.Meta(min_length=3, max_length=3)]
#: Windows in one record. It stays far below a broker's limit.
MAX_WINDOWS = 10_000
#: Triggers whose encoded part of a record is remembered.
ENCODED_CACHE_SIZE = 50_000


class TriggerCounts(msgspec.Struct, frozen=True, gc=False):
    """The partial counts of one trigger and revision."""

    client_id: Number
    trigger_id: Number
    revision: str
    period: Number
    windows: list[WindowCount]

    def __post_init__(self) -> None:
        """Refuse what would not fit the window's key."""
        if ":" in self.revision or "|" in self.revision:
            raise ValueError("revision: must be a hash")

    @property
    def name(self) -> str:
        """Return the key of the trigger's counts."""
        return counts_key(self.client_id, self.trigger_id, self.revision, self.period)


class PartialCounts(msgspec.Struct, frozen=True):
    """Partial counts of windows, each for one source partition.

    `config_position` is the offset up to which the counting worker had read `config.triggers`.
    `appended_ms` serves a metric only.
    """

    triggers: list[TriggerCounts]
    config_position: int
    appended_ms: dict[str, Number] = {}


_decode = msgspec.json.Decoder(PartialCounts).decode


def decode_partial_counts(value: bytes | None) -> PartialCounts:
    """Decode a record of `counts`.

    Raises:
        msgspec.ValidationError, msgspec.DecodeError, TypeError: the record is no such record.
    """
    if value is None:
        raise TypeError("the record has no value")
    return _decode(value)


class PartialCountsWriter:
    """Gathers the partial counts of a flush into records.

    Args:
        config_position: how far the worker has read `config.triggers`.
    """

    def __init__(self, config_position: int) -> None:
        self._config_position = config_position
        self._rows: defaultdict[str, list[bytes]] = defaultdict(list)
        self._appended_ms: dict[int, int] = {}

    def add_changes(self, partition: int, changed: Iterable[CellRow], appended_ms: int) -> None:
        """Add the changed cells of a source partition. `appended_ms` is of its newest record."""
        self._appended_ms[partition] = appended_ms
        rows = self._rows
        for name, flat in changed:
            numbers = iter(flat)
            rows[name] += [
                b"[%d,%d,%d]" % (start, partition, count)
                for start, count in zip(numbers, numbers, strict=True)
            ]

    @property
    def names(self) -> Collection[str]:
        """The keys of the triggers that have counted."""
        return self._rows.keys()

    def records(self, names: Iterable[str]) -> Iterator[bytes]:
        """Yield the values of the records that hold the rows of some triggers."""
        parts: list[bytes] = []
        number = 0
        for name in names:
            rows, head = self._rows[name], encoded_trigger(name)[1]
            for at in range(0, len(rows), MAX_WINDOWS):
                piece = rows[at : at + MAX_WINDOWS]
                parts.append(head + b",".join(piece) + b"]}")
                number += len(piece)
                if number >= MAX_WINDOWS:
                    yield self._record(parts)
                    parts, number = [], 0
        if parts:
            yield self._record(parts)

    def _record(self, parts: list[bytes]) -> bytes:
        appended = ",".join(f'"{n}":{ms}' for n, ms in sorted(self._appended_ms.items()))
        tail = f'],"config_position":{self._config_position},"appended_ms":{{{appended}}}}}'
        return b'{"triggers":[' + b",".join(parts) + tail.encode()


@functools.lru_cache(maxsize=ENCODED_CACHE_SIZE)
def encoded_trigger(name: str) -> tuple[bytes, bytes]:
    """Return the encoded id of a trigger, by which its partition is chosen, and its record's head.

    `name` is the key of the trigger's counts. The rows of its windows follow the head.
    """
    client_id, trigger_id, revision, period = name.split(":")
    part = TriggerCounts(int(client_id), int(trigger_id), revision, int(period), [])
    return trigger_id.encode(), msgspec.json.encode(part).removesuffix(b"]}")
