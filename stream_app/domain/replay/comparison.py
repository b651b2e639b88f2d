"""Compares the alerts of a replay with the recorded ones, and says why they differ.

An alert is a function of configuration and windows, so each difference has a cause: another
configuration, events that were not read, or another partition count, on which lateness depends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from stream_app.domain.alerts.alert import Alert, NoticeAlert, decode_alert, encode_alert
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.counting.windows import CellKey, retention_seconds
from stream_app.domain.events.model import KIND_OF_CONDITION
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.domain.replay.ranges import Extent
from stream_app.domain.times import iso_utc

#: The source of alerts of notices; the source of a trigger's alerts is a kind of event.
ACCOUNT = "account"
#: (client, trigger, window start) -> the revision that fired.
Revisions = Mapping[tuple[int, int, int], str]


class ComparisonResult(StrEnum):
    """How an alert of the replay relates to the recorded alert of the same id."""

    SAME = "same"
    #: Both exist, with different bytes.
    DIFFERENT = "different"
    #: Only the replay gives it.
    MISSING = "missing"
    #: Only the topic has it.
    EXTRA = "extra"


class Cause(StrEnum):
    """Why a replayed and a recorded alert differ, as far as is known."""

    STALE_CONFIG = "stale_config"
    CHANGED_REVISION = "changed_revision"
    RANGE_CUT = "range_cut"
    LATE = "late"
    PARTITION_COUNT = "partition_count"
    UNKNOWN = "unknown"


#: A cause, and what to tell a person about it.
Explanation = tuple[Cause, str]


@dataclass(frozen=True)
class ComparedAlert:
    """One alert and the result of its comparison; `detail` tells a person the cause."""

    result: ComparisonResult
    alert: Alert | NoticeAlert
    cause: Cause | None = None
    detail: str = ""


@dataclass(frozen=True)
class Circumstances:
    """The circumstances of a replay that explain differences.

    `extents` holds the time that was read, by kind of event or `account`; other kinds were not
    replayed. `partitions` describes, by kind, a partition count that differs. `late` and `total`
    return how many events of a window came late, and how many it counted.
    """

    triggers: Mapping[int, Trigger]
    integrations: Mapping[int, Integration]
    extents: Mapping[str, Extent]
    partitions: Mapping[str, str] = field(default_factory=dict)
    late: Callable[[CellKey], int] = lambda _key: 0
    total: Callable[[CellKey], int] = lambda _key: 0


def source_of(alert: Alert | NoticeAlert) -> str:
    """Return the kind of event that an alert comes from; empty for an unknown condition."""
    if isinstance(alert, NoticeAlert):
        return ACCOUNT
    return KIND_OF_CONDITION.get(alert.trigger.template_id, "")


def window_of(alert: Alert, revision: str | None = None) -> CellKey:
    """Return the key under which the alert's window is counted, by its revision or another one."""
    trigger = alert.trigger
    name = f"{alert.client_id}:{trigger.id}:{revision or trigger.revision}"
    name += f":{trigger.threshold.period}"
    return name, alert.window_start


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
        if wanted(alert):
            self.alerts.setdefault(alert.id, alert)
            if self.values.setdefault(alert.id, value or b"") != value:
                self.conflicting.setdefault(alert.id, alert)

    @property
    def windows(self) -> set[CellKey]:
        """The windows of the alerts."""
        return {window_of(one) for one in self.alerts.values() if isinstance(one, Alert)}


def compare(
    replayed: Iterable[Alert | NoticeAlert], recorded: RecordedAlerts, circumstances: Circumstances
) -> Iterator[ComparedAlert]:
    """Yield every alert with the result of its comparison: those of the replay, then extra ones.

    A recorded alert is extra only if the replay has read a part of its time.
    """
    replayed_by_id = {alert.id: alert for alert in replayed}
    revisions = _revisions(recorded.alerts.values())
    for alert_id, alert in replayed_by_id.items():
        value = recorded.values.get(alert_id)
        if value is None:
            yield ComparedAlert(
                ComparisonResult.MISSING, alert, *_why_missing(alert, revisions, circumstances)
            )
        elif value == encode_alert(alert) and alert_id not in recorded.conflicting:
            yield ComparedAlert(ComparisonResult.SAME, alert)
        else:
            other = recorded.alerts[alert_id]
            if value == encode_alert(alert):
                other = recorded.conflicting[alert_id]
            detail = _difference_text(alert, other)
            yield ComparedAlert(ComparisonResult.DIFFERENT, alert, Cause.STALE_CONFIG, detail)
    for alert_id, alert in recorded.alerts.items():
        if alert_id in replayed_by_id:
            continue
        extent = circumstances.extents.get(source_of(alert))
        if extent is not None and extent.overlaps(*span_ms(alert)):
            yield ComparedAlert(ComparisonResult.EXTRA, alert, *_why_extra(alert, circumstances))


