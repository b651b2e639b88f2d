"""Says that alerts wait to be closed, why, and when that is over: once each."""

from __future__ import annotations

from collections.abc import Callable

from stream_app.logs import get_logger

log = get_logger(__name__)

#: A wait that is over sooner is normal: the workers commit their offsets every second, and what is
#: counted while much comes in may be some seconds behind.
LONG_MS = 60_000


class ClosesWait:
    """The wait of a worker, by a clock that is never set."""

    def __init__(self, steady_ms: Callable[[], int]) -> None:
        self._steady_ms = steady_ms
        self._since_ms: int | None = None
        self._is_logged = False

    def note(self, alerts: int, why: str, *, is_lasting: bool) -> None:
        """Note that so many alerts cannot be closed now, and why.

        If time alone does not end what is in the way, the log says it at once.
        """
        now_ms = self._steady_ms()
        if self._since_ms is None:
            self._since_ms = now_ms
        waited_ms = now_ms - self._since_ms
        if not self._is_logged and (is_lasting or waited_ms >= LONG_MS):
            self._is_logged = True
            log.warning(
                "closes_wait",
                alerts=alerts,
                seconds=waited_ms // 1000,
                why=why,
                then="the alerts stay open until this is over",
            )

    def end(self) -> None:
        """Note that nothing is in the way any more."""
        if self._is_logged:
            log.info("closes_wait_no_more")
        self._since_ms, self._is_logged = None, False
