"""Counts events by the current triggers and by their former definitions, in one reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from stream_app.domain.alerts.alert import Alert
from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.counting.windows import CellKey
from stream_app.domain.events.batches import Record
from stream_app.domain.replay.counting_replay import CountingReplay, ReplayFigures
from stream_app.domain.replay.recorded_triggers import (
    counted_key,
    definition,
    period_of,
    recorded_trigger,
)


class JudgedCounting:
    """Counts the events of one kind twice, so that a window's count then and now is known.

    Without changed triggers it counts once.

    Args:
        make: makes each of the two replays, of some triggers.
        now: the current triggers, by id.
        former: the former definitions that differ from them.
        recorded: the alerts whose windows are compared.
    """

    def __init__(
        self,
        make: Callable[..., CountingReplay],
        now: Mapping[int, Trigger],
        former: Collection[Trigger],
        recorded: Collection[Alert],
    ) -> None:
        watched, watched_then = set(), set()
        for alert in recorded:
            then, found = recorded_trigger(alert), now.get(alert.trigger.id)
            if found is not None and period_of(found) == period_of(then):
                watched.add(counted_key(found, alert.window_start))
            if found is None or definition(found) != then.revision:
                watched_then.add(counted_key(then, alert.window_start))
        #: Key of a former trigger -> that of the same trigger now, if their windows are the same.
        self._peers = {
            counted_key(one, 0)[0]: counted_key(now[one.id], 0)[0]
            for one in former
            if one.id in now and period_of(now[one.id]) == period_of(one)
        }
        self._now = make(now.values(), watched=watched)
        self._then = None
        if former:
            self._then = make(former, watched=watched_then, is_kept=self._fires_now)

    @property
    def figures(self) -> ReplayFigures:
        """What became of the events, by the current triggers."""
        return self._now.figures

    @property
    def late(self) -> Counter[CellKey]:
        """How many events of compared windows came late."""
        return self._now.late

    @property
    def first_seconds(self) -> int | None:
        """The event time (Unix seconds) at which what was read begins; None: nothing was read."""
        return self._now.first_seconds

    def replay(self, partition: int, records: Sequence[Record]) -> None:
        """Count the records of one batch of a partition."""
        self._now.replay(partition, records)
        if self._then is not None:
            self._then.replay(partition, records)

    def finish(self, partition: int) -> None:
        """Note that a partition has no more events."""
        self._now.finish(partition)
        if self._then is not None:
            self._then.finish(partition)

    def alerts(self) -> Iterator[tuple[Alert, int]]:
        """Yield the current triggers' alerts, oldest first, each with its number of events."""
        return self._now.alerts()

    def count(self, key: CellKey) -> int | None:
        """Return how many events a compared window has; None: its trigger counts nothing here."""
        found = self._now.total(key)
        return found if found is not None or self._then is None else self._then.total(key)

    def _fires_now(self, key: CellKey) -> bool:
        peer = self._peers.get(key[0])
        return peer is not None and self._now.has_fired((peer, key[1]))
