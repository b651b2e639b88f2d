"""What a replay gives, held against the alerts that were recorded, and why they differ.

An alert is a function of configuration and windows, so each difference has a cause: other
configuration, events that were not read, or other partitions, which decide what is late.
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
from stream_app.domain.events.model import COUNTING_CONDITIONS
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.domain.replay.ranges import Extent
from stream_app.domain.times import iso_utc

AnyAlert = Alert | NoticeAlert
#: Where the alerts of notices come from; those of triggers come from a kind of event.
ACCOUNT = "account"
_KINDS = {condition: kind.value for kind, condition in COUNTING_CONDITIONS.items()}


class ComparisonResult(StrEnum):
    """How an alert of the replay and the recorded one of its id relate."""

    SAME = "same"
    #: Both are there, with different bytes.
    DIFFERENT = "different"
    #: The replay gives it, and it is not on the topic.
    MISSING = "missing"
    #: It is on the topic, and the replay does not give it.
    EXTRA = "extra"


class Reason(StrEnum):
    """Why they differ, as far as it can be told."""

    STALE_CONFIG = "stale_config"
    CHANGED_REVISION = "changed_revision"
    RANGE_CUT = "range_cut"
    LATE = "late"
    PARTITION_COUNT = "partition_count"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Compared:
    """One alert and what came of it; `detail` says for a person why."""

    result: ComparisonResult
    alert: AnyAlert
    reason: Reason | None = None
    detail: str = ""


@dataclass(frozen=True)
class Circumstances:
    """What explains differences.

    `extents` says, by kind of event and `account`, which part of the time was read; kinds that
    are missing in it were not replayed. `partitions` says of kinds that they had other partition
    counts. `late` and `total` tell of windows how many events came late, and how many counted.
    """

    triggers: Mapping[int, Trigger]
    integrations: Mapping[int, Integration]
    extents: Mapping[str, Extent]
    partitions: Mapping[str, str] = field(default_factory=dict)
    late: Callable[[CellKey], int] = lambda _key: 0
    total: Callable[[CellKey], int] = lambda _key: 0


def source_of(alert: AnyAlert) -> str:
    """Return the kind of event that an alert comes from; empty for an unknown condition."""
    if isinstance(alert, NoticeAlert):
        return ACCOUNT
    return _KINDS.get(alert.trigger.template_id, "")


def window_of(alert: Alert) -> CellKey:
    """Return the key under which the alert's window is counted."""
    trigger = alert.trigger
    name = f"{alert.client_id}:{trigger.id}:{trigger.revision}:{trigger.threshold.period}"
    return name, alert.window_start


def span_ms(alert: AnyAlert) -> tuple[int, int]:
    """Return the time that decides an alert: its window, or when its notice was appended."""
    if isinstance(alert, NoticeAlert):
        return alert.notice.appended_ms, alert.notice.appended_ms + 1
    return alert.window_start * 1000, alert.window_end * 1000


class Recorded:
    """The alerts of the topic that a replay may be held against, by id.

    All of them: late uploads make a replay give alerts of windows that lie before what it reads.
    """

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.alerts: dict[str, AnyAlert] = {}
        self.conflicting: dict[str, AnyAlert] = {}
        self.unreadable = 0

    def add(self, value: bytes | None, wanted: Callable[[AnyAlert], bool]) -> None:
        """Take a record. Of one id the first stands, and one with other bytes beside it."""
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
        """The windows that they are of."""
        return {window_of(one) for one in self.alerts.values() if isinstance(one, Alert)}


def compare(
    replayed: Iterable[AnyAlert], recorded: Recorded, around: Circumstances
) -> Iterator[Compared]:
    """Yield every alert that one of the two has: those of the replay, then what is extra.

    A recorded alert is extra only if the replay has read of its time.
    """
    given = {alert.id: alert for alert in replayed}
    revisions = _revisions(recorded.alerts.values())
    for number, alert in given.items():
        value = recorded.values.get(number)
        if value is None:
            yield Compared(ComparisonResult.MISSING, alert, *_why_missing(alert, revisions, around))
        elif value == encode_alert(alert) and number not in recorded.conflicting:
            yield Compared(ComparisonResult.SAME, alert)
        else:
            other = recorded.alerts[number]
            if value == encode_alert(alert):
                other = recorded.conflicting[number]
            detail = _differing(alert, other)
            yield Compared(ComparisonResult.DIFFERENT, alert, Reason.STALE_CONFIG, detail)
    for number, alert in recorded.alerts.items():
        extent = around.extents.get(source_of(alert))
        if number not in given and extent is not None and extent.meets(*span_ms(alert)):
            yield Compared(ComparisonResult.EXTRA, alert, *_why_extra(alert, around))


