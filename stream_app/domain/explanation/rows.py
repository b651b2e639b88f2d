"""Joins the verdicts of today's configuration with those of the one that was in force."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.explanation.answers import ExplainedTrigger
from stream_app.domain.explanation.event_verdicts import TriggerResult, TriggerVerdict
from stream_app.domain.explanation.versions import Basis, TriggerVersions


def triggers_then(
    versions: TriggerVersions, today: Mapping[int, Trigger], at_ms: int
) -> list[Trigger] | None:
    """Return the triggers of a time, as far as they are known; None: they are those of today."""
    found, differs = dict(today), False
    for number in versions.by_id:
        basis, trigger = versions.basis(number, at_ms)
        if basis is Basis.THEN:
            differs = True
            found.pop(number, None)
            if trigger is not None:
                found[number] = trigger
    return list(found.values()) if differs else None


def joined_rows(
    today: Iterable[TriggerVerdict],
    then: Iterable[TriggerVerdict],
    versions: TriggerVersions,
    at_ms: int,
    trigger_id: int | None,
) -> list[ExplainedTrigger]:
    """Return a row for each trigger, in the order of their ids.

    Args:
        today: by today's configuration.
        then: by that of the time.
        versions: of the triggers.
        at_ms: the time of the record, Unix ms.
        trigger_id: only this trigger; None: all.
    """
    by_today = {one.trigger.id: one for one in today}
    by_then = {one.trigger.id: one for one in then}
    rows = []
    for number in sorted({*by_today, *by_then}):
        if trigger_id not in (None, number):
            continue
        basis, _ = versions.basis(number, at_ms)
        newest, in_force = versions.newest(number), versions.at(number, at_ms)
        now = by_today.get(number)
        if basis is Basis.THEN:
            verdict = by_then.get(number)
            if verdict is None and now is not None:
                verdict = TriggerVerdict(now.trigger, TriggerResult.NOT_CONFIGURED)
        else:
            verdict = now
        if verdict is None:
            continue
        version = newest if basis is not Basis.THEN else in_force
        rows.append(
            ExplainedTrigger(
                verdict,
                basis,
                today=now if basis is Basis.THEN else None,
                version_ms=None if version is None else version.since_ms,
                changed_ms=None if newest is None or basis is not Basis.THEN else newest.since_ms,
            )
        )
    return rows
