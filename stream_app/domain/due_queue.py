"""Which of many waiting items may start now: by due time, within bounds, and fair to each group.

A group (an integration) with many due items must not hold the others back. So of the groups with
a due item the next is one with the fewest items in flight, and among those the one that has
waited longest.
"""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class _Entry(Generic[Item]):
    number: int
    group: int
    due_ms: int
    item: Item


class DueQueue(Generic[Item]):
    """Items by key, of which at most one is in flight for each key.

    Args:
        max_in_flight: most items in flight in all.
        max_per_group: most items of one group in flight.
    """

    def __init__(self, max_in_flight: int, max_per_group: int) -> None:
        self._max_in_flight = max_in_flight
        self._entries: dict[str, _Entry[Item]] = {}
        self._in_flight: dict[str, int] = {}
        self._loads: Counter[int] = Counter()
        self._number = 0
        # Keys with the number of their entry: one that was replaced since is passed over.
        self._later: list[tuple[int, int, str]] = []
        self._due: defaultdict[int, deque[tuple[int, str]]] = defaultdict(deque)
        # Groups with a due item by how many they have in flight, up to the bound.
        self._levels: list[OrderedDict[int, None]] = [OrderedDict() for _ in range(max_per_group)]

    def __len__(self) -> int:
        """Return how many items wait, in flight or not."""
        return len(self._entries)

    def put(self, key: str, group: int, due_ms: int, item: Item) -> None:
        """Let an item wait, in place of the waiting one of that key.

        While an item of the key is in flight it waits for its `release`, too.
        """
        self._number += 1
        self._entries[key] = _Entry(self._number, group, due_ms, item)
        if key not in self._in_flight:
            heapq.heappush(self._later, (due_ms, self._number, key))

    def waiting(self, key: str) -> Item | None:
        """Return the waiting item of a key."""
        entry = self._entries.get(key)
        return None if entry is None else entry.item

    def discard(self, key: str) -> None:
        """Let the item of a key wait no longer."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Let nothing wait; what is in flight stays so."""
        self._entries.clear()
        self._later.clear()
        self._due.clear()
        for level in self._levels:
            level.clear()

    def take(self, now_ms: int) -> list[Item]:
        """Return the items that start now; each is in flight until its `release`."""
        self._sort_due(now_ms)
        taken: list[Item] = []
        while len(self._in_flight) < self._max_in_flight:
            group = next((next(iter(level)) for level in self._levels if level), None)
            if group is None:
                break
            del self._levels[self._loads[group]][group]
            key, entry = self._pop_due(group)
            if entry is not None:
                del self._entries[key]
                self._in_flight[key] = group
                self._loads[group] += 1
                taken.append(entry.item)
            self._rank(group)
        return taken

    def release(self, key: str) -> None:
        """Note that the item of a key is no longer in flight."""
        group = self._in_flight.pop(key)
        load = self._loads[group]
        if load < len(self._levels):
            self._levels[load].pop(group, None)
        self._loads[group] -= 1
        if not self._loads[group]:
            del self._loads[group]
        self._rank(group)
        entry = self._entries.get(key)
        if entry is not None:
            heapq.heappush(self._later, (entry.due_ms, entry.number, key))

    def next_due_ms(self) -> int | None:
        """Return when the next item that is not due yet will be; None: there is none."""
        while self._later:
            due_ms, number, key = self._later[0]
            if self._is_valid(key, number):
                return due_ms
            heapq.heappop(self._later)
        return None

    def _sort_due(self, now_ms: int) -> None:
        while (due_ms := self.next_due_ms()) is not None and due_ms <= now_ms:
            _, number, key = heapq.heappop(self._later)
            group = self._entries[key].group
            self._due[group].append((number, key))
            if len(self._due[group]) == 1:
                self._rank(group)

    def _pop_due(self, group: int) -> tuple[str, _Entry[Item] | None]:
        number, key = self._due[group].popleft()
        return key, self._entries[key] if self._is_valid(key, number) else None

    def _is_valid(self, key: str, number: int) -> bool:
        entry = self._entries.get(key)
        return entry is not None and entry.number == number

    def _rank(self, group: int) -> None:
        """Put a group behind those that have as many items in flight, if it may start one."""
        if not self._due.get(group):
            self._due.pop(group, None)
            return
        load = self._loads.get(group, 0)
        if load < len(self._levels):
            self._levels[load][group] = None
