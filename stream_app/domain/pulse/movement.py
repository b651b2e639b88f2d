"""Which partitions have records and do not advance, by the offsets that their group commits."""

from __future__ import annotations

from collections.abc import Mapping

from stream_app.domain.pulse.rounds import PulsePlace


class Movement:
    """Follows committed offsets from look to look. Times are ms of a clock that is never set.

    Args:
        most_ms: how long an offset may stay while records wait behind it.
    """

    def __init__(self, most_ms: int) -> None:
        self._most_ms = most_ms
        #: Partitions with records: the committed offset, and since when it is that.
        self._waiting: dict[PulsePlace, tuple[int, int]] = {}

    def stuck(
        self, offsets: Mapping[PulsePlace, tuple[int, int]], now_ms: int
    ) -> dict[PulsePlace, int]:
        """Return the partitions that stand still, and the offset of each.

        Args:
            offsets: the next offset that is not done, and the end, of each partition.
            now_ms: the time.
        """
        waiting = {}
        for place, (committed, end) in offsets.items():
            if committed < end:
                known, since_ms = self._waiting.get(place, (None, now_ms))
                waiting[place] = committed, since_ms if known == committed else now_ms
        self._waiting = waiting
        return {
            place: committed
            for place, (committed, since_ms) in waiting.items()
            if now_ms - since_ms >= self._most_ms
        }
