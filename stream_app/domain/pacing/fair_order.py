"""The order in which groups (integrations) start their items, and how many each has in flight.

A group with many items must not hold the others back: the next group is one with the fewest items
in flight, and among those the one that has waited longest. A group that does not answer must not
take all places in flight either, and nobody knows beforehand which group that will be:

- *Proven* groups have answered quickly and are not failing. Each has as many places as a group may
  have.
- *New* groups have not answered yet, or have answered slowly but successfully. Each has one place.
- *Suspects* failed the last time or, after a restart, have items that say so. Each has one place,
  and all of them together a quarter of the places. Those with the fewest failures come first.

New groups and suspects together have half of the places, and take turns with the proven ones.
"""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict

#: With this many failures in a row a group is failing, even if it answers quickly.
FAILING_AFTER = 3


class FairOrder:
    """The groups' standing, their items in flight, and their order.

    Args:
        max_in_flight: most items in flight in all.
        max_per_group: most items of one group in flight.
    """

    def __init__(self, max_in_flight: int, max_per_group: int) -> None:
        self._max_in_flight = max_in_flight
        self._max_unproven = max(1, max_in_flight // 2)
        self._max_suspect = max(1, max_in_flight // 4)
        # Groups whose last answer was quick, and how often in a row each group has failed.
        self._quick: set[int] = set()
        self._failures: dict[int, int] = {}
        # Items in flight: key -> group, and the keys whose group was unproven or a suspect when
        # the item started.
        self._in_flight: dict[str, int] = {}
        self._unproven: set[str] = set()
        self._suspect: set[str] = set()
        # Group -> how many items it has in flight.
        self._loads: Counter[int] = Counter()
        # Groups that may start an item: proven ones by how many items they have in flight, new
        # ones, suspects with their ticket, and the heap of (failures, ticket, group).
        self._levels: list[OrderedDict[int, None]] = [OrderedDict() for _ in range(max_per_group)]
        self._new: OrderedDict[int, None] = OrderedDict()
        self._tickets: dict[int, int] = {}
        self._suspects: list[tuple[int, int, int]] = []
        self._ticket = 0
        self._is_unproven_next = False

    # -- what is known of a group

    def is_failing(self, group: int) -> bool:
        """Tell whether a group is failing: then it is asked less often."""
        return self._failures.get(group, 0) >= FAILING_AFTER

    def note_result(self, group: int, *, is_quick: bool, is_accepted: bool) -> None:
        """Note how an item of a group has ended."""
        failures = 0 if is_accepted else self._failures.get(group, 0) + 1
        self._set_standing(group, is_quick=is_quick, failures=failures)

    def assume_failures(self, group: int, failures: int) -> None:
        """Assume a number of failures in a row, unless the group is known to be better."""
        if group not in self._quick and failures > self._failures.get(group, 0):
            self._set_standing(group, is_quick=False, failures=failures)

    def _set_standing(self, group: int, *, is_quick: bool, failures: int) -> None:
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
        """Let a group take a turn after the others of its kind."""
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
        """Take a group's turn away; tell whether it had one."""
        load = self._loads.get(group, 0)
        level = self._levels[load] if load < len(self._levels) else {}
        had_one = group in self._new or group in self._tickets or group in level
        self._new.pop(group, None)
        self._tickets.pop(group, None)
        level.pop(group, None)
        return had_one

    def clear(self) -> None:
        """Take all turns away; what is known of the groups stays."""
        self._new.clear()
        self._tickets.clear()
        self._suspects.clear()
        for level in self._levels:
            level.clear()

    def next_group(self) -> int | None:
        """Return the group that may start an item now; None: no group may."""
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
        """Tell whether an item of a key is in flight."""
        return key in self._in_flight

    def begin(self, key: str, group: int) -> None:
        """Note that an item is in flight. The caller must offer its group again."""
        self.withdraw(group)
        self._in_flight[key] = group
        self._loads[group] += 1
        if not self._is_proven(group):
            self._unproven.add(key)
        if self._is_suspect(group):
            self._suspect.add(key)

    def end(self, key: str) -> int:
        """Note that an item is no longer in flight; return its group. It must be offered again."""
        group = self._in_flight.pop(key)
        self.withdraw(group)
        self._loads[group] -= 1
        if not self._loads[group]:
            del self._loads[group]
        self._unproven.discard(key)
        self._suspect.discard(key)
        return group
