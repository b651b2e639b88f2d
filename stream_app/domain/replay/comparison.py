"""Judges a set of triggers: compares the alerts of a replay with the recorded ones.

Alerts are compared by client, trigger and window, not by id: an id changes with every change of
its trigger, even if that is only enabled anew. If a trigger's period has changed, so have its
windows; its alerts are then compared with those whose windows overlap theirs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from stream_app.domain.alerts.alert import Alert, NoticeAlert
from stream_app.domain.configuration.triggers import Threshold
from stream_app.domain.replay.causes import (
    Cause,
    Circumstances,
    why_new,
    why_new_notice,
    why_no_longer,
)
from stream_app.domain.replay.recorded_alerts import (
    ACCOUNT,
    RecordedAlerts,
    source_of,
    span_ms,
    window_of,
)
from stream_app.domain.replay.recorded_triggers import counted_key, period_of

#: What the definition of a trigger decides; a change of it is judged by what fires.
_BY_DEFINITION = ("id", "trigger", "window_start", "window_end")


class ComparisonResult(StrEnum):
    """What the replay says of a window, or of a notice."""

    SAME = "same"
    #: It fires in both, and says something else or goes to others.
    DIFFERENT = "different"
    NO_LONGER_FIRES = "no_longer_fires"
    NEW = "new"
    #: Not all of the window's events were read.
    NOT_JUDGED = "not_judged"


@dataclass(frozen=True)
class ComparedSide:
    """A window as one of the two sides sees it; a notice has no count and no threshold.

    `alert` is None if the window does not fire there. `count` is how many events it has by the
    trigger of that side, whose threshold and period are given, too; None: not known.
    """

    alert: Alert | NoticeAlert | None = None
    count: int | None = None
    threshold: Threshold | None = None


@dataclass(frozen=True)
class ComparedAlert:
    """What became of an alert: `recorded` is then, `replayed` now; `detail` tells a person why."""

    result: ComparisonResult
    recorded: ComparedSide
    replayed: ComparedSide
    cause: Cause | None = None
    detail: str = ""

    @property
    def alert(self) -> Alert | NoticeAlert:
        """The replayed alert, or else the recorded one."""
        found = self.replayed.alert or self.recorded.alert
        if found is None:
            raise ValueError("one side fires")
        return found


def is_as_before(rows: Iterable[ComparedAlert]) -> bool:
    """Tell whether everything that could be judged fires as before, and something could."""
    found = {row.result for row in rows}
    if found == {ComparisonResult.NOT_JUDGED}:
        return False
    return found <= {ComparisonResult.SAME, ComparisonResult.NOT_JUDGED}


def compare(
    replayed: Iterable[Alert | NoticeAlert], recorded: RecordedAlerts, circumstances: Circumstances
) -> Iterator[ComparedAlert]:
    """Yield every window that fires on one side or both: by trigger and time, then the notices.

    A recorded alert that is not replayed counts only if the replay has read a part of its time.
    """
    ours = list(replayed)
    windows = _Windows(recorded, circumstances)
    fired = sorted(
        (one for one in ours if isinstance(one, Alert)),
        key=lambda one: (one.client_id, one.trigger.id, one.window_start),
    )
    rows = list(windows.rows(fired))
    yield from sorted(rows, key=_order)
    yield from _notices(
        [one for one in ours if isinstance(one, NoticeAlert)], recorded, circumstances
    )


def _order(row: ComparedAlert) -> tuple[int, int, int]:
    alert = row.recorded.alert or row.alert
    start = alert.window_start if isinstance(alert, Alert) else 0
    return alert.client_id, alert.trigger.id if alert.trigger else 0, start


class _Windows:
    """Pairs the alerts of counting triggers."""

    def __init__(self, recorded: RecordedAlerts, circumstances: Circumstances) -> None:
        self._recorded = recorded
        self._circumstances = circumstances

    def rows(self, fired: list[Alert]) -> Iterator[ComparedAlert]:
        """Yield a row for each recorded alert, and for each replayed one that has none."""
        by_trigger: dict[tuple[int, int], list[Alert]] = {}
        for alert in fired:
            by_trigger.setdefault((alert.client_id, alert.trigger.id), []).append(alert)
        paired: set[str] = set()
        for theirs in self._once_each(fired):
            found = _overlapping(theirs, by_trigger.get((theirs.client_id, theirs.trigger.id), []))
            paired.update(one.id for one in found)
            if found:
                now = self._now(found[0])
                yield _paired(self._then(theirs), now, theirs, found[0], self._recorded)
            elif self._is_read(theirs):
                yield self._no_longer(theirs)
        for ours in fired:
            if ours.id not in paired:
                yield self._new(ours)

    def _once_each(self, fired: Iterable[Alert]) -> Iterable[Alert]:
        """Return the recorded alerts, of each window only one: that of the replay, or the last."""
        replayed = {alert.id for alert in fired}
        kept: dict[tuple[int, int, int, int], Alert] = {}
        for alert in self._recorded.fired():
            period = alert.window_end - alert.window_start
            key = alert.client_id, alert.trigger.id, alert.window_start, period
            if key not in kept or kept[key].id not in replayed:
                kept[key] = alert
        return kept.values()

    def _is_read(self, alert: Alert) -> bool:
        extent = self._circumstances.extents.get(source_of(alert))
        return extent is not None and extent.overlaps(*span_ms(alert))

    def _then(self, alert: Alert) -> ComparedSide:
        count = self._circumstances.count_then(alert)
        return ComparedSide(alert, count, alert.trigger.threshold)

    def _now(self, alert: Alert) -> ComparedSide:
        count = self._circumstances.count(window_of(alert))
        return ComparedSide(alert, count, alert.trigger.threshold)

    def _no_longer(self, theirs: Alert) -> ComparedAlert:
        trigger, now = self._circumstances.trigger_of(theirs), ComparedSide()
        if trigger is not None and trigger.threshold is not None:
            count = None
            if trigger.threshold.period == theirs.trigger.threshold.period:
                count = self._circumstances.count(counted_key(trigger, theirs.window_start))
            now = ComparedSide(None, count, trigger.threshold)
        cause, detail = why_no_longer(theirs, self._circumstances)
        is_cut = cause is Cause.RANGE_CUT
        result = ComparisonResult.NOT_JUDGED if is_cut else ComparisonResult.NO_LONGER_FIRES
        return ComparedAlert(result, self._then(theirs), now, cause, detail)

    def _new(self, ours: Alert) -> ComparedAlert:
        around, start = self._circumstances, ours.window_start
        trigger, side = around.former.at(ours.client_id, ours.trigger.id, start), ComparedSide()
        explanation = why_new(ours, trigger, around)
        if trigger is not None and trigger.threshold is not None:
            is_same = period_of(trigger) == ours.trigger.threshold.period
            count = around.count(counted_key(trigger, start)) if is_same else None
            side = ComparedSide(None, count, trigger.threshold)
        return ComparedAlert(ComparisonResult.NEW, side, self._now(ours), *explanation)


def _paired(
    then: ComparedSide,
    now: ComparedSide,
    theirs: Alert | NoticeAlert,
    ours: Alert | NoticeAlert,
    recorded: RecordedAlerts,
) -> ComparedAlert:
    """Compare the alerts of two sides; a second record of the recorded one counts as well."""
    for one in (theirs, recorded.conflicting.get(theirs.id)):
        if one is not None and (detail := _difference_text(one, ours)):
            return ComparedAlert(ComparisonResult.DIFFERENT, then, now, Cause.STALE_CONFIG, detail)
    return ComparedAlert(ComparisonResult.SAME, then, now)


def _overlapping(theirs: Alert, ours: list[Alert]) -> list[Alert]:
    """Return the alerts, out of one trigger's in order of time, whose windows overlap another's."""
    at = bisect_left(ours, theirs.window_start + 1, key=lambda one: one.window_end)
    found = []
    while at < len(ours) and ours[at].window_start < theirs.window_end:
        found.append(ours[at])
        at += 1
    return found


def _difference_text(theirs: Alert | NoticeAlert, ours: Alert | NoticeAlert) -> str:
    """Name what two alerts say otherwise, old and new; empty: nothing."""
    old, new = msgspec.to_builtins(theirs), msgspec.to_builtins(ours)
    if isinstance(ours, Alert) and isinstance(theirs, Alert):
        is_filtered_alike = ours.trigger.filters == theirs.trigger.filters
        dropped = _BY_DEFINITION if is_filtered_alike else (*_BY_DEFINITION, "applications")
        old["trigger_name"], new["trigger_name"] = old["trigger"]["name"], new["trigger"]["name"]
        for facts in (old, new):
            for name in dropped:
                facts.pop(name)
    parts = [
        f"{name} {_value_text(old.get(name))} → {_value_text(new.get(name))}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    return f"configured otherwise since: {'; '.join(parts)}" if parts else ""


def _value_text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _notices(
    replayed: Iterable[NoticeAlert], recorded: RecordedAlerts, circumstances: Circumstances
) -> Iterator[ComparedAlert]:
    """Yield the alerts of notices; these are compared by id, in which no revision is."""
    seen = set()
    for ours in replayed:
        seen.add(ours.id)
        theirs = recorded.alerts.get(ours.id)
        if theirs is None:
            why = why_new_notice(ours, circumstances)
            yield ComparedAlert(ComparisonResult.NEW, ComparedSide(), ComparedSide(ours), *why)
            continue
        yield _paired(ComparedSide(theirs), ComparedSide(ours), theirs, ours, recorded)
    extent = circumstances.extents.get(ACCOUNT)
    for theirs in recorded.alerts.values() if extent is not None else ():
        is_alone = isinstance(theirs, NoticeAlert) and theirs.id not in seen
        if is_alone and extent is not None and extent.overlaps(*span_ms(theirs)):
            yield ComparedAlert(
                ComparisonResult.NO_LONGER_FIRES,
                ComparedSide(theirs),
                ComparedSide(),
                Cause.UNKNOWN,
                "no notice that was read gives it; was the subscription ended?",
            )
