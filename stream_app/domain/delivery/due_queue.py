"""Which of many waiting items may start now: by due time, within bounds, and fair to each group.

Whose turn it is among the groups (integrations) is decided in `turns.py`. A group may be held for
a time, and starts no more items a second than it may, fewer while it is failing. Of its own due
items the one with the most attempts comes first: one delivery at least then keeps its schedule,
however many wait, and comes to an end.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Generic, TypeVar

from stream_app.domain.delivery.fair_order import Turns
from stream_app.domain.delivery.token_buckets import Pace

Item = TypeVar("Item")


@dataclass(frozen=True)
class _Entry(Generic[Item]):
    number: int
    group: int
    due_ms: int
    attempt: int
    item: Item


class DueQueue(Generic[Item]):
    """Items by key, of which at most one is in flight for each key.

    Args:
        max_in_flight: most items in flight in all.
        max_per_group: most items of one group in flight.
        max_per_second: most items of one group started in a second, and at once.
        max_failing_per_second: the same while the group is failing.
    """

    def __init__(
        self,
        max_in_flight: int,
        max_per_group: int,
        max_per_second: float,
        max_failing_per_second: float = math.inf,
    ) -> None:
        self._turns = Turns(max_in_flight, max_per_group)
        self._pace = Pace(max_per_second)
        self._failing_pace = Pace(min(max_per_second, max_failing_per_second))
        # Groups that start nothing until a time (Unix ms), and the heap of these times.
        self._held: dict[int, int] = {}
        self._wakes: list[tuple[int, int]] = []
        self._entries: dict[str, _Entry[Item]] = {}
        self._number = 0
        # Keys with the number of their entry: one that was replaced since is passed over.
        self._later: list[tuple[int, int, str]] = []
        # Of each group a heap of (most attempts first, number, key).
        self._due: defaultdict[int, list[tuple[int, int, str]]] = defaultdict(list)

    def __len__(self) -> int:
        """Return how many items wait, in flight or not."""
        return len(self._entries)

    def put(self, key: str, group: int, due_ms: int, item: Item, *, attempt: int = 1) -> None:
        """Let an item wait, in place of the waiting one of that key.

        While an item of the key is in flight it waits for its `release`, too. `attempt` counts
        how often the item has been started then: all before this one were in vain.
        """
        self._turns.suppose(group, attempt - 1)
        self._number += 1
        self._entries[key] = _Entry(self._number, group, due_ms, attempt, item)
        if not self._turns.is_in_flight(key):
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
        self._turns.clear()

    def take(self, now_ms: int) -> list[Item]:
        """Return the items that start now; each is in flight until its `release`."""
        self._let_go(now_ms)
        self._sort_due(now_ms)
        taken: list[Item] = []
        while (group := self._turns.next()) is not None:
            key, entry = self._pop_due(group)
            if entry is not None:
                del self._entries[key]
                self._turns.begin(key, group)
                taken.append(entry.item)
                pace = self._failing_pace if self._turns.is_failing(group) else self._pace
                if (next_ms := pace.start(group, now_ms)) > now_ms:
                    self.hold(group, next_ms)
            self._offer(group)
        return taken

    def release(self, key: str) -> None:
        """Note that the item of a key is no longer in flight."""
        self._offer(self._turns.end(key))
        entry = self._entries.get(key)
        if entry is not None:
            heapq.heappush(self._later, (entry.due_ms, entry.number, key))

    def hold(self, group: int, until_ms: int) -> None:
        """Start nothing of a group before a time."""
        if until_ms > self._held.get(group, 0):
            self._held[group] = until_ms
            heapq.heappush(self._wakes, (until_ms, group))
            self._turns.withdraw(group)

    def learn(self, group: int, *, is_quick: bool, is_accepted: bool) -> None:
        """Note how the last item of a group has ended."""
        self._turns.learn(group, is_quick=is_quick, is_accepted=is_accepted)
        self._offer(group)

    def next_due_ms(self) -> int | None:
        """Return when something may start that may not now; None: nothing waits for a time."""
        due_ms = self._next_later_ms()
        if not self._wakes:
            return due_ms
        return self._wakes[0][0] if due_ms is None else min(due_ms, self._wakes[0][0])

    def _next_later_ms(self) -> int | None:
        while self._later:
            due_ms, number, key = self._later[0]
            if self._is_valid(key, number):
                return due_ms
            heapq.heappop(self._later)
        return None

    def _sort_due(self, now_ms: int) -> None:
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

    def _let_go(self, now_ms: int) -> None:
        """Offer the groups that were held until now."""
        while self._wakes and self._wakes[0][0] <= now_ms:
            until_ms, group = heapq.heappop(self._wakes)
            if self._held.get(group) == until_ms:
                del self._held[group]
                self._offer(group)

    def _offer(self, group: int) -> None:
        """Let a group have its turn if it has a due item and is not held."""
        if not self._due.get(group):
            self._due.pop(group, None)
            self._turns.withdraw(group)
        elif group not in self._held:
            self._turns.offer(group)
