"""The windows of a time, each with the form that its trigger had, and the window of an alert."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from stream_app.domain.alerts.alert import Alert
from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.counting.windows import window_start
from stream_app.domain.explanation.versions import Basis, TriggerVersions
from stream_app.domain.explanation.windows import WindowFacts


class AskedClient(NamedTuple):
    """A client whose windows are asked for, and the time (Unix seconds) of its events."""

    id: int
    start: int
    end: int


def form_at(versions: TriggerVersions, trigger_id: int, at_ms: int) -> tuple[Basis, Trigger]:
    """Return the form of a trigger at a time; of one that was none then, the newest known.

    Raises:
        LookupError: no form is known.
    """
    basis, trigger = versions.basis(trigger_id, at_ms)
    if trigger is None:
        known = [one.trigger for one in versions.by_id.get(trigger_id, ()) if one.trigger]
        if not known:
            raise LookupError(trigger_id)
        basis, trigger = Basis.THEN, known[-1]
    return basis, trigger


def windows_between(
    versions: TriggerVersions, trigger_id: int, from_ms: int, to_ms: int, most: int
) -> list[WindowFacts]:
    """Return the windows of a trigger that touch a time, no more than `most` + 1.

    Each has the form that the trigger had at its end, since a trigger that changes counts anew; or
    that of its beginning, if it was disabled since.
    """
    found: list[WindowFacts] = []
    moment = from_ms // 1000
    while (moment * 1000 < to_ms or not found) and len(found) <= most:
        basis, trigger = form_at(versions, trigger_id, moment * 1000)
        if trigger.threshold is None:
            break
        facts = WindowFacts(trigger, window_start(moment, trigger.threshold.period), basis=basis)
        basis, last = form_at(versions, trigger_id, facts.end * 1000 - 1)
        is_same_length = last.threshold and last.threshold.period == facts.threshold.period
        if is_same_length and (last.enabled or not trigger.enabled):
            facts.trigger, facts.basis = last, basis
        found.append(facts)
        moment = facts.end
    return found


class AlertedWindows:
    """Finds the window among some that an alert belongs to, whatever form its trigger had.

    Another form may have had other windows. Its alert belongs to the window in which its own
    begins, or to the first that it touches.
    """

    def __init__(self, windows: Iterable[WindowFacts]) -> None:
        self._windows: dict[tuple[int, int], list[WindowFacts]] = {}
        for facts in sorted(windows, key=lambda one: (one.start, one.end)):
            owner = facts.trigger.client_id, facts.trigger.id
            self._windows.setdefault(owner, []).append(facts)

    def of(self, alert: Alert) -> WindowFacts | None:
        """Return the window of an alert; None: it is none of these."""
        found = self._windows.get((alert.client_id, alert.trigger.id), [])
        start, end = alert.window_start, alert.window_end
        same = found[bisect_left(found, start, key=_start) : bisect_right(found, start, key=_start)]
        for facts in same:
            if facts.trigger.revision == alert.trigger.revision:
                return facts
        before = bisect_right(found, start, key=_start) - 1
        if before >= 0 and found[before].end > start:
            return found[before]
        following = found[before + 1 : before + 2]
        return following[0] if following and following[0].start < end else None


def _start(facts: WindowFacts) -> int:
    return facts.start
