"""A queue of items with due times that starts them within bounds, and fairly to each group.

`fair_order.py` decides which group (integration) comes next. A group may be held for a time. It
starts a bounded number of items a second, and fewer while it is failing. Of its due items the one
with the most attempts comes first, so that at least one delivery keeps its schedule and comes to an
end, however many wait.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Generic, TypeVar

from stream_app.domain.pacing.fair_order import FairOrder
from stream_app.domain.pacing.token_buckets import TokenBuckets

Item = TypeVar("Item")


@dataclass(frozen=True)
class _Entry(Generic[Item]):
    number: int
    group: int
    due_ms: int
    attempt: int
    item: Item


class DueQueue(Generic[Item]):
    """Waiting items by key, with at most one item in flight for each key.

    Args:
        max_in_flight: most items in flight in all.
        max_per_group: most items of one group in flight.
        max_per_second: most items of one group started in a second. They may all start at once.
        max_failing_per_second: the same while the group is failing.
    """

    def __init__(
        self,
        max_in_flight: int,
        max_per_group: int,
        max_per_second: float,
        max_failing_per_second: float = math.inf,
    ) -> None:
        self._order = FairOrder(max_in_flight, max_per_group)
        self._buckets = TokenBuckets(max_per_second)
        self._failing_buckets = TokenBuckets(min(max_per_second, max_failing_per_second))
        # Groups that start nothing before a time (Unix ms), and the heap of these times.
        self._held_until_ms: dict[int, int] = {}
        self._hold_ends: list[tuple[int, int]] = []
        self._entries: dict[str, _Entry[Item]] = {}
        self._number = 0
        # A heap of (due time, number of the entry, key). If the entry has been replaced since, its
        # number differs, and the row is skipped.
        self._later: list[tuple[int, int, str]] = []
        # Group -> the heap of its due items: (most attempts first, number, key).
        self._due: defaultdict[int, list[tuple[int, int, str]]] = defaultdict(list)

    def __len__(self) -> int:
        """Return how many items wait."""
        return len(self._entries)

    def put(self, key: str, group: int, due_ms: int, item: Item, *, attempt: int = 1) -> None:
        """Let an item wait, in place of the one that waits under its key.

        While an item of the key is in flight, this one also waits for its `release`. `attempt`
        is the number of the item's next attempt: all earlier ones have failed.
        """
        self._order.assume_failures(group, attempt - 1)
        self._number += 1
        self._entries[key] = _Entry(self._number, group, due_ms, attempt, item)
        if not self._order.is_in_flight(key):
            heapq.heappush(self._later, (due_ms, self._number, key))

    def waiting(self, key: str) -> Item | None:
        """Return the waiting item of a key."""
        entry = self._entries.get(key)
        return None if entry is None else entry.item

    def discard(self, key: str) -> None:
        """Remove the waiting item of a key."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Remove all waiting items; items in flight stay in flight."""
        self._entries.clear()
        self._later.clear()
        self._due.clear()
        self._order.clear()

    def take(self, now_ms: int) -> list[Item]:
        """Return the items that start now. Each is in flight until its `release`."""
        self._end_holds(now_ms)
        self._collect_due(now_ms)
        taken: list[Item] = []
        while (group := self._order.next_group()) is not None:
            key, entry = self._pop_due(group)
            if entry is not None:
                del self._entries[key]
                self._order.begin(key, group)
                taken.append(entry.item)
                buckets = self._failing_buckets if self._order.is_failing(group) else self._buckets
                if (next_ms := buckets.take(group, now_ms)) > now_ms:
                    self.hold(group, next_ms)
            self._offer(group)
        return taken

    def release(self, key: str) -> None:
        """Note that the item of a key is no longer in flight."""
        self._offer(self._order.end(key))
        entry = self._entries.get(key)
        if entry is not None:
            heapq.heappush(self._later, (entry.due_ms, entry.number, key))

    def hold(self, group: int, until_ms: int) -> None:
        """Start nothing of a group before a time."""
        if until_ms > self._held_until_ms.get(group, 0):
            self._held_until_ms[group] = until_ms
            heapq.heappush(self._hold_ends, (until_ms, group))
            self._order.withdraw(group)

    def note_result(self, group: int, *, is_quick: bool, is_accepted: bool) -> None:
        """Note how an item of a group has ended."""
        self._order.note_result(group, is_quick=is_quick, is_accepted=is_accepted)
        self._offer(group)

    def waiting_since(self, now_ms: int) -> dict[int, int]:
        """Return the groups with due items that nothing holds, and since when they could start."""
        found: dict[int, int] = {}
        for entry in self._entries.values():
            if entry.due_ms < found.get(entry.group, now_ms):
                found[entry.group] = entry.due_ms
        held = self._held_until_ms
        return {
            group: max(due_ms, held.get(group, due_ms))
            for group, due_ms in found.items()
            if held.get(group, 0) < now_ms
        }

    def next_due_ms(self) -> int | None:
        """Return the next time at which an item may start; None: none waits for a time."""
        due_ms = self._next_later_ms()
        if not self._hold_ends:
            return due_ms
        return self._hold_ends[0][0] if due_ms is None else min(due_ms, self._hold_ends[0][0])

    def _next_later_ms(self) -> int | None:
        while self._later:
            due_ms, number, key = self._later[0]
            if self._is_valid(key, number):
                return due_ms
            heapq.heappop(self._later)
        return None

    def _collect_due(self, now_ms: int) -> None:
        while (due_ms := self._next_later_ms()) is not None and due_ms <= now_ms:
            _, number, key = heapq.heappop(self._later)
            entry = self._entries[key]
            due = self._due[entry.group]
            heapq.heappush(due, (-entry.attempt, number, key))
            if len(due) == 1:
                self._offer(entry.group)

    def _pop_due(self, group: int) -> tuple[str, _Entry[Item] | None]:
        _, number, key = heapq.heappop(self._due[group])
        return key, self._entries[key] if self._is_valid(key, number) else None

    def _is_valid(self, key: str, number: int) -> bool:
        entry = self._entries.get(key)
        return entry is not None and entry.number == number

    def _end_holds(self, now_ms: int) -> None:
        """Offer the groups whose hold is over."""
        while self._hold_ends and self._hold_ends[0][0] <= now_ms:
            until_ms, group = heapq.heappop(self._hold_ends)
            if self._held_until_ms.get(group) == until_ms:
                del self._held_until_ms[group]
                self._offer(group)

    def _offer(self, group: int) -> None:
        """Let a group take a turn if it has a due item and is not held."""
        if not self._due.get(group):
            self._due.pop(group, None)
            self._order.withdraw(group)
        elif group not in self._held_until_ms:
            self._order.offer(group)
