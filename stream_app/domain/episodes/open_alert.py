"""The open alert of an episode at its service: how far it has come, and how far it is closed.

All that is kept only grows, whichever record comes first or twice. So a record that is read again
after a crash changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec
import orjson

from stream_app.domain.episodes.episode import Series
from stream_app.domain.episodes.reference import EpisodeReference
from stream_app.domain.state.keys import NEVER
from stream_app.domain.state.tracked_values import ChangelogValues
from stream_app.domain.times import HOUR_MS

#: An open alert that nothing has come for is forgotten after this time, as its records are.
REMEMBER_MS = 31 * 24 * HOUR_MS
#: A closed one is forgotten after this time, when no window can belong to its episode any more: a
#: trigger that fires now and then makes thousands of episodes in a month.
REMEMBER_CLOSED_MS = 3 * 24 * HOUR_MS
#: The previous version takes an open alert's value for that of a delivery that ended long ago, and
#: does nothing with it. It reads five parts: status, attempt, redrives, hour and reason.
_ENDED = ("sent", 0, 0)


class OpenAlert(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An alert that must be closed when its episode is over.

    `begin` is the start of its earliest window, and `last_window_end` the end of its latest one,
    folded ones included (Unix seconds). `seen_ms` is the record time, by the broker, at which a
    window last came, and `created_offset` the offset of the last delivery that creates the alert;
    that delivery is of the alert `alert_id`. `accepted_ms` is when such a delivery was last
    accepted (0: none was), by the service `accepted_by` as request `request_id` (empty: it told
    none). `closed_offset` is the `created_offset` for which a close has ended, whatever how.

    `close_after_seconds` is 0 once the integration's alerts are not closed any more.
    """

    alias: str
    client_id: int
    trigger_id: int
    revision: str
    integration_id: int
    begin: int
    last_window_end: int
    seen_ms: int
    close_after_seconds: int
    epoch: int = 0
    alert_id: str = ""
    created_offset: int = NEVER
    accepted_ms: int = 0
    accepted_by: str = ""
    request_id: str = ""
    closed_offset: int = NEVER

    @property
    def series(self) -> Series:
        """What its windows have in common."""
        return Series(self.client_id, self.trigger_id, self.revision, self.integration_id)

    @property
    def silent_since_ms(self) -> int:
        """Since when nothing has come for it: Unix ms, by the brokers' clock."""
        return max(self.last_window_end * 1000, self.seen_ms)

    @property
    def is_accepted(self) -> bool:
        """Whether the service has accepted a delivery that creates it."""
        return self.accepted_ms > 0

    @property
    def is_closed(self) -> bool:
        """Whether a close has ended since the last delivery that creates it."""
        return self.closed_offset >= self.created_offset

    @property
    def order(self) -> tuple[int, int, int, int]:
        """What orders its states; it never decreases."""
        return self.seen_ms, self.created_offset, self.accepted_ms, self.closed_offset

    def with_window(self, reference: EpisodeReference, seen_ms: int) -> OpenAlert:
        """Return the alert with a window that belongs to it."""
        is_newest = seen_ms >= self.seen_ms
        return msgspec.structs.replace(
            self,
            begin=min(self.begin, reference.window_start),
            last_window_end=max(self.last_window_end, reference.window_end),
            seen_ms=max(self.seen_ms, seen_ms),
            close_after_seconds=reference.close_after_seconds
            if is_newest
            else self.close_after_seconds,
        )

    def with_create(self, alert_id: str, offset: int, epoch: int) -> OpenAlert:
        """Return the alert with a delivery that creates it."""
        if offset < self.created_offset:
            return self
        return msgspec.structs.replace(
            self, alert_id=alert_id, created_offset=offset, epoch=max(epoch, self.epoch)
        )

    def with_accepted(self, at_ms: int, service: str, request_id: str) -> OpenAlert:
        """Return the alert with a delivery that was accepted."""
        if at_ms < self.accepted_ms:
            return self
        return msgspec.structs.replace(
            self, accepted_ms=at_ms, accepted_by=service, request_id=request_id
        )

    def with_close(self, created_offset: int) -> OpenAlert:
        """Return the alert with a close that has ended."""
        return msgspec.structs.replace(self, closed_offset=max(self.closed_offset, created_offset))


