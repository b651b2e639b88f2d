"""Checks that no integration closes its alerts within the period of a trigger that names it.

The next window of the trigger could not have fired by then, so each window would page anew.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from stream_app.domain.configuration.integrations import Integration, read_integration
from stream_app.domain.configuration.kinds import Kind, Stored
from stream_app.domain.configuration.triggers import Trigger, read_trigger
from stream_app.domain.plans.steps import Draft


def check_silences(
    drafts: Sequence[Draft], stored: Stored, pruned: Collection[tuple[Kind, int]]
) -> None:
    """Note in the drafts each silence that is not longer than a period.

    It is a problem of the integration, if a file holds that, and else of the trigger.

    Args:
        drafts: of all objects of the files.
        stored: the records as they are now.
        pruned: what the plan deletes.
    """
    written = {(draft.kind, draft.id): draft for draft in drafts}
    integrations = _integrations(drafts, stored)
    if not any(one.repeats.close_after_seconds for one in integrations.values()):
        return
    for number, trigger in _triggers(drafts, stored).items():
        if trigger.threshold is None or (Kind.TRIGGER, number) in pruned:
            continue
        period, draft = trigger.threshold.period, written.get((Kind.TRIGGER, number))
        for named in trigger.integration_ids:
            integration = integrations.get(named)
            # Another client's trigger never fires for it.
            if integration is None or integration.client_id != trigger.client_id:
                continue
            silence = integration.repeats.close_after_seconds
            if not 0 < silence <= period:
                continue
            if (its_draft := written.get((Kind.INTEGRATION, named))) is not None:
                its_draft.problem(
                    "alert.close_after_seconds",
                    silence,
                    f"must be longer than the period of trigger {number} ({period}), which names "
                    "the integration: else its alert is closed before the next window can fire",
                )
            elif draft is not None:
                draft.problem(
                    "threshold.period",
                    period,
                    f"must be shorter than close_after_seconds of integration {named} ({silence}), "
                    "which the trigger names: else its alert is closed before the next window can "
                    "fire",
                )


def _integrations(drafts: Sequence[Draft], stored: Stored) -> dict[int, Integration]:
    """Return the integrations that the files hold, or that their triggers name."""
    written = {draft.id: draft.integration for draft in drafts if draft.integration is not None}
    named = {number for draft in drafts for number in draft.integration_ids} - written.keys()
    kept = {n: record for n, record in stored[Kind.INTEGRATION].items() if n in named}
    return {n: read_integration(record)[0] for n, record in kept.items()} | written


def _triggers(drafts: Sequence[Draft], stored: Stored) -> dict[int, Trigger]:
    """Return the triggers as they will be, and those that are deleted."""
    written = {draft.id: draft.trigger for draft in drafts if draft.trigger is not None}
    kept = {n: record for n, record in stored[Kind.TRIGGER].items() if n not in written}
    return written | {n: read_trigger(record, allowed_periods=())[0] for n, record in kept.items()}
