"""Stage 2 of counting: partial counts of all source partitions become fired windows.

A partial count is absolute, and it never decreases: of two for one source partition the larger
one stays, so a replay changes nothing. A window fires once, when the sum first exceeds the
threshold.
"""

from __future__ import annotations

import functools
import heapq
from collections.abc import Container, Iterable, Iterator

import msgspec
import orjson

from stream_app.domain.state_keys import (
    NEVER,
    PROGRESS_KEY,
    CellKey,
    cell_key_bytes,
    parse_cell_key,
)
from stream_app.domain.windows import retention_seconds

#: Header of a partial count: append time of the newest record in its flush, Unix ms. It is for a
#: metric only, and no part of what is counted.
APPENDED_HEADER = "x-appended-ms"
#: Of a record of the changelog: no more than 64 bits.
MAX_NUMBER = 2**63 - 1

#: What differs between the partial counts of one trigger: the last fields of the struct.
VARYING = ("window_start", "partition", "count", "config_position")
#: Triggers whose part of the record is remembered.
FORM_CACHE_SIZE = 50_000


class PartialCount(msgspec.Struct, frozen=True):
    """How many events of one source partition one (trigger, revision, window) has counted.

    `config_position` is how far the counting worker had read `config.triggers`.
    """

    client_id: int
    trigger_id: int
    revision: str
    period: int
    window_start: int
    partition: int
    count: int
    config_position: int

    def __post_init__(self) -> None:
        """Refuse what would fit neither the window's key nor its record."""
        if ":" in self.revision or "|" in self.revision:
            raise ValueError("revision: must be a hash")
        if not (
            -MAX_NUMBER <= self.period <= MAX_NUMBER
            and -MAX_NUMBER <= self.window_start <= MAX_NUMBER
            and -MAX_NUMBER <= self.partition <= MAX_NUMBER
            and -MAX_NUMBER <= self.count <= MAX_NUMBER
        ):
            raise ValueError(f"a number is beyond {MAX_NUMBER}")

    @property
    def window(self) -> CellKey:
        """Return the key of the window."""
        name = f"{self.client_id}:{self.trigger_id}:{self.revision}:{self.period}"
        return name, self.window_start


def partial_count(cell: CellKey, partition: int, count: int, config_position: int) -> PartialCount:
    """Return the partial count of a cell of stage 1."""
    client_id, trigger_id, revision, period = cell[0].split(":")
    return PartialCount(
        int(client_id),
        int(trigger_id),
        revision,
        int(period),
        cell[1],
        partition,
        count,
        config_position,
    )


def partial_count_record(
    cell: CellKey, partition: int, count: int, config_position: int
) -> tuple[bytes, bytes]:
    """Return key and value of the record of `partial_count`, in a fifth of its time."""
    name, start = cell
    key, form = _record_form(name)
    return key, form % (start, partition, count, config_position)


@functools.lru_cache(maxsize=FORM_CACHE_SIZE)
def _record_form(name: str) -> tuple[bytes, bytes]:
    """Return the key of a trigger's records, and their value with a place for what varies."""
    sample = partial_count((name, 0), 0, 0, 0)
    fixed = {field: getattr(sample, field) for field in sample.__struct_fields__[: -len(VARYING)]}
    open_end = msgspec.json.encode(fixed)[:-1].replace(b"%", b"%%")
    return str(sample.trigger_id).encode(), open_end + b"".join(
        b',"%b":%%d' % field.encode() for field in VARYING
    ) + b"}"


class WindowSum:
    """The partial counts of one window, and whether it has fired."""

    __slots__ = ("counts", "fired", "seen_ms")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.fired = False
        #: Record time of the last partial count.
        self.seen_ms = 0

    @property
    def total(self) -> int:
        """Return the sum over all source partitions."""
        return sum(self.counts.values())

    def merge(self, counts: Iterable[tuple[int, int]], *, fired: bool, seen_ms: int) -> None:
        """Take the larger count of each partition, and the later time."""
        for partition, count in counts:
            if count > self.counts.get(partition, 0):
                self.counts[partition] = count
        self.fired = self.fired or fired
        self.seen_ms = max(self.seen_ms, seen_ms)


