"""How far a worker has restored its states: for its log, health page, metrics and `status`.

`status` asks Kafka, never a worker. So a worker that is restoring commits its group's committed
offsets again, with a note about its progress beside them.
"""

from __future__ import annotations

import time

#: How often the log tells the progress.
REPORT_SECONDS = 5.0


class RestoreProgress:
    """Counts what one restoring has read and what is left."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._ended: float | None = None
        self._reported = self._started
        #: Changelog offsets to pass (None until the broker has told), and those passed so far.
        self.total: int | None = None
        self.done = 0
        #: Records read: fewer than offsets if some are compacted away.
        self.records = 0
        #: Partitions whose states are built from what was read, and how many there are in all.
        self.made = self.partitions = 0

    def begin(self, total: int, partitions: int) -> None:
        """Note how much there is to read."""
        self.total, self.done, self.records = total, 0, 0
        self.made, self.partitions = 0, partitions

    def end(self) -> None:
        """Note that all states are restored."""
        self._ended = time.monotonic()

    @property
    def remaining(self) -> int | None:
        """Changelog offsets left to pass; None if not known yet."""
        return None if self.total is None else self.total - self.done

    @property
    def is_over(self) -> bool:
        """Tell whether all states are restored."""
        return self._ended is not None

    @property
    def seconds(self) -> float:
        """Seconds since the start, or until the end."""
        return (self._ended or time.monotonic()) - self._started

    @property
    def per_second(self) -> int:
        """Offsets passed per second."""
        return round(self.done / max(self.seconds, 0.001))

    @property
    def seconds_left(self) -> int | None:
        """Seconds that the rest takes at this rate; None if not known."""
        if self.total is None or not self.done:
            return None
        return round((self.total - self.done) / max(self.per_second, 1))

    def is_due(self) -> bool:
        """Tell whether the next report is due; if it is, count it as made."""
        now = time.monotonic()
        if now - self._reported < REPORT_SECONDS:
            return False
        self._reported = now
        return True

    def __str__(self) -> str:
        """Return the progress as a sentence for the health page."""
        if self.total is None:
            return "state is being read: asking how much there is"
        if self.done >= self.total:
            return (
                f"state is being made of {self.total} changelog records: "
                f"{self.made} of {self.partitions} partitions are done"
            )
        left = self.seconds_left
        rest = "" if left is None else f", {left} s left"
        return (
            f"state is being read: {self.done} of {self.total} changelog records, "
            f"{self.per_second}/s{rest}"
        )
