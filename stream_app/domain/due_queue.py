"""Which of many waiting items may start now: by due time, within bounds, and fair to each group.

A group (an integration) with many due items must not hold the others back. So of the groups with
a due item the next is one with the fewest items in flight, and among those the one that has
waited longest. A group may be held for a time, and starts no more items a second than it may.

A group that does not answer must not take all places either: until it has shown that it is quick
(`prove`) it has one place, and all such groups together have half of all places. One that answers
quickly and in vain is no better: it has one place, too, and a slower pace. Of these groups those
that are new come before the *suspects*, which have been slow or in vain, or whose items have been
started before; suspects have a quarter of all places. So new ones don't queue behind hanging ones.
"""

from __future__ import annotations

import heapq
import math
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


class Pace:
    """How fast groups may start items: a bucket of tokens for each, filled at a rate.

    Args:
        per_second: tokens a second, and the most that a bucket holds (one at least).
    """

    def __init__(self, per_second: float) -> None:
        self._per_ms = per_second / 1000
        self._most = max(1.0, per_second)
        #: Group -> tokens left, and when that was (Unix ms).
        self._buckets: dict[int, tuple[float, int]] = {}

    def start(self, group: int, now_ms: int) -> int:
        """Take a token for an item that starts now; return when the next one may (Unix ms)."""
        tokens, since_ms = self._buckets.get(group, (self._most, now_ms))
        tokens = min(self._most, tokens + max(0, now_ms - since_ms) * self._per_ms) - 1
        self._buckets[group] = tokens, now_ms
        return now_ms if tokens >= 1 else now_ms + math.ceil((1 - tokens) / self._per_ms)


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
        self._max_in_flight = max_in_flight
        self._max_unproven = max(1, max_in_flight // 2)
        self._max_suspect = max(1, max_in_flight // 4)
        self._pace = Pace(max_per_second)
        self._failing_pace = Pace(min(max_per_second, max_failing_per_second))
        self._failing: set[int] = set()
        # Groups that start nothing until a time (Unix ms), and the heap of these times.
        self._held: dict[int, int] = {}
        self._wakes: list[tuple[int, int]] = []
        # Groups that have been quick, and suspects; all that are not proven with a due item, the
        # new ones and the suspects, and their items in flight.
        self._proven: set[int] = set()
        self._suspects: set[int] = set()
        self._new_due: OrderedDict[int, None] = OrderedDict()
        self._suspect_due: OrderedDict[int, None] = OrderedDict()
        self._unproven_in_flight: set[str] = set()
        self._suspect_in_flight: set[str] = set()
        self._is_unproven_next = False
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

    def put(
        self, key: str, group: int, due_ms: int, item: Item, *, is_repeated: bool = False
    ) -> None:
        """Let an item wait, in place of the waiting one of that key.

        While an item of the key is in flight it waits for its `release`, too. `is_repeated` says
        that it has been started before, and was in vain.
        """
        if is_repeated and group not in self._proven and group not in self._suspects:
            self._unrank(group)
            self._suspects.add(group)
            self._rank(group)
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
        self._new_due.clear()
        self._suspect_due.clear()
        for level in self._levels:
            level.clear()

    def take(self, now_ms: int) -> list[Item]:
        """Return the items that start now; each is in flight until its `release`."""
        self._let_go(now_ms)
        self._sort_due(now_ms)
        taken: list[Item] = []
        while len(self._in_flight) < self._max_in_flight:
            group = self._next_group()
            if group is None:
                break
            self._unrank(group)
            key, entry = self._pop_due(group)
            if entry is not None:
                del self._entries[key]
                self._in_flight[key] = group
                self._loads[group] += 1
                if group not in self._proven:
                    self._unproven_in_flight.add(key)
                if group in self._suspects:
                    self._suspect_in_flight.add(key)
                taken.append(entry.item)
                pace = self._failing_pace if group in self._failing else self._pace
                if (next_ms := pace.start(group, now_ms)) > now_ms:
                    self.hold(group, next_ms)
            self._rank(group)
        return taken

    def release(self, key: str) -> None:
        """Note that the item of a key is no longer in flight."""
        group = self._in_flight.pop(key)
        self._unrank(group)
        self._loads[group] -= 1
        if not self._loads[group]:
            del self._loads[group]
        self._unproven_in_flight.discard(key)
        self._suspect_in_flight.discard(key)
        self._rank(group)
        entry = self._entries.get(key)
        if entry is not None:
            heapq.heappush(self._later, (entry.due_ms, entry.number, key))

    def hold(self, group: int, until_ms: int) -> None:
        """Start nothing of a group before a time."""
        if until_ms > self._held.get(group, 0):
            self._held[group] = until_ms
            heapq.heappush(self._wakes, (until_ms, group))
            self._unrank(group)

    def prove(self, group: int, *, is_quick: bool, is_failing: bool = False) -> None:
        """Note whether the last item of a group was quick, and whether the group is failing."""
        if is_failing:
            self._failing.add(group)
        else:
            self._failing.discard(group)
        is_proven = is_quick and not is_failing
        known = self._proven if is_proven else self._suspects
        if group in known:
            return
        self._unrank(group)
        self._proven.discard(group)
        self._suspects.discard(group)
        known.add(group)
        self._rank(group)

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

    def _let_go(self, now_ms: int) -> None:
        """Rank the groups that were held until now."""
        while self._wakes and self._wakes[0][0] <= now_ms:
            until_ms, group = heapq.heappop(self._wakes)
            if self._held.get(group) == until_ms:
                del self._held[group]
                self._rank(group)

    def _next_group(self) -> int | None:
        """Return the group whose turn it is: by turns one that is proven and one that is not."""
        unproven = None
        if len(self._unproven_in_flight) < self._max_unproven:
            unproven = next(iter(self._new_due), None)
            if unproven is None and len(self._suspect_in_flight) < self._max_suspect:
                unproven = next(iter(self._suspect_due), None)
        proven = next((next(iter(level)) for level in self._levels if level), None)
        if unproven is not None and (self._is_unproven_next or proven is None):
            self._is_unproven_next = False
            return unproven
        self._is_unproven_next = True
        return proven

    def _unrank(self, group: int) -> None:
        self._new_due.pop(group, None)
        self._suspect_due.pop(group, None)
        load = self._loads.get(group, 0)
        if load < len(self._levels):
            self._levels[load].pop(group, None)

    def _rank(self, group: int) -> None:
        """Put a group behind those that have as many items in flight, if it may start one."""
        if not self._due.get(group):
            self._due.pop(group, None)
            return
        if group in self._held:
            return
        load = self._loads.get(group, 0)
        if group not in self._proven:
            if not load:
                due = self._suspect_due if group in self._suspects else self._new_due
                due[group] = None
        elif load < len(self._levels):
            self._levels[load][group] = None
