"""The alerts on the topic: what a replay is compared with."""

from __future__ import annotations

from collections.abc import Callable

from stream_app.domain.alerts.alert import Alert, NoticeAlert, decode_alert
from stream_app.domain.configuration.reserved import PULSE_CLIENT_ID
from stream_app.domain.counting.windows import CellKey, counts_key
from stream_app.domain.events.model import KIND_OF_CONDITION
from stream_app.domain.events.parts import DECODE_ERRORS

#: The source of alerts of notices; the source of a trigger's alerts is a kind of event.
ACCOUNT = "account"


def source_of(alert: Alert | NoticeAlert) -> str:
    """Return the kind of event that an alert comes from; empty for an unknown condition."""
    if isinstance(alert, NoticeAlert):
        return ACCOUNT
    return KIND_OF_CONDITION.get(alert.trigger.template_id, "")


def window_of(alert: Alert, revision: str | None = None) -> CellKey:
    """Return the key under which the alert's window is counted, by its revision or another one."""
    trigger = alert.trigger
    chosen, period = revision or trigger.revision, trigger.threshold.period
    return counts_key(alert.client_id, trigger.id, chosen, period), alert.window_start


def span_ms(alert: Alert | NoticeAlert) -> tuple[int, int]:
    """Return the time that an alert is about: its window, or when its notice was appended."""
    if isinstance(alert, NoticeAlert):
        return alert.notice.appended_ms, alert.notice.appended_ms + 1
    return alert.window_start * 1000, alert.window_end * 1000


class RecordedAlerts:
    """All alerts of the topic by id, whatever range is replayed.

    Late uploads let a replay give alerts of windows that lie before the range.
    """

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.alerts: dict[str, Alert | NoticeAlert] = {}
        self.conflicting: dict[str, Alert | NoticeAlert] = {}
        self.unreadable = 0

    def add_record(
        self, value: bytes | None, wanted: Callable[[Alert | NoticeAlert], bool]
    ) -> None:
        """Add a record's alert if it is wanted.

        Of several records of one id the first is kept, and the first with other bytes as well.
        """
        try:
            alert = decode_alert(value or b"")
        except DECODE_ERRORS:
            self.unreadable += 1
            return
        if alert.client_id != PULSE_CLIENT_ID and wanted(alert):
            self.alerts.setdefault(alert.id, alert)
            if self.values.setdefault(alert.id, value or b"") != value:
                self.conflicting.setdefault(alert.id, alert)

    def fired(self) -> list[Alert]:
        """Return the alerts of counting triggers."""
        return [one for one in self.alerts.values() if isinstance(one, Alert)]
