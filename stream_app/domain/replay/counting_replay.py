"""Replays the events of one topic through the workers' own counting, and gives their alerts.

It keeps what a worker keeps, and writes nothing. The partitions may interleave in any way: as in a
live run, an alert depends only on the order within each partition.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stream_app.domain.alerts.alert import Alert, fired_alert
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.counting.exclusions import Exclusion
from stream_app.domain.counting.matching import TriggerIndex
from stream_app.domain.counting.partition_counts import PartitionCounts
from stream_app.domain.counting.tally import Tally
from stream_app.domain.counting.window_sum import WindowSum
from stream_app.domain.counting.windows import CellKey
from stream_app.domain.events.batches import Record
from stream_app.domain.events.model import EventKind
from stream_app.domain.state.keys import NEVER

RESULTS = ("counted", "unmatched", *(one.value for one in Exclusion), "late")


@dataclass
class ReplayFigures:
    """How many events had each result, and how many were rejected for each reason."""

    results: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)

    def count(self, tally: Tally) -> None:
        """Add the tally of one batch."""
        for result in RESULTS:
            if number := getattr(tally, result):
                self.results[result] += number
        for _, part in tally.rejected:
            self.rejected[part.reason.value] += 1

    def as_dict(self) -> dict[str, object]:
        """Return the figures for JSON, with every result."""
        found: dict[str, object] = {name: self.results[name] for name in RESULTS}
        return found | {"dead_letters": dict(sorted(self.rejected.items()))}


class CountingReplay:
    """Counts the events of one kind and notes which windows exceed their thresholds.

    Args:
        kind: of the events.
        clients: the configured clients; events of others are rejected.
        triggers: disabled ones and those of other conditions or unknown clients count nothing.
        partitions: the partitions that will be replayed. None: they are not known, as with a pipe,
            so every window is kept to the end.
        watched: windows whose sums are kept to the end, for `total` and `late`.
        now_ms: the clock that bounds the times which producers claim.
        is_kept: tells of a window that takes no more events whether its sum is kept to the end.
    """

    def __init__(
        self,
        kind: EventKind,
        clients: Mapping[int, Client],
        triggers: Iterable[Trigger],
        partitions: Iterable[int] | None = None,
        watched: Collection[CellKey] = (),
        now_ms: int | None = None,
        is_kept: Callable[[CellKey], bool] = lambda _key: False,
    ) -> None:
        self.kind = kind
        self._now_ms = now_ms
        self._is_kept = is_kept
        self.figures = ReplayFigures()
        #: How many events of watched windows came late.
        self.late: Counter[CellKey] = Counter()
        self._clients = clients
        self._index = TriggerIndex(kind, clients, triggers)
        self._triggers = {
            one.key: one for found in self._index.clients.values() for one in found.triggers
        }
        self._watched = frozenset(watched)
        self._windows: dict[CellKey, WindowSum] = {}
        self._fired: dict[CellKey, int] = {}
        self._expiring: list[tuple[int, CellKey]] = []
        self._states: dict[int, PartitionCounts] = {}
        #: Event time (Unix seconds) of the first event of each partition.
        self._first: dict[int, int] = {}
        #: Partitions that may still bring events for old windows.
        self._unfinished: set[int] | None = None if partitions is None else set(partitions)

    def replay(self, partition: int, records: Sequence[Record]) -> None:
        """Count the records of one batch of a partition, in their order."""
        state = self._states.setdefault(partition, PartitionCounts(self.kind))
        if partition not in self._first:
            self._note_first(partition, records)
        tally = state.count(records, self._index, self._now_ms)
        cut = state.cut()
        for key, count in cut.cells:
            self._merge(key, partition, count)
        state.confirm(cut)
        self.figures.count(tally)
        for key in self._watched & tally.late_windows.keys():
            self.late[key] += tally.late_windows[key]
        self._forget_closed()

    @property
    def first_seconds(self) -> int | None:
        """The event time (Unix seconds) at which what was read begins; None: nothing was read."""
        return min(self._first.values(), default=None)

    def _note_first(self, partition: int, records: Sequence[Record]) -> None:
        """Note the time of a partition's first event: records may be none, or hold several."""
        probe = PartitionCounts(self.kind)
        for record in records:
            probe.count([record], self._index, self._now_ms)
            if probe.watermark != NEVER:
                self._first[partition] = probe.watermark
                return

    def finish(self, partition: int) -> None:
        """Note that a partition has no more events."""
        if self._unfinished is not None:
            self._unfinished.discard(partition)

    def alerts(self) -> Iterator[tuple[Alert, int]]:
        """Yield the alerts, the oldest first, each with the number of events in its window."""
        for key, total in sorted(self._fired.items(), key=lambda item: (item[0][1], item[0][0])):
            trigger = self._triggers[key[0]].trigger
            yield fired_alert(self._clients[trigger.client_id], trigger, key[1]), total

    def total(self, key: CellKey) -> int | None:
        """Return how many events a window has counted that fires, is watched or is kept.

        None: its trigger counts nothing here.
        """
        if key[0] not in self._triggers:
            return None
        window = self._windows.get(key)
        return self._fired.get(key, 0) if window is None else window.total

    def has_fired(self, key: CellKey) -> bool:
        """Tell whether a window has exceeded its threshold."""
        return key in self._fired

    def _merge(self, key: CellKey, partition: int, count: int) -> None:
        name, start = key
        trigger = self._triggers[name]
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = WindowSum()
            heapq.heappush(self._expiring, (start + trigger.keep, key))
        window.merge([(partition, count)], fired=False, seen_ms=0)
        if (total := window.total) > trigger.threshold:
            self._fired[key] = total

    @property
    def passed(self) -> int:
        """The event time (Unix seconds) that every partition with further events has passed."""
        states = self._states
        return min(
            (states[n].watermark if n in states else NEVER for n in self._unfinished or ()),
            default=NEVER,
        )

    def _forget_closed(self) -> None:
        """Forget the windows that every partition has passed."""
        passed = self.passed
        while self._expiring and self._expiring[0][0] <= passed:
            _, key = heapq.heappop(self._expiring)
            if key not in self._watched and not self._is_kept(key):
                del self._windows[key]
