"""Progress of a long read, on a terminal only: events, rate, time left."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from stream_app.cli.output import is_watched, paint_over, say

#: Shortest time between two updates of the line.
_REPAINT_SECONDS = 0.2


class ProgressLine:
    """Shows one line on stderr, and after an interrupt how far the command got.

    Args:
        total: how many records there are; 0: unknown, or not known yet.
        unit: what is counted.
        what: what is read, where a command reads several things.
        at_stop: what it means to stop early.
    """

    def __init__(
        self,
        total: int = 0,
        unit: str = "records",
        what: str = "",
        at_stop: str = "nothing was shown, the result would be partial",
    ) -> None:
        self._at_stop = at_stop
        self._total = total
        self._what = f"{what}: " if what else ""
        self._unit = unit
        self._done = 0
        self._began = time.monotonic()
        self._painted_at = 0.0
        self._is_shown = is_watched()

    def __enter__(self) -> Self:
        """Start the clock."""
        self._began = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None
    ) -> None:
        """Remove the line; after an interrupt or a failure say how far the command got."""
        if self._is_shown and self._painted_at:
            paint_over("")
        if kind is not None:
            say(f"stopped after {self._amount()}: {self._at_stop}")

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def report(self, done: int, total: int = 0) -> None:
        """Note how many are done, and how many there are once that is known."""
        self._done, self._total = done, total or self._total
        now = time.monotonic()
        if self._is_shown and now - self._painted_at >= _REPAINT_SECONDS:
            self._painted_at = now
            paint_over(self._line())

    def _amount(self) -> str:
        if not self._total:
            return f"{self._done:,} {self._unit}"
        share = f"{100 * self._done // self._total} %"
        return f"{self._done:,} of {self._total:,} {self._unit} ({share})"

    def _line(self) -> str:
        rate = self._done / max(self.seconds, 0.001)
        line = f"{self._what}{self._amount()}, {rate:,.0f}/s"
        if self._total and rate:
            line += f", {max(0, self._total - self._done) / rate:.0f} s left"
        return line