def _revisions(alerts: Iterable[Alert | NoticeAlert]) -> Revisions:
    return {
        (one.client_id, one.trigger.id, one.window_start): one.trigger.revision
        for one in alerts
        if isinstance(one, Alert)
    }


def _difference_text(ours: Alert | NoticeAlert, theirs: Alert | NoticeAlert) -> str:
    """Name the fields in which two alerts of one id differ."""
    mine, other = msgspec.to_builtins(ours), msgspec.to_builtins(theirs)
    names = sorted(n for n in mine.keys() | other.keys() if mine.get(n) != other.get(n))
    if not names:
        return "the same facts in other bytes: another version wrote it"
    return f"configured otherwise since: {', '.join(names)}"


def _why_missing(
    alert: Alert | NoticeAlert, revisions: Revisions, circumstances: Circumstances
) -> Explanation:
    if isinstance(alert, NoticeAlert):
        return _why_notice_missing(alert, circumstances)
    trigger = circumstances.triggers.get(alert.trigger.id)
    known = revisions.get((alert.client_id, alert.trigger.id, alert.window_start))
    if known is not None and known != alert.trigger.revision:
        return Cause.CHANGED_REVISION, f"it was sent for revision {known} of the trigger"
    if trigger is not None and trigger.enabled_at > alert.window_start * 1000:
        when = iso_utc(trigger.enabled_at)
        return Cause.STALE_CONFIG, f"the trigger counts since {when}, after the window began"
    extent = circumstances.extents[source_of(alert)]
    kept_ms = retention_seconds(alert.trigger.threshold.period) * 1000
    if extent.from_ms is not None and alert.window_end * 1000 + kept_ms <= extent.from_ms:
        return Cause.LATE, "its events came when the window was no longer kept"
    new = "if its events are new, the detector may not have come to them yet"
    return _why_counted_otherwise(alert, circumstances) or (Cause.UNKNOWN, new)


def _why_notice_missing(alert: NoticeAlert, circumstances: Circumstances) -> Explanation:
    for number in alert.integration_ids:
        found = circumstances.integrations.get(number)
        if found is not None and max(found.updated_at, found.epoch) > alert.notice.appended_ms:
            when = iso_utc(max(found.updated_at, found.epoch))
            return Cause.STALE_CONFIG, f"integration {number} was changed at {when}, after it"
    return Cause.UNKNOWN, "if the notice is new, the detector may not have come to it yet"


def _why_extra(alert: Alert | NoticeAlert, circumstances: Circumstances) -> Explanation:
    if isinstance(alert, NoticeAlert):
        return Cause.UNKNOWN, "no notice that was read gives it; was the subscription ended?"
    trigger = circumstances.triggers.get(alert.trigger.id)
    if trigger is None or not trigger.enabled:
        state = "not configured" if trigger is None else "disabled"
        return Cause.STALE_CONFIG, f"trigger {alert.trigger.id} is {state} now"
    if trigger.revision != alert.trigger.revision:
        return (
            Cause.CHANGED_REVISION,
            f"it is of revision {alert.trigger.revision}, configured is {trigger.revision}",
        )
    why = _why_counted_otherwise(alert, circumstances)
    if why is not None:
        return why
    read = f"{circumstances.total(window_of(alert))} events are in its window"
    if circumstances.extents[source_of(alert)].to_ms is not None:
        return Cause.RANGE_CUT, f"{read}; others may lie behind the end of what was read"
    return Cause.UNKNOWN, f"{read}, and more than {alert.trigger.threshold.count} fire"


def _why_counted_otherwise(alert: Alert, circumstances: Circumstances) -> Explanation | None:
    """Return why a window may have counted other events under the same configuration."""
    kind = source_of(alert)
    extent, span = circumstances.extents[kind], span_ms(alert)
    if extent.misses_part_of(*span):
        lies = "only partly within" if extent.overlaps(*span) else "outside of"
        return Cause.RANGE_CUT, f"its window lies {lies} what was read: other events may be there"
    if late := circumstances.late(window_of(alert)):
        return Cause.LATE, f"{late} events of its window came late in the replay"
    if kind in circumstances.partitions:
        return Cause.PARTITION_COUNT, circumstances.partitions[kind]
    return None
