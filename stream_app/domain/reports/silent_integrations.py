"""Triggers whose alerts go to nobody, because none of their integrations takes any.

An integration that the system has disabled, or whose record cannot be used, is not silent: its
alerts become dead letters, and the integration needs attention itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from stream_app.domain.configuration.triggers import Trigger
from stream_app.domain.reports.overview_rows import Silence, SilentIntegration, TriggerRow
from stream_app.domain.reports.problems import Problem, amount, named
from stream_app.domain.times import iso_utc

#: Most triggers that are named with one cause, and most causes that are listed.
TRIGGERS_SHOWN = 5
CAUSES_SHOWN = 20


def silent_integrations(
    trigger: Trigger, integrations: Mapping[int, Mapping[str, object]]
) -> tuple[SilentIntegration, ...]:
    """Return a trigger's integrations if none of them takes its alerts; otherwise nothing.

    A trigger that is off, that is not evaluated, or that names no integration tells nobody on
    purpose.

    Args:
        trigger: the trigger.
        integrations: the configured records, by id.
    """
    if not (trigger.enabled and trigger.is_evaluated):
        return ()
    found = [_silent(trigger, n, integrations.get(n)) for n in trigger.integration_ids]
    silent = tuple(one for one in found if one is not None)
    return silent if len(silent) == len(found) else ()


def trigger_notes(trigger: Trigger, silent: Iterable[SilentIntegration]) -> str:
    """Return the notes on a trigger, and that it tells nobody if it does not."""
    why = ", ".join(map(str, silent))
    return "; ".join((*trigger.notes, *([f"tells nobody: {why}"] if why else ())))


def silent_problems(rows: Sequence[TriggerRow]) -> Iterator[Problem]:
    """Yield what needs attention: one problem for the triggers with the same integrations."""
    groups: dict[tuple[SilentIntegration, ...], list[TriggerRow]] = {}
    for row in rows:
        if row.silent_integrations and row.problem is None:
            groups.setdefault(tuple(row.silent_integrations), []).append(row)
    for silent, triggers in list(groups.items())[:CAUSES_SHOWN]:
        what = f"no integration takes the alerts of {_who(triggers)}: {', '.join(map(str, silent))}"
        fired = [row.last_fired_ms for row in triggers if row.last_fired_ms is not None]
        if fired:
            what += f"; the newest alert fired at {iso_utc(max(fired))}"
        yield Problem(what, _step(silent))
    if more := list(groups.values())[CAUSES_SHOWN:]:
        yield Problem(
            "no integration takes the alerts of " + amount(sum(map(len, more)), "more trigger"),
            "stream-app get triggers",
        )


def _silent(
    trigger: Trigger, number: int, record: Mapping[str, object] | None
) -> SilentIntegration | None:
    if record is None:
        return SilentIntegration(number, Silence.NOT_CONFIGURED)
    if record.get("client_id") != trigger.client_id:
        return SilentIntegration(number, Silence.OTHER_CLIENT)
    return SilentIntegration(number, Silence.OFF) if record.get("active") is False else None


def _who(triggers: Sequence[TriggerRow]) -> str:
    if len(triggers) == 1:
        return named("trigger", triggers[0].id, triggers[0].name)
    ids = ", ".join(str(row.id) for row in triggers[:TRIGGERS_SHOWN])
    more = len(triggers) - TRIGGERS_SHOWN
    return f"{len(triggers):,} triggers ({ids}{f' and {more:,} more' if more > 0 else ''})"


def _step(silent: Sequence[SilentIntegration]) -> str:
    enable = [
        f"stream-app integrations enable {one.integration_id}"
        for one in silent
        if one.reason is Silence.OFF
    ]
    if not enable:
        return "name another integration in the trigger, or turn it off: stream-app apply -f …"
    return "; ".join((*enable, "if nobody wants them, turn the trigger off: stream-app apply -f …"))
