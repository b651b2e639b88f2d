"""When an event of the pulse is sent where, and when a ping is due.

In each round one event goes to the next partition of each topic of events. Once all have come
through, a ping is due. An event that does not come through in time holds all pings back, until a
later one has come through the same partition: otherwise the others would hide that it stands
still.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

#: A partition: full name of its topic, and its number.
PulsePlace = tuple[str, int]
#: Most events of one round beside the usual ones, for partitions that owe one.
MAX_REPEATS = 10
#: Most events that a partition may owe; of more, those between the first and the last are dropped.
MAX_OWED = 10
#: Most rounds whose events are waited for: on a busy machine one may begin before the last is over.
MAX_OPEN = 10


class PulseRounds:
    """The rounds of the notifier that pings.

    All times are ms of a clock that is never set; only `begin` also takes Unix ms, from which the
    first turn follows, so that a new owner goes on about where the last one was.

    Args:
        interval_ms: the length of a round.
        late_ms: how long an event may take.
    """

    def __init__(self, interval_ms: int, late_ms: int) -> None:
        self._interval_ms = interval_ms
        self._late_ms = late_ms
        self._next_ms: int | None = None
        #: Counts the rounds; None: there was none.
        self._turn: int | None = None
        #: Whether all events of a round have come through since the last ping.
        self._is_proven = False
        #: The events of the newest rounds that have not come through.
        self._open: deque[set[str]] = deque(maxlen=MAX_OPEN)
        #: The events that each partition owes, the oldest first: delivery id -> when it was sent.
        self._owed: dict[PulsePlace, dict[str, int]] = {}

    def reset(self) -> None:
        """Forget all: this notifier does not ping. When it does again, a round is due at once."""
        self._next_ms = None
        self._is_proven = False
        self._open.clear()
        self._owed = {}

    def wait_ms(self, now_ms: int) -> int:
        """Return how long it is until a round begins; 0: it begins now."""
        return 0 if self._next_ms is None else max(0, self._next_ms - now_ms)

    def begin(self, now_ms: int, unix_ms: int, partitions: Mapping[str, int]) -> list[PulsePlace]:
        """Begin a round; return the partitions that get an event.

        Args:
            now_ms: the time.
            unix_ms: the time, Unix ms.
            partitions: how many each topic of events has.
        """
        self._next_ms = now_ms + self._interval_ms
        self._is_proven = False
        self._open.append(set())
        self._turn = unix_ms // self._interval_ms if self._turn is None else self._turn + 1
        usual = [(topic, self._turn % count) for topic, count in partitions.items() if count]
        late = [place for place, _ in self.late(now_ms) if place not in usual]
        return [*usual, *late[:MAX_REPEATS]]

    def sent(self, place: PulsePlace, delivery_id: str, now_ms: int) -> None:
        """Note that an event was sent to a partition, and the delivery that will come of it."""
        owed = self._owed.setdefault(place, {})
        if len(owed) >= MAX_OWED:
            del owed[list(owed)[1]]
        owed[delivery_id] = now_ms
        if self._open:
            self._open[-1].add(delivery_id)

    def arrived(self, delivery_id: str) -> bool:
        """Note that a delivery has come through; return whether it was waited for.

        It proves that its partition has let the earlier events pass, too.
        """
        for place, owed in self._owed.items():
            if delivery_id in owed:
                sent_ms = owed[delivery_id]
                left = {name: at for name, at in owed.items() if at > sent_ms}
                if left:
                    self._owed[place] = left
                else:
                    del self._owed[place]
                self._close(delivery_id)
                return True
        return False

    def _close(self, delivery_id: str) -> None:
        for events in self._open:
            if delivery_id in events:
                events.remove(delivery_id)
                self._is_proven = self._is_proven or not events

    def late(self, now_ms: int) -> list[tuple[PulsePlace, int]]:
        """Return the partitions that owe an event for too long, and for how long each, in ms."""
        waits = [(place, now_ms - next(iter(owed.values()))) for place, owed in self._owed.items()]
        return [(place, wait) for place, wait in waits if wait >= self._late_ms]

    @property
    def wants_ping(self) -> bool:
        """Whether all events of a round have come through, and nothing was pinged since."""
        return self._is_proven

    def pinged(self) -> None:
        """Note that the heartbeat was pinged: another round must be proved for the next ping."""
        self._is_proven = False
