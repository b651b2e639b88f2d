"""The counts of one source partition as its changelog stores them: cells, watermark and progress.

A flush writes the changed cells and the progress as one record, or several. Of two versions of a
cell the one with the larger offset holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from stream_app.domain.counting.cells import CellRow, Cells
from stream_app.domain.counting.windows import CellKey
from stream_app.domain.state.keys import NEVER

#: Cells in one part of a flush's changes. Its record stays far below a broker's limit.
PART_CELLS = 20_000

_encode_rows = msgspec.msgpack.Encoder().encode
_decode_rows = msgspec.msgpack.Decoder(tuple[int, list[CellRow]]).decode


@dataclass(frozen=True)
class CellChanges:
    """What one flush of a partition writes."""

    changed: list[CellRow]
    expired: list[CellKey]
    offset: int
    watermark: int
    #: Largest event time since the last cut, as `_note_newest` knows it.
    newest: int

    @property
    def cells(self) -> list[tuple[CellKey, int]]:
        """Key and count of each changed cell."""
        return [
            ((name, start), count)
            for name, flat in self.changed
            for start, count in zip(flat[::2], flat[1::2], strict=True)
        ]


class StoredCounts:
    """The cells of one source partition, and how far the broker has acknowledged them."""

    def __init__(self) -> None:
        self._cells = Cells()
        #: Largest event time seen (Unix seconds), and the last offset counted.
        self.watermark = NEVER
        self.offset = NEVER
        #: The last offset, and the watermark, of the last flush that the broker acknowledged.
        self.progress_offset = NEVER
        self._progress_watermark = NEVER
        # While the state is restored: the newest progress (offset, watermark) in the changelog.
        self._restored_progress = (NEVER, NEVER)

    @property
    def open_cells(self) -> int:
        """How many cells are open."""
        return self._cells.open_cells

    @property
    def changes(self) -> int:
        """How many cells have changed since the last cut."""
        return self._cells.changes

    def confirm(self, cut: CellChanges) -> None:
        """Note that the broker has acknowledged all of the cut, including its progress."""
        self._cells.confirm()
        self.progress_offset = cut.offset
        self._progress_watermark = cut.watermark

    def progress_of(self, _topic: str) -> int:
        """Return the last source offset whose effects the broker has acknowledged."""
        return self.progress_offset

    def rows(self, cut: CellChanges) -> list[bytes]:
        """Return the changes of a cut in the form of the changelog, in parts of a bounded size.

        Each part has the watermark, too, because it belongs to the progress.
        """
        return [_encode_rows((cut.watermark, part)) for part in _parts(cut.changed)]

    def progress_rows(self) -> bytes:
        """Return rows that hold nothing but the acknowledged progress."""
        return _encode_rows((self._progress_watermark, ()))

    def snapshot(self, size: int) -> Iterator[tuple[int, bytes]]:
        """Yield all acknowledged cells in slices of about `size`, each with its version.

        Events may be counted and flushed between two slices.
        """
        for rows in self._cells.acknowledged(size):
            yield self.progress_offset, _encode_rows((self._progress_watermark, rows))

    def apply(self, version: int, rows: bytes) -> None:
        """Restore a part of the changelog or of a snapshot. `restored` follows the last one."""
        if not rows:
            return
        watermark, changed = _decode_rows(rows)
        for name, flat in changed:
            self._cells.restore(name, flat)
        self._restored_progress = max(self._restored_progress, (version, watermark))

    def restored(self) -> None:
        """End the restoring: the changelog has been read to its end."""
        if self._restored_progress[0] > self.progress_offset:
            self.progress_offset, self._progress_watermark = self._restored_progress
            self.offset, self.watermark = self._restored_progress
        for _ in self._cells.expire(self._progress_watermark):
            pass


def _parts(changed: list[CellRow]) -> Iterator[list[CellRow]]:
    """Yield rows in parts of at most `PART_CELLS`; at least one."""
    part: list[CellRow] = []
    room = PART_CELLS
    for name, flat in changed:
        numbers = flat
        while len(numbers) // 2 > room:
            part.append((name, numbers[: 2 * room]))
            numbers = numbers[2 * room :]
            yield part
            part, room = [], PART_CELLS
        part.append((name, numbers))
        room -= len(numbers) // 2
    yield part
