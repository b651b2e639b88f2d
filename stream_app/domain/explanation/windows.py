"""Why a window of a trigger has fired, or why it has not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from stream_app.domain.alerts.alert import Alert
from stream_app.domain.configuration.triggers import Threshold, Trigger
from stream_app.domain.counting.windows import CellKey
from stream_app.domain.explanation.versions import Basis
from stream_app.domain.replay.recorded_triggers import counted_key
from stream_app.domain.reports.alert_history import AlertHistory
from stream_app.domain.times import iso_utc


class WindowState(StrEnum):
    """Whether a window has fired, and else why not; a closed list."""

    FIRED = "fired"
    NO_EVENTS = "no_events"
    NOT_EXCEEDED = "threshold_not_exceeded"
    DISABLED = "trigger_disabled"
    #: The detector has not read all records yet.
    NOT_READ_YET = "not_read_yet"
    #: Enough events are on the topic, but the workers have not counted them.
    NOT_COUNTED = "not_counted"
    #: The workers have counted enough events, and there is no alert.
    NO_ALERT = "no_alert"
    #: It has begun and not ended, and may still fire.
    OPEN = "not_over_yet"
    #: It has not begun.
    FUTURE = "in_the_future"


@dataclass
class WindowFacts:
    """What is known of a window. `start` is in Unix seconds.

    `count` is how many events of the topic count in it today, `late` how many come too late for it.
    `recorded` is what the workers have counted, None if that is not known any more, and
    `other_revisions` what they have counted for other revisions of the trigger, for which
    `other_alerts` have fired. `read_to_ms` is where reading stopped early. `basis` says which form
    the trigger has here, and `now` is the clock (Unix seconds; None: the window has ended).
    """

    trigger: Trigger
    start: int
    count: int = 0
    late: int = 0
    recorded: int | None = None
    other_revisions: dict[str, int] = field(default_factory=dict)
    alert: AlertHistory | None = None
    other_alerts: list[AlertHistory] = field(default_factory=list)
    read_to_ms: int | None = None
    #: Records that the detector has not read yet, and how many detectors run.
    backlog: int = 0
    workers: int = 1
    basis: Basis = Basis.TODAY
    now: int | None = None

    @property
    def threshold(self) -> Threshold:
        """The threshold of the trigger."""
        if self.trigger.threshold is None:
            raise ValueError(f"trigger {self.trigger.id} has no threshold")
        return self.trigger.threshold

    @property
    def end(self) -> int:
        """The window's end, exclusive."""
        return self.start + self.threshold.period

    @property
    def key(self) -> CellKey:
        """The key under which the window is counted."""
        return counted_key(self.trigger, self.start)

    @property
    def counted(self) -> int:
        """How many events count: those that the workers have counted, if that is known."""
        if self.recorded is None or self.backlog:
            return max(self.count, self.recorded or 0)
        return self.recorded

    @property
    def fired(self) -> AlertHistory | None:
        """The alert of the window: of this form of the trigger, or else of another one."""
        return self.alert or next(iter(self.other_alerts), None)

    @property
    def alerts(self) -> list[AlertHistory]:
        """The alerts of the window, that of this form of the trigger first."""
        return ([] if self.alert is None else [self.alert]) + self.other_alerts

    @property
    def unread(self) -> int:
        """How many events of the window the detector has yet to count."""
        return max(0, self.count - (self.recorded or 0)) if self.backlog else 0

    @property
    def state(self) -> WindowState:
        """Whether it has fired, and else why not."""
        most = self.threshold.count
        if self.fired is not None:
            return WindowState.FIRED
        if not self.trigger.enabled:
            return WindowState.DISABLED
        if self.counted > most:
            return WindowState.NOT_READ_YET if self.backlog else WindowState.NO_ALERT
        return WindowState.NOT_COUNTED if self.count > most else self._below_the_threshold

    @property
    def _below_the_threshold(self) -> WindowState:
        if self.now is not None and self.now < self.start and not self.counted:
            return WindowState.FUTURE
        if self.now is not None and self.now < self.end:
            return WindowState.OPEN
        return WindowState.NOT_EXCEEDED if self.counted else WindowState.NO_EVENTS

    @property
    def counted_text(self) -> str:
        """How many events count, against the threshold."""
        number, most = self.counted, self.threshold.count
        return f"{number:,} of more than {most:,} event{'s' * (most != 1)}"

    def notes(self) -> Iterator[str]:
        """Yield what a person must know beside the count."""
        yield from self._why_not_fired()
        if self.recorded is None:
            yield "what the workers counted is not known any more; this is what the topic holds"
        elif self.recorded != self.count and not self.backlog and self.read_to_ms is None:
            yield (
                f"the workers counted {self.recorded:,} for this form of the trigger; "
                f"{self.count:,} of the events on the topic match it"
            )
        if self.late:
            yield f"{self.late:,} more came too late: the window took no more events"
        for revision, number in sorted(self.other_revisions.items()):
            yield (
                f"{number:,} of the events counted for another form of the trigger, revision "
                f"{revision}: a changed trigger counts anew"
            )
        for alert in (one.alert for one in self.other_alerts):
            if isinstance(alert, Alert):
                span = span_text(alert.window_start, alert.window_end)
                yield f"{self.other_form}, {form_text(alert)}, fired for {span}: alert {alert.id}"
        if self.read_to_ms is not None:
            yield (
                f"reading stopped at what was recorded by {iso_utc(self.read_to_ms)}: later "
                "records may hold more events of the window"
            )

    @property
    def backlog_text(self) -> str:
        """How many records of the topic the detector has yet to read."""
        one = "record" if self.backlog == 1 else "records"
        text = f"the detector has yet to read {self.backlog:,} {one} of the topic"
        return text if self.workers else f"{text}, and none is running"

    @property
    def other_form(self) -> str:
        """The form of the trigger that `other_alerts` have, for a sentence."""
        return (
            "another form of the trigger"
            if self.basis is Basis.THEN
            else ("an earlier form of the trigger")
        )

    def _why_not_fired(self) -> Iterator[str]:
        state, enabled_at = self.state, self.trigger.enabled_at
        if state is WindowState.DISABLED:
            yield "the trigger is disabled: it counts nothing"
        elif state is WindowState.NOT_READ_YET:
            yield f"{self.backlog_text}: the alert may still come"
        elif state is WindowState.NO_ALERT:
            yield (
                "that exceeds the threshold, and no alert is on the topic: the trigger may have "
                "been changed meanwhile, or the alert is no longer kept"
            )
        elif state is not WindowState.FIRED and self.backlog:
            yield self.backlog_text
        if state is not WindowState.FIRED and enabled_at >= self.start * 1000:
            yield (
                f"the trigger counts since {iso_utc(enabled_at)}: events that were read before "
                "do not count"
            )


def form_text(alert: Alert) -> str:
    """Return the threshold of an alert's trigger, which tells its forms apart."""
    threshold = alert.trigger.threshold
    return f"more than {threshold.count:,} in {threshold.period:,} s"


def span_text(start: int, end: int) -> str:
    """Return a window for a person, with the date once: `2026-11-29 10:00:00 to 10:05:00`."""
    try:
        first, last = (datetime.fromtimestamp(at, UTC) for at in (start, end))
    except (ValueError, OverflowError, OSError):
        return f"{start} to {end}"
    same = first.date() == last.date()
    return (
        f"{first:%Y-%m-%d %H:%M:%S} to {last.strftime('%H:%M:%S' if same else '%Y-%m-%d %H:%M:%S')}"
    )
