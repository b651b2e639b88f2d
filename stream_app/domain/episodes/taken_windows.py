"""Which windows of a series have been taken.

A detector that is killed sends the alerts of its last moments again, so a window may come twice. It
must neither be told nor counted twice.
"""

from __future__ import annotations

import msgspec

from stream_app.domain.counting.windows import keep_seconds
from stream_app.domain.episodes.episode import FiredWindow


class TakenWindows(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The windows before `end` (Unix seconds), one bit for each, the newest in the lowest bit.

    Windows that ended so long ago that no event counts for them any more are forgotten, so there
    are at most 3,602 bits.
    """

    end: int = 0
    bits: bytes = b""

    def holds(self, window: FiredWindow) -> bool:
        """Tell whether a window has been taken."""
        place = _place(self.end, window)
        return place >= 0 and bool(int.from_bytes(self.bits) >> place & 1)

    def remembers(self, window: FiredWindow) -> bool:
        """Tell whether it would be known if a window had been taken."""
        return _place(self.end, window) < _most(window)

    def with_window(self, window: FiredWindow) -> TakenWindows:
        """Return these windows and one more."""
        bits, place, most = int.from_bytes(self.bits), _place(self.end, window), _most(window)
        if place < 0:
            bits, place = bits << -place if -place <= most else 0, 0
        end = max(self.end, window.end)
        bits = (bits | 1 << place if place < most else bits) & ((1 << most) - 1)
        return TakenWindows(end, bits.to_bytes((bits.bit_length() + 7) // 8))


def _place(end: int, window: FiredWindow) -> int:
    """Return how many windows a window lies before the newest one; negative: it is newer."""
    return (end - window.end) // (window.end - window.start)


def _most(window: FiredWindow) -> int:
    """Return how many windows are remembered."""
    period = window.end - window.start
    return keep_seconds(period) // period + 1
