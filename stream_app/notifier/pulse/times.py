"""The times of the pulse: how often it beats, and how long each part of it may take."""

from __future__ import annotations

INTERVAL_SECONDS = 60.0
#: How long an event may take, and deliveries that are due may wait for any sign of life.
LATE_SECONDS = 60.0
WAITING_SECONDS = 120.0
#: Time between two looks while something stops the pulse, and how old facts may be for a ping.
LOOK_SECONDS = 5.0
#: Shortest times in tests, which shorten all waits: a busy machine needs them.
LEAST_INTERVAL_SECONDS = 1.0
LEAST_LATE_SECONDS = 8.0
LEAST_LOOK_SECONDS = 0.3


class PulseTimes:
    """The times of the pulse, shortened by the scale of tests."""

    def __init__(self, scale: float) -> None:
        interval = max(INTERVAL_SECONDS * scale, LEAST_INTERVAL_SECONDS)
        self.interval_ms = round(interval * 1000)
        self.late_ms = round(max(LATE_SECONDS * scale, LEAST_LATE_SECONDS) * 1000)
        self.waiting_ms = round(max(WAITING_SECONDS * scale, LEAST_LATE_SECONDS) * 1000)
        self.patience_ms = 2 * self.interval_ms + self.late_ms // 2
        self.look_seconds = max(LOOK_SECONDS * scale, LEAST_LOOK_SECONDS)
