"""One window of one trigger: the partial counts of all source partitions."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class WindowSum(msgspec.Struct, gc=False):
    """The partial counts of one window, and whether it has fired.

    `flat` is a source partition, its count, the next partition, its count, and so on. A dict of so
    few numbers would take five times the memory.
    """

    flat: tuple[int, ...] = ()
    fired: bool = False
    #: Record time of the last partial count.
    seen_ms: int = 0

    @property
    def counts(self) -> dict[int, int]:
        """Return the count of each source partition."""
        return dict(zip(self.flat[::2], self.flat[1::2], strict=True))

    @property
    def total(self) -> int:
        """Return the sum over all source partitions."""
        return sum(self.flat[1::2])

    def raise_to(self, partition: int, number: int) -> None:
        """Set the count of a partition, unless it is larger already."""
        flat = self.flat
        for at in range(0, len(flat), 2):
            if flat[at] == partition:
                if number > flat[at + 1]:
                    self.flat = (*flat[: at + 1], number, *flat[at + 2 :])
                return
        if number > 0:
            self.flat = (*flat, partition, number)

    def merge(self, counts: Iterable[tuple[int, int]], *, fired: bool, seen_ms: int) -> None:
        """Take the larger count of each partition, and the later time."""
        for partition, number in counts:
            self.raise_to(partition, number)
        self.fired = self.fired or fired
        self.seen_ms = max(self.seen_ms, seen_ms)
