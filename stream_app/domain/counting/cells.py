"""Cells: the partial counts of one source partition, and which changes are not acknowledged yet.

A *cell* is the partial count of one (trigger, revision, window): how many events it has counted.
The cells of a trigger are one dict by window start, so a cell costs some tens of bytes. A cell's
count is noted before it changes, so that a flush writes only the changed cells, and a lost flush
can be undone.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from stream_app.domain.configuration.reserved import PULSE_KEY_PREFIX
from stream_app.domain.counting.windows import CellKey, keep_seconds

#: A window start, its count, the next start, its count, and so on, of one trigger.
Flat = list[int]
#: Key of a trigger's counts, and its windows.
CellRow = tuple[str, Flat]


class TriggerCells:
    """The open cells of one trigger's revision.

    `before` holds the counts at the last cut, for the cells that have changed since. While that cut
    is in flight, `in_flight` holds the counts before it, for the cells in it. 0 means that there
    was no cell.
    """

    __slots__ = ("before", "counts", "in_flight", "is_pulse", "keep", "name", "period")

    def __init__(self, name: str) -> None:
        self.name = name
        self.period = int(name.rpartition(":")[2])
        #: A window takes no more events once the watermark is this far after its start.
        self.keep = keep_seconds(self.period)
        #: Whether the cells are forgotten with their first flush.
        self.is_pulse = name.startswith(PULSE_KEY_PREFIX)
        self.counts: dict[int, int] = {}
        self.before: dict[int, int] | None = None
        self.in_flight: dict[int, int] | None = None

    def acknowledged(self, start: int) -> int:
        """Return the count that the broker has acknowledged, 0 if none."""
        for noted in (self.in_flight, self.before):
            if noted is not None and start in noted:
                return noted[start]
        return self.counts.get(start, 0)


class Cells:
    """The open cells of one source partition."""

    def __init__(self) -> None:
        self.by_trigger: dict[str, TriggerCells] = {}
        #: How many cells are open, and how many have changed since the last cut.
        self.open_cells = self.changes = 0
        self._changed: list[TriggerCells] = []
        self._in_flight: list[TriggerCells] = []
        # (start, period) of a window -> the start, as one object that all dicts share, and the
        # triggers that count in the window. The heap has the watermarks at which they expire.
        self._expiring: dict[tuple[int, int], tuple[int, list[TriggerCells]]] = {}
        self._watermarks: list[tuple[int, tuple[int, int]]] = []
        # The open cells of the pulse. Their windows lie outside of the time that the watermark
        # follows, so it would never close them, or at once.
        self._pulses: list[tuple[TriggerCells, int]] = []

    def cells_of(self, name: str) -> TriggerCells:
        """Return the cells of a trigger."""
        found = self.by_trigger.get(name)
        if found is None:
            found = self.by_trigger[name] = TriggerCells(name)
        return found

    def open(self, cells: TriggerCells, start: int) -> None:
        """Open a cell if needed, and note its count before it changes."""
        if start not in cells.counts:
            self._create(cells, start, 0)
        before = cells.before
        if before is None:
            before = cells.before = {}
            self._changed.append(cells)
        if start not in before:
            before[start] = cells.counts[start]
            self.changes += 1

    def _create(self, cells: TriggerCells, start: int, count: int) -> None:
        if cells.is_pulse:
            self._pulses.append((cells, start))
            cells.counts[start] = count
            self.open_cells += 1
            return
        place = start, cells.period
        sharing = self._expiring.get(place)
        if sharing is None:
            sharing = self._expiring[place] = start, []
            heapq.heappush(self._watermarks, (start + cells.keep, place))
        sharing[1].append(cells)
        cells.counts[sharing[0]] = count
        self.open_cells += 1

    def _remove(self, cells: TriggerCells, start: int) -> None:
        del cells.counts[start]
        self.open_cells -= 1
        if not cells.counts and self.by_trigger.get(cells.name) is cells:
            del self.by_trigger[cells.name]

    def cut(self, watermark: int) -> tuple[list[CellRow], list[CellKey]]:
        """Take what has changed since the last cut.

        Args:
            watermark: the acknowledged one. Cells that take no more events at it expire.

        Returns:
            The changed cells by trigger, and the keys of the expired ones.
        """
        self._in_flight, self._changed, self.changes = self._changed, [], 0
        for cells in self._in_flight:
            cells.in_flight, cells.before = cells.before, None
        expired = list(self.expire(watermark))
        changed: list[CellRow] = []
        for cells in self._in_flight:
            counts = cells.counts
            flat: Flat = []
            for start in cells.in_flight or ():
                # A cell that expires now has counted nothing since; it was only to be rewritten.
                if start in counts:
                    flat += (start, counts[start])
            if flat:
                changed.append((cells.name, flat))
        pulses, self._pulses = self._pulses, []
        for cells, start in pulses:
            if start in cells.counts:
                self._remove(cells, start)
        return changed, expired

    def expire(self, watermark: int) -> Iterator[CellKey]:
        """Delete the cells that take no more events, and yield their keys."""
        while self._watermarks and self._watermarks[0][0] <= watermark:
            _, place = heapq.heappop(self._watermarks)
            start, sharing = self._expiring.pop(place)
            for cells in sharing:
                if start in cells.counts:
                    self._remove(cells, start)
                    yield cells.name, start

    def confirm(self) -> None:
        """Note that the broker has acknowledged the cut in flight."""
        for cells in self._in_flight:
            cells.in_flight = None
        self._in_flight = []

    def roll_back(self) -> None:
        """Undo all changes that are not acknowledged."""
        for cells in self._changed:
            self._undo(cells, cells.before)
            cells.before = None
        for cells in self._in_flight:
            self._undo(cells, cells.in_flight)
            cells.in_flight = None
        self._changed, self._in_flight, self.changes = [], [], 0

    def _undo(self, cells: TriggerCells, noted: dict[int, int] | None) -> None:
        for start, count in (noted or {}).items():
            if start not in cells.counts:
                continue
            if count:
                cells.counts[start] = count
            else:
                self._remove(cells, start)

    def acknowledged(self, size: int) -> Iterator[list[CellRow]]:
        """Yield the acknowledged cells in slices of about `size`.

        Events may be counted between two slices. Each slice is consistent in itself.
        """
        rows: list[CellRow] = []
        taken = 0
        for name in list(self.by_trigger):
            cells = self.by_trigger.get(name)
            starts = list(cells.counts) if cells is not None else []
            while cells is not None and starts:
                flat: Flat = []
                for start in starts[: size - taken]:
                    if count := cells.acknowledged(start):
                        flat += (start, count)
                starts = starts[size - taken :]
                if flat:
                    rows.append((name, flat))
                    taken += len(flat) // 2
                if taken >= size:
                    yield rows
                    rows, taken = [], 0
        if rows:
            yield rows

    def restore(self, name: str, flat: Flat) -> None:
        """Set counts of a trigger from the changelog."""
        cells = self.cells_of(name)
        numbers = iter(flat)
        for start, count in zip(numbers, numbers, strict=True):
            if start in cells.counts:
                cells.counts[start] = count
            else:
                self._create(cells, start, count)