class OpenAlerts(ChangelogValues[str, OpenAlert]):
    """The open alerts of one partition, by alias, and those that have been closed lately."""

    prefix = b"open|"

    def __init__(self) -> None:
        super().__init__(lambda alert: alert.order, self._index)
        self._unclosed: dict[str, OpenAlert] = {}
        self._unclosed_of: dict[Series, dict[str, OpenAlert]] = {}
        self._swept_hour = NEVER

    @property
    def unclosed(self) -> Collection[OpenAlert]:
        """Those that are to be closed some day."""
        return self._unclosed.values()

    def followed(self) -> Iterator[OpenAlert]:
        """Yield the unclosed ones whose next episode has begun, which is not closed either."""
        for alerts in self._unclosed_of.values():
            if len(alerts) > 1:
                newest = max(alert.begin for alert in alerts.values())
                for alert in alerts.values():
                    if newest > alert.last_window_end + alert.close_after_seconds:
                        yield alert

    def add_window(
        self, reference: EpisodeReference, client_id: int, integration_id: int, seen_ms: int
    ) -> OpenAlert | None:
        """Add a window; return its alert, or None if that is not to be closed."""
        known = self.values.get(reference.alias)
        if known is None:
            if not reference.close_after_seconds:
                return None
            known = OpenAlert(
                reference.alias,
                client_id,
                reference.trigger_id,
                reference.revision,
                integration_id,
                reference.window_start,
                reference.window_end,
                seen_ms,
                reference.close_after_seconds,
            )
        alert = known.with_window(reference, seen_ms)
        self.put(alert)
        return alert

    def put(self, alert: OpenAlert) -> None:
        """Keep an alert if it has changed."""
        if self.values.get(alert.alias) != alert:
            self.change(alert.alias, alert)

    def forget(self, integration_id: int) -> None:
        """Forget the alerts of an integration."""
        for alert in list(self.values.values()):
            if alert.integration_id == integration_id:
                self.change(alert.alias, None)

    def expire(self, now_ms: int) -> None:
        """Forget the alerts that nothing has come for in a month, or, if closed, in some days."""
        hour = now_ms // HOUR_MS
        if hour == self._swept_hour or not self.values:
            return
        self._swept_hour = hour
        for alert in list(self.values.values()):
            kept_ms = REMEMBER_CLOSED_MS if alert.is_closed else REMEMBER_MS
            if alert.seen_ms < now_ms - kept_ms:
                self.change(alert.alias, None)

    def record(self, key: str, value: OpenAlert | None) -> tuple[bytes, bytes | None]:
        """Return the changelog record of an open alert; None: it is forgotten."""
        name = self.prefix + key.encode()
        if value is None:
            return name, None
        return name, orjson.dumps(
            (*_ENDED, value.seen_ms // HOUR_MS, "", msgspec.to_builtins(value))
        )

    def restore_record(self, key: bytes, value: bytes | None) -> None:
        """Restore a record of the changelog."""
        alias = key.removeprefix(self.prefix).decode()
        alert = None if value is None else msgspec.convert(orjson.loads(value)[-1], OpenAlert)
        self.restore(alias, alert)

    def _index(self, alias: str, before: OpenAlert | None, alert: OpenAlert | None) -> None:
        if self._unclosed.pop(alias, None) is not None and before is not None:
            others = self._unclosed_of[before.series]
            del others[alias]
            if not others:
                del self._unclosed_of[before.series]
        if alert is not None and alert.close_after_seconds and not alert.is_closed:
            self._unclosed[alias] = alert
            self._unclosed_of.setdefault(alert.series, {})[alias] = alert
