"""Whose turn it is: groups (integrations) that have something to start, and the places there are.

A group with much to start must not hold the others back: the next one is one with the fewest items
in flight, and of those the one that has waited longest. A group that does not answer must not take
all places either, and nobody knows beforehand which one that is:

- *proven* groups have answered quickly, and are not failing. They have as many places as a group
  may have.
- *new* ones have not answered yet, or have been slow and successful. They have one place each.
- *suspects* have failed, last time or (after a restart) as often as their items say. They have one
  place each, those that have failed least often first, and a quarter of all places together.

New ones and suspects together have half of all places, and take turns with the proven ones.
"""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict

#: So many failures in a row make even a quick group a failing one.
FAILING = 3


class Turns:
    """The groups' standing, their items in flight, and the order of those that may start one.

    Args:
        max_in_flight: most items in flight in all.
        max_per_group: most items of one group in flight.
    """

    def __init__(self, max_in_flight: int, max_per_group: int) -> None:
        self._max_in_flight = max_in_flight
        self._max_unproven = max(1, max_in_flight // 2)
        self._max_suspect = max(1, max_in_flight // 4)
        # Groups whose last answer was quick, and how often in a row a group has failed.
        self._quick: set[int] = set()
        self._failures: dict[int, int] = {}
        # Key -> its group; which of them were not proven, or suspects, when they were started.
        self._in_flight: dict[str, int] = {}
        self._unproven: set[str] = set()
        self._suspect: set[str] = set()
        self._loads: Counter[int] = Counter()
        # What may start one: proven groups by how many they have in flight, new ones, suspects
        # with a ticket, and the heap of (failures, ticket, group).
        self._levels: list[OrderedDict[int, None]] = [OrderedDict() for _ in range(max_per_group)]
        self._new: OrderedDict[int, None] = OrderedDict()
        self._tickets: dict[int, int] = {}
        self._suspects: list[tuple[int, int, int]] = []
        self._ticket = 0
        self._is_unproven_next = False

    # -- what is known of a group

    def is_failing(self, group: int) -> bool:
        """Tell whether a group has failed so often in a row that it is to be asked less often."""
        return self._failures.get(group, 0) >= FAILING

    def learn(self, group: int, *, is_quick: bool, is_accepted: bool) -> None:
        """Note how the last item of a group has ended."""
        failures = 0 if is_accepted else self._failures.get(group, 0) + 1
        self._judge(group, is_quick=is_quick, failures=failures)

    def suppose(self, group: int, failures: int) -> None:
        """Note that an item of a group has failed so often, where nothing better is known."""
        if group not in self._quick and failures > self._failures.get(group, 0):
            self._judge(group, is_quick=False, failures=failures)

    def _judge(self, group: int, *, is_quick: bool, failures: int) -> None:
        may_start = self.withdraw(group)
        if is_quick:
            self._quick.add(group)
        else:
            self._quick.discard(group)
        if failures:
            self._failures[group] = failures
        else:
            self._failures.pop(group, None)
        if may_start:
            self.offer(group)

    def _is_proven(self, group: int) -> bool:
        return group in self._quick and not self.is_failing(group)

    def _is_suspect(self, group: int) -> bool:
        return group in self._failures and not self._is_proven(group)

    # -- the order

    def offer(self, group: int) -> None:
        """Let a group have its turn, behind those of its kind."""
        self.withdraw(group)
        load = self._loads.get(group, 0)
        if self._is_proven(group):
            if load < len(self._levels):
                self._levels[load][group] = None
        elif load:
            return
        elif self._is_suspect(group):
            self._ticket += 1
            self._tickets[group] = self._ticket
            heapq.heappush(self._suspects, (self._failures[group], self._ticket, group))
        else:
            self._new[group] = None

    def withdraw(self, group: int) -> bool:
        """Let a group have no turn; tell whether it would have had one."""
        load = self._loads.get(group, 0)
        level = self._levels[load] if load < len(self._levels) else {}
        had_one = group in self._new or group in self._tickets or group in level
        self._new.pop(group, None)
        self._tickets.pop(group, None)
        level.pop(group, None)
        return had_one

    def clear(self) -> None:
        """Let no group have a turn; what is known of them stays."""
        self._new.clear()
        self._tickets.clear()
        self._suspects.clear()
        for level in self._levels:
            level.clear()

    def next(self) -> int | None:
        """Return the group whose turn it is; None: no group may start an item now."""
        if len(self._in_flight) >= self._max_in_flight:
            return None
        unproven = None
        if len(self._unproven) < self._max_unproven:
            unproven = next(iter(self._new), None)
            if unproven is None and len(self._suspect) < self._max_suspect:
                unproven = self._first_suspect()
        proven = next((next(iter(level)) for level in self._levels if level), None)
        if unproven is not None and (self._is_unproven_next or proven is None):
            self._is_unproven_next = False
            return unproven
        self._is_unproven_next = True
        return proven

    def _first_suspect(self) -> int | None:
        while self._suspects:
            _, ticket, group = self._suspects[0]
            if self._tickets.get(group) == ticket:
                return group
            heapq.heappop(self._suspects)
        return None

    # -- items in flight

    def is_in_flight(self, key: str) -> bool:
        """Tell whether the item of a key has begun and not ended."""
        return key in self._in_flight

    def begin(self, key: str, group: int) -> None:
        """Note that an item is in flight; its group is to be offered again."""
        self.withdraw(group)
        self._in_flight[key] = group
        self._loads[group] += 1
        if not self._is_proven(group):
            self._unproven.add(key)
        if self._is_suspect(group):
            self._suspect.add(key)

    def end(self, key: str) -> int:
        """Note that an item is no longer in flight; return its group, to be offered again."""
        group = self._in_flight.pop(key)
        self.withdraw(group)
        self._loads[group] -= 1
        if not self._loads[group]:
            del self._loads[group]
        self._unproven.discard(key)
        self._suspect.discard(key)
        return group
