"""Says what has stopped the pulse: in the log once, in the metrics, and in a note on Kafka."""

from __future__ import annotations

from collections.abc import Sequence

from stream_app.domain.pulse.note import NEXT_STEPS, PulseReason, PulseStop
from stream_app.logs import get_logger
from stream_app.metrics import Metrics

log = get_logger(__name__)


class PulseReport:
    """Follows what stops the pulse of a notifier that pings. Times are ms of a steady clock.

    A stop is told in the metrics at once, and in the log when no ping has been made for a while: a
    rebalance is no failure.

    Args:
        patience_ms: how long the pulse may be silent before the log says so.
    """

    def __init__(self, metrics: Metrics, patience_ms: int) -> None:
        self._metrics = metrics
        self._patience_ms = patience_ms
        #: When the pulse was last well; None: this notifier does not ping.
        self._well_ms: int | None = None
        #: The reasons that the log has named; empty while the pulse is well.
        self._logged: frozenset[PulseReason] = frozenset()
        self._show(None)

    def reset(self) -> None:
        """Show nothing: another notifier pings now."""
        self._well_ms = None
        self._logged = frozenset()
        self._show(None)

    def pinged(self, now_ms: int, unix_ms: int, *, is_well: bool) -> None:
        """Note a ping; `is_well` says that pings reach the heartbeat, as far as that is known."""
        self._metrics.pulse_last_ping.set(unix_ms / 1000)
        if not is_well:
            return
        self._well_ms = now_ms
        self._show(())
        if self._logged:
            self._logged = frozenset()
            log.info("pulse_back")

    def stopped(self, now_ms: int, stops: Sequence[PulseStop]) -> bool:
        """Note what stops the pulse now; it may be nothing, if only the ping is not due.

        Return whether the log has said that it has stopped, for a new reason.
        """
        if self._well_ms is None:
            self._well_ms = now_ms
        self._show(stops)
        reasons = frozenset(stop.reason for stop in stops)
        if now_ms - self._well_ms < self._patience_ms or reasons <= self._logged:
            return False
        new = [stop for stop in stops if stop.reason not in self._logged]
        self._logged |= reasons
        for stop in new:
            log.error(
                "pulse_stopped", reason=stop.reason, why=stop.why, then=NEXT_STEPS[stop.reason]
            )
        return True

    @property
    def well_ms(self) -> int | None:
        """When the pulse was last well; None: this notifier does not ping."""
        return self._well_ms

    def _show(self, stops: Sequence[PulseStop] | None) -> None:
        found = None if stops is None else {stop.reason for stop in stops}
        for reason in PulseReason:
            value = None if found is None else float(reason in found)
            self._metrics.pulse_blocked.labels(reason).set(value)
