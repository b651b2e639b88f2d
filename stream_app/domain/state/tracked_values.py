"""Values by key that stand in a changelog: what has changed, and what is acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from itertools import islice
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


#: Most values in a cut that are only written again: there may be a million of them.
MOST_REPEATED = 10_000


class TrackedValues(Generic[Key, Value]):
    """A mapping whose changes are written down in cuts, one cut in flight at a time.

    Args:
        order: tells the newer of two values of one key; the larger one holds.
        on_put: called with the key, the value before and the one after, `None` for none.
        values: where they are kept, empty; a dict if it is left out.
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
        # What stood there before the changes since the last cut, and before those of that cut.
        self._before: dict[Key, Value | None] = {}
        self._in_flight: dict[Key, Value | None] = {}
        # Keys that the changelog has an older value behind of.
        self._rewrite: dict[Key, None] = {}

    def change(self, key: Key, value: Value | None) -> None:
        """Set a value, or with `None` take it away."""
        self._before.setdefault(key, self.values.get(key))
        self._put(key, value)

    def is_durable(self, key: Key) -> bool:
        """Tell whether the broker has acknowledged the value of a key."""
        return key not in self._before and key not in self._in_flight

    def cut(self) -> list[tuple[Key, Value | None]]:
        """Return what has changed since the last cut; `confirm` it or `roll_back`."""
        self._in_flight, self._before = self._before, {}
        keys = dict.fromkeys([*self._in_flight, *islice(self._rewrite, MOST_REPEATED)])
        return [(key, self.values.get(key)) for key in keys]

    def has_changed(self, key: Key) -> bool:
        """Tell whether a key of the cut in flight has changed; else it is only written again."""
        return key in self._in_flight

    def confirm(self, changed: Iterable[tuple[Key, Value | None]]) -> None:
        """Note that the broker has acknowledged the cut."""
        self._in_flight = {}
        for key, _ in changed:
            self._rewrite.pop(key, None)

    def roll_back(self) -> None:
        """Forget everything that is not known to be acknowledged."""
        for undone in (self._before, self._in_flight):
            for key, value in undone.items():
                self._put(key, value)
        self._before, self._in_flight = {}, {}

    def rewrite(self) -> None:
        """Put all values into the next cuts."""
        self._rewrite |= dict.fromkeys(self.values)

    def restore(self, key: Key, value: Value | None) -> None:
        """Take a value from the changelog; of two of a key the newer one holds.

        An older one behind a newer one was written by a worker that had lost its partition
        without knowing. The newer one is then written again with the next cut.
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