def _revisions(alerts: Iterable[AnyAlert]) -> dict[tuple[int, int, int], str]:
    return {
        (one.client_id, one.trigger.id, one.window_start): one.trigger.revision
        for one in alerts
        if isinstance(one, Alert)
    }


def _differing(ours: AnyAlert, theirs: AnyAlert) -> str:
    """Name the fields in which two alerts of one id differ."""
    mine, other = msgspec.to_builtins(ours), msgspec.to_builtins(theirs)
    names = sorted(n for n in mine.keys() | other.keys() if mine.get(n) != other.get(n))
    if not names:
        return "the same facts in other bytes: another version wrote it"
    return f"configured otherwise since: {', '.join(names)}"


def _why_missing(
    alert: AnyAlert, revisions: Mapping[tuple[int, int, int], str], around: Circumstances
) -> tuple[Reason, str]:
    if isinstance(alert, NoticeAlert):
        return _why_notice_missing(alert, around)
    trigger = around.triggers.get(alert.trigger.id)
    known = revisions.get((alert.client_id, alert.trigger.id, alert.window_start))
    if known is not None and known != alert.trigger.revision:
        return Reason.CHANGED_REVISION, f"it was sent for revision {known} of the trigger"
    if trigger is not None and trigger.enabled_at > alert.window_start * 1000:
        when = iso_utc(trigger.enabled_at)
        return Reason.STALE_CONFIG, f"the trigger counts since {when}, after the window began"
    extent = around.extents[source_of(alert)]
    kept_ms = retention_seconds(alert.trigger.threshold.period) * 1000
    if extent.from_ms is not None and alert.window_end * 1000 + kept_ms <= extent.from_ms:
        return Reason.LATE, "its events came when the window was no longer kept"
    new = "if its events are new, the detector may not have come to them yet"
    return _why_counted_otherwise(alert, around) or (Reason.UNKNOWN, new)


def _why_notice_missing(alert: NoticeAlert, around: Circumstances) -> tuple[Reason, str]:
    for number in alert.integration_ids:
        found = around.integrations.get(number)
        if found is not None and max(found.updated_at, found.epoch) > alert.notice.appended_ms:
            when = iso_utc(max(found.updated_at, found.epoch))
            return Reason.STALE_CONFIG, f"integration {number} was changed at {when}, after it"
    return Reason.UNKNOWN, "if the notice is new, the detector may not have come to it yet"


def _why_extra(alert: AnyAlert, around: Circumstances) -> tuple[Reason, str]:
    if isinstance(alert, NoticeAlert):
        return Reason.UNKNOWN, "no notice that was read gives it; was the subscription ended?"
    trigger = around.triggers.get(alert.trigger.id)
    if trigger is None or not trigger.enabled:
        state = "not configured" if trigger is None else "disabled"
        return Reason.STALE_CONFIG, f"trigger {alert.trigger.id} is {state} now"
    if trigger.revision != alert.trigger.revision:
        return (
            Reason.CHANGED_REVISION,
            f"it is of revision {alert.trigger.revision}, configured is {trigger.revision}",
        )
    why = _why_counted_otherwise(alert, around)
    if why is not None:
        return why
    read = f"{around.total(window_of(alert))} events are in its window"
    if around.extents[source_of(alert)].to_ms is not None:
        return Reason.RANGE_CUT, f"{read}; others may lie behind the end of what was read"
    return Reason.UNKNOWN, f"{read}, and more than {alert.trigger.threshold.count} fire"


def _why_counted_otherwise(alert: Alert, around: Circumstances) -> tuple[Reason, str] | None:
    """Return why a window of one configuration may have counted other events."""
    kind = source_of(alert)
    extent, span = around.extents[kind], span_ms(alert)
    if extent.cuts(*span):
        lies = "only partly within" if extent.meets(*span) else "outside of"
        return Reason.RANGE_CUT, f"its window lies {lies} what was read: other events may be there"
    if late := around.late(window_of(alert)):
        return Reason.LATE, f"{late} events of its window came late in the replay"
    if kind in around.partitions:
        return Reason.PARTITION_COUNT, around.partitions[kind]
    return None
