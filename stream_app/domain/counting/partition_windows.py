"""Stage 2 of counting: partial counts of all source partitions become fired windows.

A partial count is absolute and never decreases. Of two counts of one source partition the larger
stays, so a replay changes nothing. A window fires once, when the sum first exceeds the threshold.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from stream_app.domain.counting.window_sum import WindowSum
from stream_app.domain.counting.windows import CellKey, retention_seconds
from stream_app.domain.state.keys import NEVER

#: Windows in one part of a flush's changes. Its record stays far below a broker's limit.
PART_WINDOWS = 10_000
#: Windows expire in steps of this length, none before its time.
EXPIRY_STEP_MS = 1000

#: Start of the window, whether it has fired, when it was seen last, and its `WindowSum.flat`.
WindowRow = tuple[int, bool, int, tuple[int, ...]]


@dataclass(frozen=True)
class ChangedWindows:
    """What the partial counts since the last cut have changed."""

    #: The windows that have changed, and when the newest event in each was appended (Unix ms).
    touched: Mapping[CellKey, int]
    #: The last source offset that is counted.
    offset: int
    #: How many windows have expired.
    expired: int = 0
    #: The windows whose alerts are acknowledged before the changes are written.
    fired: Sequence[CellKey] = ()


class PartitionWindows:
    """The windows of one partition of `counts`."""

    def __init__(self) -> None:
        self.by_trigger: dict[str, dict[int, WindowSum]] = {}
        #: How many windows are open.
        self.open_windows = 0
        self.offset = NEVER
        self.progress_offset = NEVER
        #: Largest record time seen: windows expire by it, never by the wall clock.
        self.now_ms = 0
        self._restored_offset = NEVER
        # Windows changed since the last cut, and the append time of the newest event in them.
        self._touched: dict[CellKey, int] = {}
        # Time step -> the windows that may expire then: a name, a start, the next name, and so on.
        self._expiring: dict[int, list[str | int]] = {}
        self._times: list[int] = []

    @property
    def windows(self) -> dict[CellKey, WindowSum]:
        """The open windows."""
        return {
            (name, start): window
            for name, windows in self.by_trigger.items()
            for start, window in windows.items()
        }

    def window(self, key: CellKey) -> WindowSum | None:
        """Return a window; None if it is not open."""
        windows = self.by_trigger.get(key[0])
        return None if windows is None else windows.get(key[1])

    def take_count(
        self,
        name: str,
        start: int,
        partition: int,
        count: int,
        timestamp_ms: int,
        appended_ms: int = 0,
    ) -> WindowSum:
        """Add a partial count to its window; return the window."""
        self.now_ms = max(self.now_ms, timestamp_ms)
        window = self._window(name, start)
        window.raise_to(partition, count)
        window.seen_ms = max(window.seen_ms, timestamp_ms)
        key = name, start
        self._touched[key] = max(self._touched.get(key, 0), appended_ms)
        return window

    def _window(self, name: str, start: int) -> WindowSum:
        windows = self.by_trigger.get(name)
        if windows is None:
            windows = self.by_trigger[name] = {}
        window = windows.get(start)
        if window is None:
            window = windows[start] = WindowSum()
            self.open_windows += 1
            self._schedule_expiry(self.now_ms + _retention_ms(name), name, start)
        return window

    def _schedule_expiry(self, due_ms: int, name: str, start: int) -> None:
        step = -(-due_ms // EXPIRY_STEP_MS)
        found = self._expiring.get(step)
        if found is None:
            found = self._expiring[step] = []
            heapq.heappush(self._times, step)
        found += (name, start)

    @property
    def touched(self) -> Mapping[CellKey, int]:
        """The windows that have changed since the last cut, with the time of the newest event."""
        return self._touched

    def cut(self) -> ChangedWindows:
        """Return the windows changed since the last cut; delete those that expire now.

        A changed window does not expire: after an outage one cut may span more than the retention,
        and a window that exceeds its threshold in it must still fire.
        """
        touched, self._touched = self._touched, {}
        return ChangedWindows(touched, self.offset, self._expire(touched))

    def _expire(self, touched: Mapping[CellKey, int]) -> int:
        """Delete the windows whose last partial count is older than the retention."""
        before, kept = self.open_windows, []
        while self._times and self._times[0] * EXPIRY_STEP_MS <= self.now_ms:
            found = iter(self._expiring.pop(heapq.heappop(self._times)))
            for name, start in zip(found, found, strict=True):
                window = self.window((str(name), int(start)))
                if window is None:
                    continue
                due_ms = window.seen_ms + _retention_ms(str(name))
                if due_ms > self.now_ms or (name, start) in touched:
                    kept.append((due_ms, str(name), int(start)))
                    continue
                windows = self.by_trigger[str(name)]
                del windows[int(start)]
                self.open_windows -= 1
                if not windows:
                    del self.by_trigger[str(name)]
        for row in kept:
            self._schedule_expiry(*row)
        return before - self.open_windows

    def confirm(self, cut: ChangedWindows) -> None:
        """Note that the broker has acknowledged all of a cut."""
        for key in cut.fired:
            if (window := self.window(key)) is not None:
                window.fired = True
        self.progress_offset = max(self.progress_offset, cut.offset)

    def roll_back(self) -> None:
        """Go back to the acknowledged progress. The counts stay: they can be merged again."""
        self.offset = self.progress_offset
        self._touched = {}

    # -- the changelog

    def progress_of(self, _topic: str) -> int:
        """Return the last source offset whose effects the broker has acknowledged."""
        return self.progress_offset

    def rows(self, cut: ChangedWindows) -> list[bytes]:
        """Return the changes of a cut in the form of the changelog, in parts."""
        found: dict[str, list[WindowRow]] = {}
        parts, taken, fired = [], 0, set(cut.fired)
        for key in cut.touched:
            window = self.window(key)
            if window is None:
                continue
            is_fired = window.fired or key in fired
            row = key[1], is_fired, window.seen_ms, window.flat
            found.setdefault(key[0], []).append(row)
            taken += 1
            if taken >= PART_WINDOWS:
                parts.append(self._encoded(found))
                found, taken = {}, 0
        parts.append(self._encoded(found))
        return parts

    def progress_rows(self) -> bytes:
        """Return rows that hold nothing but the progress."""
        return self._encoded({})

    def snapshot(self, size: int) -> Iterator[tuple[int, bytes]]:
        """Yield all windows in slices of about `size`, each with its version.

        Partial counts may come between two slices. A slice may hold a count that is not
        acknowledged yet: it is read again after a crash, and the larger one stays.
        """
        found: dict[str, list[WindowRow]] = {}
        taken = 0
        for name in list(self.by_trigger):
            starts = list(self.by_trigger.get(name, ()))
            while starts:
                room = size - taken
                rows = [
                    (start, window.fired, window.seen_ms, window.flat)
                    for start in starts[:room]
                    if (window := self.window((name, start))) is not None
                ]
                starts = starts[room:]
                if rows:
                    found.setdefault(name, []).extend(rows)
                    taken += len(rows)
                if taken >= size:
                    yield self.progress_offset, self._encoded(found)
                    found, taken = {}, 0
        if found:
            yield self.progress_offset, self._encoded(found)

    def _encoded(self, found: Mapping[str, list[WindowRow]]) -> bytes:
        return _encode_rows((self.now_ms, list(found.items())))

    def apply(self, version: int, rows: bytes) -> None:
        """Restore a part of the changelog or of a snapshot. `restored` follows the last one."""
        self._restored_offset = max(self._restored_offset, version)
        if not rows:
            return
        now_ms, found = _decode_rows(rows)
        self.now_ms = max(self.now_ms, now_ms)
        for name, windows in found:
            known, retention_ms = self.by_trigger.setdefault(name, {}), _retention_ms(name)
            for start, fired, seen_ms, flat in windows:
                window = known.get(start)
                if window is None:
                    known[start] = WindowSum(flat, fired, seen_ms)
                    self.open_windows += 1
                    self._schedule_expiry(seen_ms + retention_ms, name, start)
                else:
                    counts = zip(flat[::2], flat[1::2], strict=True)
                    window.merge(counts, fired=fired, seen_ms=seen_ms)

    def restored(self) -> None:
        """End the restoring. Partial counts after the progress are read again."""
        self.progress_offset = max(self.progress_offset, self._restored_offset)
        self.offset = self.progress_offset
        self._expire(self._touched)


_encode_rows = msgspec.msgpack.Encoder().encode
_decode_rows = msgspec.msgpack.Decoder(tuple[int, list[tuple[str, list[WindowRow]]]]).decode


def _retention_ms(name: str) -> int:
    return retention_seconds(int(name.rpartition(":")[2])) * 1000
