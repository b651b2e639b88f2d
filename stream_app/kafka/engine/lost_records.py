"""Records that retention has removed before they were read: counted once, and told."""

from __future__ import annotations

from collections import Counter

from faust.types import TP

from stream_app.logs import get_logger

log = get_logger(__name__)


class LostRecords:
    """What a worker has noticed to be lost, by topic.

    The same loss can be noticed twice: by a fetch, and by a rebalance before the group's offset
    is behind it. It is counted by offsets, of which transactions and compaction leave some
    without records.
    """

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        # The last part of each partition that is counted.
        self._counted: dict[TP, tuple[int, int]] = {}

    def note(self, tp: TP, start: int, end: int) -> None:
        """Count the records from offset `start` up to `end`, but for those that are counted."""
        first, last = self._counted.get(tp, (start, start))
        lost = end - start - max(0, min(end, last) - max(start, first))
        if lost <= 0:
            return
        self._counted[tp] = (min(start, first), end) if last >= start else (start, end)
        self.total[tp.topic] += lost
        log.error(
            "records_lost",
            topic=tp.topic,
            partition=tp.partition,
            first_offset=start,
            next_offset=end,
            records=lost,
            why="removed by the topic's retention before they were read",
        )
