"""Cells: the partial counts of one source partition, and what of them is not yet acknowledged.

A *cell* is the partial count of one (trigger, revision, window): how many events it has counted
and the offset up to which these are all that there are. What events change is noted before they
do, so that a flush writes the changed cells only, and one that got lost can be undone.
"""

from __future__ import annotations

import heapq

from stream_app.domain.state_keys import NEVER, CellKey
from stream_app.domain.windows import expires_at

#: [count, offset up to which it has counted everything]: both as of the last flush that wrote it,
#: but for the events that are added to the count since.
Cell = list[int]


class Cells:
    """The open cells of one source partition."""

    def __init__(self) -> None:
        self.open: dict[CellKey, Cell] = {}
        #: The largest offset of a cell that was restored: up to it cells skip by their own.
        self.restored_offset = NEVER
        # Cells as they were before the events since the last cut, and before the cut in flight.
        self._before: dict[CellKey, tuple[int, int]] = {}
        self._in_flight: dict[CellKey, tuple[int, int]] = {}
        self._expiring: list[tuple[int, CellKey]] = []

    def at(self, key: CellKey, expiry: int) -> Cell:
        """Return the cell of a window that takes no more events from the watermark `expiry` on."""
        cell = self.open.get(key)
        if cell is None:
            cell = self.open[key] = [0, NEVER]
            heapq.heappush(self._expiring, (expiry, key))
        return cell

    def will_change(self, key: CellKey, cell: Cell) -> None:
        """Note how a cell is before it changes for the first time since the last cut."""
        self._before.setdefault(key, (cell[0], cell[1]))

    @property
    def changes(self) -> int:
        """How many cells have changed since the last cut."""
        return len(self._before)

    def cut(
        self, offset: int, watermark: int
    ) -> tuple[list[tuple[CellKey, int, int]], list[CellKey]]:
        """Take what has changed since the last cut.

        Args:
            offset: up to which everything is counted.
            watermark: the acknowledged one; cells that take no more events from there on go.

        Returns:
            Key, count and offset of each changed cell, and the keys of those that are gone.
        """
        self._in_flight, self._before = self._before, {}
        expired = []
        while self._expiring and self._expiring[0][0] <= watermark:
            _, key = heapq.heappop(self._expiring)
            if self.open.pop(key, None) is not None:
                expired.append(key)
        changed = []
        for key in self._in_flight:
            # One that expires now has not counted anything: it was only to be written again.
            if (cell := self.open.get(key)) is not None:
                cell[1] = max(cell[1], offset)
                changed.append((key, cell[0], cell[1]))
        return changed, expired

    def confirm(self) -> None:
        """Note that the broker has acknowledged the cut in flight."""
        self._in_flight = {}

    def roll_back(self) -> None:
        """Undo everything that is not known to be acknowledged."""
        for undone in (self._before, self._in_flight):
            for key, (count, offset) in undone.items():
                if offset == NEVER:
                    self.open.pop(key, None)
                elif key in self.open:
                    self.open[key][:] = [count, offset]
        self._before, self._in_flight = {}, {}

    def rewrite(self, beyond: int = NEVER - 1) -> None:
        """Write the cells that have counted beyond an offset once more with the next flush."""
        for key, cell in self.open.items():
            if cell[1] > beyond:
                self.will_change(key, cell)

    # -- the changelog

    def restore(self, key: CellKey, count: int, offset: int) -> None:
        """Take a record of the changelog; of two of a key the one with the larger offset holds."""
        name, start = key
        cell = self.at(key, expires_at(start, int(name.rpartition(":")[2])))
        if offset >= cell[1]:
            cell[:] = [count, offset]
            self.restored_offset = max(self.restored_offset, offset)
            self._before.pop(key, None)
        else:
            self._before[key] = (cell[0], cell[1])

    def forget(self, key: CellKey) -> None:
        """Take a tombstone of the changelog."""
        self.open.pop(key, None)
        self._before.pop(key, None)
