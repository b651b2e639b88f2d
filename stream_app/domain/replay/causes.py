"""Why an alert is in a replay and not on the topic, or the other way round.

An alert is a function of configuration and windows, so each difference has a cause: another
configuration, events that were not read, or another partition count, on which lateness depends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from stream_app.domain.alerts.alert import Alert, NoticeAlert
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.counting.windows import CellKey, retention_seconds
from stream_app.domain.replay.ranges import Extent
from stream_app.domain.replay.recorded_alerts import source_of, span_ms
from stream_app.domain.replay.recorded_triggers import (
    FormerTriggers,
    changes,
    counted_key,
    definition,
    period_of,
    recorded_trigger,
)
from stream_app.domain.times import iso_utc


class Cause(StrEnum):
    """Why a replayed and a recorded alert differ, as far as is known."""

    STALE_CONFIG = "stale_config"
    CHANGED_TRIGGER = "changed_trigger"
    RANGE_CUT = "range_cut"
    LATE = "late"
    PARTITION_COUNT = "partition_count"
    UNKNOWN = "unknown"


#: A cause, and what to tell a person about it.
Explanation = tuple[Cause, str]


@dataclass(frozen=True)
class Circumstances:
    """The circumstances of a replay, which explain differences.

    `extents` holds the time that was read, by kind of event or `account`; other kinds were not
    replayed. `partitions` describes, by kind, a partition count that differs. `late` returns how
    many events of a window came late, `count` how many it counted, by a current or a former
    trigger; None: not known.
    """

    triggers: Mapping[int, Trigger]
    integrations: Mapping[int, Integration]
    extents: Mapping[str, Extent]
    former: FormerTriggers = field(default_factory=lambda: FormerTriggers((), {}))
    partitions: Mapping[str, str] = field(default_factory=dict)
    late: Callable[[CellKey], int] = lambda _key: 0
    count: Callable[[CellKey], int | None] = lambda _key: None

    def trigger_of(self, alert: Alert) -> Trigger | None:
        """Return the trigger of an alert as it is configured now; None: it counts nothing now."""
        found = self.triggers.get(alert.trigger.id)
        is_counting = found is not None and found.enabled and period_of(found)
        return found if is_counting and found and found.client_id == alert.client_id else None

    def count_then(self, alert: Alert) -> int | None:
        """Return how many events a recorded alert's window has by its trigger at that time."""
        then, now = recorded_trigger(alert), self.trigger_of(alert)
        same = now if now is not None and definition(now) == then.revision else then
        return self.count(counted_key(same, alert.window_start))

    def is_cut(self, alert: Alert) -> bool:
        """Tell whether a part of the alert's window was not read."""
        return self.extents[source_of(alert)].misses_part_of(*span_ms(alert))


def why_new(alert: Alert, then: Trigger | None, circumstances: Circumstances) -> Explanation:
    """Return why only the replay gives an alert; `then` is the trigger as it was."""
    trigger = circumstances.trigger_of(alert)
    if then is not None and trigger is not None and definition(trigger) != then.revision:
        return Cause.CHANGED_TRIGGER, changes(then, trigger)
    if trigger is not None and trigger.enabled_at > alert.window_start * 1000:
        when = iso_utc(trigger.enabled_at)
        return Cause.STALE_CONFIG, f"the trigger counts since {when}, after the window began"
    extent = circumstances.extents[source_of(alert)]
    kept_ms = retention_seconds(alert.trigger.threshold.period) * 1000
    if extent.from_ms is not None and alert.window_end * 1000 + kept_ms <= extent.from_ms:
        return Cause.LATE, "its events came when the window was no longer kept"
    new = "if its events are new, the detector may not have come to them yet"
    return _why_counted_otherwise(alert, circumstances) or (Cause.UNKNOWN, new)


def why_new_notice(alert: NoticeAlert, circumstances: Circumstances) -> Explanation:
    """Return why only the replay gives a notice's alert."""
    for number in alert.integration_ids:
        found = circumstances.integrations.get(number)
        if found is not None and max(found.updated_at, found.epoch) > alert.notice.appended_ms:
            when = iso_utc(max(found.updated_at, found.epoch))
            return Cause.STALE_CONFIG, f"integration {number} was changed at {when}, after it"
    return Cause.UNKNOWN, "if the notice is new, the detector may not have come to it yet"


def why_no_longer(alert: Alert, circumstances: Circumstances) -> Explanation:
    """Return why only the topic has an alert."""
    number, trigger = alert.trigger.id, circumstances.trigger_of(alert)
    if trigger is None:
        is_known = number in circumstances.triggers
        return Cause.STALE_CONFIG, f"trigger {number} is {'off' if is_known else 'not configured'}"
    if circumstances.is_cut(alert):
        return _cut(alert, circumstances)
    then = recorded_trigger(alert)
    if definition(trigger) != then.revision:
        return Cause.CHANGED_TRIGGER, changes(then, trigger)
    why = _why_counted_otherwise(alert, circumstances)
    if why is not None:
        return why
    if circumstances.extents[source_of(alert)].to_ms is not None:
        return Cause.RANGE_CUT, "others of its events may lie behind the end of what was read"
    return Cause.UNKNOWN, "its trigger is the same: are its events no longer on the topic?"


def _why_counted_otherwise(alert: Alert, circumstances: Circumstances) -> Explanation | None:
    """Return why a window may have counted other events under the same configuration."""
    if circumstances.is_cut(alert):
        return _cut(alert, circumstances)
    kind, trigger = source_of(alert), circumstances.trigger_of(alert)
    if trigger is not None:
        late = circumstances.late(counted_key(trigger, alert.window_start))
        if late:
            return Cause.LATE, f"{late} events of its window came late in the replay"
    if kind in circumstances.partitions:
        return Cause.PARTITION_COUNT, circumstances.partitions[kind]
    return None


def _cut(alert: Alert, circumstances: Circumstances) -> Explanation:
    overlaps = circumstances.extents[source_of(alert)].overlaps(*span_ms(alert))
    lies = "only partly within" if overlaps else "outside of"
    return Cause.RANGE_CUT, f"its window lies {lies} what was read: other events may be there"