class PartitionWindows:
    """The windows of one partition of `counts`."""

    def __init__(self) -> None:
        self.windows: dict[CellKey, WindowSum] = {}
        self.offset = NEVER
        self.progress_offset = NEVER
        #: Largest record time seen: windows expire by it, never by the wall clock.
        self.now_ms = 0
        self._touched: dict[CellKey, None] = {}
        self._expiring: list[tuple[int, CellKey]] = []

    def add(self, partial: PartialCount, timestamp_ms: int) -> CellKey:
        """Take a partial count; return the key of its window."""
        self.now_ms = max(self.now_ms, timestamp_ms)
        key = partial.window
        window = self._window(key)
        if partial.count > window.counts.get(partial.partition, 0):
            window.counts[partial.partition] = partial.count
        window.seen_ms = max(window.seen_ms, timestamp_ms)
        self._touched[key] = None
        return key

    def _window(self, key: CellKey) -> WindowSum:
        window = self.windows.get(key)
        if window is None:
            window = self.windows[key] = WindowSum()
            heapq.heappush(self._expiring, (self.now_ms + _retention_ms(key), key))
        return window

    @property
    def touched(self) -> Iterable[CellKey]:
        """The windows that have changed since the last cut."""
        return self._touched

    def cut(self) -> tuple[list[CellKey], list[CellKey]]:
        """Return the windows touched since the last cut, and those that are given up now.

        No window is both: after an outage one cut may span more than the retention, and what
        exceeds its threshold in it must still fire.
        """
        touched, self._touched = self._touched, {}
        return list(touched), list(self._expired(touched))

    def _expired(self, touched: Container[CellKey]) -> Iterator[CellKey]:
        """Give up windows whose last partial count is older than the retention."""
        kept: list[tuple[int, CellKey]] = []
        while self._expiring and self._expiring[0][0] <= self.now_ms:
            due_ms, key = heapq.heappop(self._expiring)
            window = self.windows.get(key)
            if window is None:
                continue
            if key in touched:
                kept.append((due_ms, key))
                continue
            due_ms = window.seen_ms + _retention_ms(key)
            if due_ms > self.now_ms:
                heapq.heappush(self._expiring, (due_ms, key))
                continue
            del self.windows[key]
            yield key
        for entry in kept:
            heapq.heappush(self._expiring, entry)

    def confirm(self, offset: int) -> None:
        """Note that the broker has acknowledged everything up to `offset`."""
        self.progress_offset = max(self.progress_offset, offset)

    def roll_back(self) -> None:
        """Go back to the acknowledged progress. The counts stay: merging them again is no harm."""
        self.offset = self.progress_offset
        self._touched = {}

    def rewrite(self) -> None:
        """Write all windows once more with the next flush."""
        self._touched |= dict.fromkeys(self.windows)

    # -- the changelog

    def progress_of(self, _topic: str) -> int:
        """Return the last source offset whose effects the broker has acknowledged."""
        return self.progress_offset

    def record(self, key: CellKey, *, fired: bool) -> tuple[bytes, bytes]:
        """Return the changelog record of a window."""
        window = self.windows[key]
        value = [sorted(window.counts.items()), fired or window.fired, window.seen_ms]
        return cell_key_bytes(key), orjson.dumps(value)

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take a record of the changelog, merged with what is known of its window."""
        if key == PROGRESS_KEY:
            if value is not None:
                self.progress_offset = max(self.progress_offset, orjson.loads(value)[0])
                self.offset = self.progress_offset
            return
        window_key = parse_cell_key(key)
        if value is None:
            self.windows.pop(window_key, None)
            self._touched.pop(window_key, None)
            return
        counts, fired, seen_ms = orjson.loads(value)
        self.now_ms = max(self.now_ms, seen_ms)
        window = self._window(window_key)
        window.merge(((p, c) for p, c in counts), fired=fired, seen_ms=seen_ms)
        if (dict(counts), fired, seen_ms) != (window.counts, window.fired, window.seen_ms):
            # Written by a worker that had lost the partition: write the merged one again.
            self._touched[window_key] = None
        else:
            self._touched.pop(window_key, None)

    def restored(self) -> None:
        """Nothing more to do: partial counts behind the progress are read again."""


def _retention_ms(key: CellKey) -> int:
    return retention_seconds(int(key[0].rpartition(":")[2])) * 1000
