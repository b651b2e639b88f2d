"""Triggers as recorded alerts hold them: they count what was counted then."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping

import msgspec

from stream_app.domain.alerts.alert import Alert
from stream_app.domain.alerts.threshold_text import period_text
from stream_app.domain.configuration.triggers import Filter, Trigger
from stream_app.domain.counting.windows import CellKey, counts_key


def recorded_trigger(alert: Alert) -> Trigger:
    """Return the trigger of an alert, as it was configured then.

    An alert does not say when its trigger was enabled, so the revision is the `definition`.
    """
    trigger = alert.trigger
    return Trigger(
        id=trigger.id,
        client_id=alert.client_id,
        name=trigger.name,
        template_id=trigger.template_id,
        enabled=True,
        filters=trigger.filters,
        threshold=trigger.threshold,
        integration_ids=alert.integration_ids,
        enabled_at=0,
    )


def definition(trigger: Trigger) -> str:
    """Return the revision of a trigger without the time at which it was enabled.

    Triggers of one definition count the same.
    """
    return _as_defined(trigger).revision


def period_of(trigger: Trigger) -> int:
    """Return the period of a counting trigger; 0: it counts nothing."""
    return 0 if trigger.threshold is None else trigger.threshold.period


def counted_key(trigger: Trigger, window_start: int) -> CellKey:
    """Return the key under which a trigger counts a window."""
    period = period_of(trigger)
    return counts_key(trigger.client_id, trigger.id, trigger.revision, period), window_start


def changes(then: Trigger, now: Trigger) -> str:
    """Say how two definitions differ: old and new value of each part."""
    parts = [("condition", then.template_id, now.template_id)]
    if then.threshold is not None and now.threshold is not None:
        parts.append(("threshold", str(then.threshold.count), str(now.threshold.count)))
        periods = period_text(then.threshold.period), period_text(now.threshold.period)
        parts.append(("period", *periods))
    parts.append(("filters", _filters_text(then.filters), _filters_text(now.filters)))
    return "; ".join(f"{name} {old} → {new}" for name, old, new in parts if old != new)


class FormerTriggers:
    """The definitions of triggers that recorded alerts hold, by the time of their windows.

    Args:
        alerts: the recorded ones.
        configured: triggers that were in force, for those without an alert; by id.
    """

    def __init__(self, alerts: Iterable[Alert], configured: Mapping[int, Trigger]) -> None:
        self._configured = {n: _as_defined(one) for n, one in configured.items() if one.enabled}
        self._starts: dict[tuple[int, int], list[int]] = {}
        self._found: dict[tuple[int, int], list[Trigger]] = {}
        for alert in sorted(alerts, key=lambda one: one.window_start):
            key = alert.client_id, alert.trigger.id
            rows = self._found.setdefault(key, [])
            trigger = recorded_trigger(alert)
            if not rows or rows[-1].revision != trigger.revision:
                rows.append(trigger)
                self._starts.setdefault(key, []).append(alert.window_start)

    def at(self, client_id: int, trigger_id: int, window_start: int) -> Trigger | None:
        """Return the definition of the last alert before a time, or else of the first one after.

        None: neither an alert nor the configuration knows the trigger.
        """
        rows = self._found.get((client_id, trigger_id))
        if not rows:
            return self._configured.get(trigger_id)
        at = bisect_right(self._starts[client_id, trigger_id], window_start) - 1
        return rows[max(at, 0)]

    def changed(self, now: Mapping[int, Trigger]) -> list[Trigger]:
        """Return the definitions that differ from the configured ones, each once."""
        rows = [one for found in self._found.values() for one in found]
        known = {trigger_id for _, trigger_id in self._found}
        rows += [one for number, one in self._configured.items() if number not in known]
        kept = {
            (one.id, one.revision): one
            for one in rows
            if one.id not in now or definition(now[one.id]) != one.revision
        }
        return list(kept.values())


def _as_defined(trigger: Trigger) -> Trigger:
    return msgspec.structs.replace(trigger, enabled_at=0)


def _filters_text(filters: Iterable[Filter]) -> str:
    rows = [f"{one.id} {one.operator} {', '.join(map(str, one.values))}" for one in filters]
    return " and ".join(rows) or "none"
