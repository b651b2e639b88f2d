"""A mapping that a changelog stores: which values have changed, and which are acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from itertools import islice
from typing import ClassVar, Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


#: Most values in a cut that are only rewritten: there may be a million of them.
MOST_REPEATED = 10_000


class TrackedValues(Generic[Key, Value]):
    """A mapping whose changes are written in cuts, with one cut in flight at a time.

    Args:
        order: orders the values of one key. The value with the larger order is the newer one.
        on_put: is called with the key, the old value and the new one, `None` for no value.
        values: an empty mapping to keep the values in; a dict by default.
    """

    def __init__(
        self,
        order: Callable[[Value], tuple[int, ...]],
        on_put: Callable[[Key, Value | None, Value | None], None] | None = None,
        values: MutableMapping[Key, Value] | None = None,
    ) -> None:
        self.values: MutableMapping[Key, Value] = {} if values is None else values
        self._order = order
        self._on_put = on_put
        # The values before the changes since the last cut, and before those in the cut in flight.
        self._before: dict[Key, Value | None] = {}
        self._in_flight: dict[Key, Value | None] = {}
        # Keys whose newest record in the changelog has an older value.
        self._rewrite: dict[Key, None] = {}

    def change(self, key: Key, value: Value | None) -> None:
        """Set a value; `None` removes it."""
        self._before.setdefault(key, self.values.get(key))
        self._put(key, value)

    def is_durable(self, key: Key) -> bool:
        """Return whether the broker has acknowledged the value of a key."""
        return key not in self._before and key not in self._in_flight

    def cut(self) -> list[tuple[Key, Value | None]]:
        """Return what has changed since the last cut; `confirm` it or `roll_back`."""
        self._in_flight, self._before = self._before, {}
        keys = dict.fromkeys([*self._in_flight, *islice(self._rewrite, MOST_REPEATED)])
        return [(key, self.values.get(key)) for key in keys]

    def has_changed(self, key: Key) -> bool:
        """Return whether a key in the cut in flight has changed; else it is only rewritten."""
        return key in self._in_flight

    def confirm(self, changed: Iterable[tuple[Key, Value | None]]) -> None:
        """Note that the broker has acknowledged the cut."""
        self._in_flight = {}
        for key, _ in changed:
            self._rewrite.pop(key, None)

    def roll_back(self) -> None:
        """Undo all changes that are not acknowledged."""
        for undone in (self._before, self._in_flight):
            for key, value in undone.items():
                self._put(key, value)
        self._before, self._in_flight = {}, {}

    def rewrite(self) -> None:
        """Write all values again with the next cuts."""
        self._rewrite |= dict.fromkeys(self.values)

    def restore(self, key: Key, value: Value | None) -> None:
        """Restore a value from the changelog. Of two values of a key the newer one holds.

        An older value after a newer one was written by a worker that did not know that it had lost
        its partition. The newer one is then written again with the next cut.
        """
        known = None if value is None else self.values.get(key)
        if value is not None and known is not None and self._order(value) < self._order(known):
            self._rewrite[key] = None
        else:
            if self._rewrite:
                self._rewrite.pop(key, None)
            self._put(key, value)

    def _put(self, key: Key, value: Value | None) -> None:
        if self._on_put is not None:
            self._on_put(key, self.values.get(key), value)
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value


class ChangelogValues(TrackedValues[Key, Value]):
    """Tracked values in a changelog that they share with others: only their keys have `prefix`."""

    prefix: ClassVar[bytes]

    def record(self, key: Key, value: Value | None) -> tuple[bytes, bytes | None]:
        """Return the changelog record of a value; `None`: it is removed."""
        raise NotImplementedError

    def restore_record(self, key: bytes, value: bytes | None) -> None:
        """Restore a record of the changelog."""
        raise NotImplementedError
