"""Counting and logging records that retention removed before they were read."""

from __future__ import annotations

from collections import Counter

from faust.types import TP

from stream_app.logs import get_logger

log = get_logger(__name__)


class LostRecords:
    """Counts the lost records of each topic, each loss once.

    The same loss can be noticed twice: by a fetch, and by a rebalance that comes before the group
    has committed an offset beyond it. Offsets are counted; transactions and compaction leave some
    offsets without a record.
    """

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        # The last range of offsets that was counted, by partition.
        self._counted: dict[TP, tuple[int, int]] = {}

    def note(self, tp: TP, start: int, end: int) -> None:
        """Count the offsets from `start` up to `end` (exclusive) that are not counted yet."""
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
