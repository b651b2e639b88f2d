"""Shows changes of the configuration, as text or JSON, for several commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from stream_app.cli.configuration.changes import Statuses
from stream_app.cli.output import print_json, print_line, say
from stream_app.domain.configuration.integrations import read_integration
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.configuration.statuses import is_disabled_by_system
from stream_app.domain.configuration.triggers import Trigger, read_trigger
from stream_app.domain.foreign_text.printable import quoted
from stream_app.domain.plans.differences import differences
from stream_app.domain.plans.plan import Action, Change
from stream_app.domain.plans.unsupported import LeftOut
from stream_app.domain.reports.operator_integration import end_of_operator
from stream_app.settings import Settings

#: Labels in a dry run.
WOULD = {
    Action.CREATED: "would create",
    Action.UPDATED: "would change",
    Action.UNCHANGED: "unchanged",
    Action.DELETED: "would delete",
}


def show_changes(
    changes: Sequence[Change],
    statuses: Statuses,
    *,
    dry_run: bool,
    as_json: bool,
    left_out: Sequence[LeftOut] | None = None,
    more: Mapping[str, object] | None = None,
) -> None:
    """Print the changes and what is left out, but not the records, which hold sealed keys.

    `more` is what the JSON document says besides.
    """
    for one in left_out or ():
        say(str(one))
    triggers = [_trigger(change) for change in changes]
    disabled = {change.id for change in changes if _stays_disabled(change, statuses)}
    if as_json:
        rows = [
            {
                "kind": c.kind,
                "id": c.id,
                "name": c.name,
                "action": c.action,
                "fields": c.fields,
                "differences": [found.as_json() for found in differences(c)],
                "disabled_by_system": c.kind is Kind.INTEGRATION and c.id in disabled,
                "not_evaluated": () if trigger is None else trigger.not_evaluated,
                "tells_nobody": trigger is not None and trigger.tells_nobody,
            }
            for c, trigger in zip(changes, triggers, strict=True)
        ]
        skipped = {} if left_out is None else {"left_out": [asdict(one) for one in left_out]}
        print_json({"dry_run": dry_run, "changes": rows, **skipped, **(more or {})})
        return
    for change, trigger in zip(changes, triggers, strict=True):
        mark = f": {'; '.join(trigger.notes)}" if trigger and trigger.notes else ""
        if change.kind is Kind.INTEGRATION and change.id in disabled:
            mark = (
                ": disabled by the system, and stays so: "
                f"`stream-app integrations enable {change.id}`"
            )
        action = WOULD[change.action] if dry_run else change.action
        width = max(map(len, WOULD.values() if dry_run else Action))
        print_line(f"{action:<{width}} {change.kind} {change.id} {quoted(change.name)}{mark}")
        for difference in differences(change):
            print_line(f"{'':{width}} {difference}")


def warn_of_operator(settings: Settings, changes: Sequence[Change]) -> None:
    """Say what follows if a change takes the operator integration out of use."""
    for change in changes:
        is_named = (change.kind, change.id) == (Kind.INTEGRATION, settings.operator_integration)
        is_off = change.record is None or change.record.get("active") is False
        if is_named and is_off and change.action is not Action.UNCHANGED:
            say(end_of_operator(change.id))


def _trigger(change: Change) -> Trigger | None:
    """Return the trigger that a change writes, whatever problems it has."""
    if change.kind is not Kind.TRIGGER or change.record is None:
        return None
    return read_trigger(change.record, allowed_periods=())[0]


def _stays_disabled(change: Change, statuses: Statuses) -> bool:
    """Return whether the system has disabled an integration and the change keeps it so."""
    if change.kind is not Kind.INTEGRATION or change.record is None:
        return False
    integration, problems = read_integration(change.record)
    return not problems and is_disabled_by_system(integration, statuses.get(change.id))
