"""How far the restoring of a worker's states is: for its log, health page, metrics and `status`.

`status` asks no worker, only Kafka: a worker that restores commits what its group has committed
once more, with a note about itself beside the offset.
"""

from __future__ import annotations

import time

#: How often a log line tells how far it is.
REPORT_SECONDS = 5.0


class RestoreProgress:
    """Counts the changelog records of one restoring."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._ended: float | None = None
        self._reported = self._started
        #: Changelog offsets to go through, unknown before the broker has told; and gone through.
        self.total: int | None = None
        self.done = 0
        #: Records read: fewer than offsets where some are compacted away.
        self.records = 0
        #: Partitions whose states are made of what has been read, and how many there are.
        self.made = self.partitions = 0

    def begin(self, total: int, partitions: int) -> None:
        """Note how much there is to read."""
        self.total, self.done, self.records = total, 0, 0
        self.made, self.partitions = 0, partitions

    def end(self) -> None:
        """Note that all is read."""
        self._ended = time.monotonic()

    @property
    def remaining(self) -> int | None:
        """How many are still to be gone through; None: not known yet."""
        return None if self.total is None else self.total - self.done

    @property
    def is_over(self) -> bool:
        """Tell whether all is read."""
        return self._ended is not None

    @property
    def seconds(self) -> float:
        """How long it takes, or took."""
        return (self._ended or time.monotonic()) - self._started

    @property
    def per_second(self) -> int:
        """Offsets gone through in a second."""
        return round(self.done / max(self.seconds, 0.001))

    @property
    def seconds_left(self) -> int | None:
        """How long the rest takes at this rate; None: not known."""
        if self.total is None or not self.done:
            return None
        return round((self.total - self.done) / max(self.per_second, 1))

    def is_due(self) -> bool:
        """Tell whether it is time to say how far it is."""
        now = time.monotonic()
        if now - self._reported < REPORT_SECONDS:
            return False
        self._reported = now
        return True

    def __str__(self) -> str:
        """Say it for a health page."""
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
