"""Checks that no integration closes its alerts within the period of a trigger that names it.

The next window of the trigger could not have fired by then, so each window would page anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from stream_app.domain.configuration.integrations import read_integration
from stream_app.domain.configuration.kinds import Kind, Stored
from stream_app.domain.configuration.triggers import read_trigger
from stream_app.domain.plans.steps import Draft


class _Trigger(NamedTuple):
    """A trigger that counts over a period; `draft` is None if no file holds it."""

    id: int
    client_id: int
    period: int
    integration_ids: tuple[int, ...]
    draft: Draft | None = None


class _Silence(NamedTuple):
    """After which silence an integration closes its alerts, in seconds; 0: it does not."""

    client_id: int
    seconds: int


def check_silences(
    drafts: Sequence[Draft],
    stored: Stored,
    pruned: Collection[tuple[Kind, int]],
    allowed_periods: Collection[int],
) -> None:
    """Note in the drafts each silence that is not longer than a period.

    It is a problem of the integration, if a file holds that, and else of the trigger.

    Args:
        drafts: of all objects of the files.
        stored: the records as they are now.
        pruned: what the plan deletes.
        allowed_periods: of triggers, in seconds.
    """
    written = {draft.id: draft for draft in drafts if draft.kind is Kind.INTEGRATION}
    silences = _silences(drafts, written, stored)
    if not any(silence.seconds for silence in silences.values()):
        return
    for trigger in _triggers(drafts, stored, pruned, allowed_periods):
        for number in trigger.integration_ids:
            client_id, silence = silences.get(number, (0, 0))
            # Another client's trigger never fires for it.
            if not 0 < silence <= trigger.period or client_id != trigger.client_id:
                continue
            if (integration := written.get(number)) is not None:
                integration.problem(
                    "alert.close_after_seconds",
                    silence,
                    f"must be longer than the period of trigger {trigger.id} "
                    f"({trigger.period}), which names the integration: else its alert is closed "
                    "before the next window can fire",
                )
            elif trigger.draft is not None:
                trigger.draft.problem(
                    "threshold.period",
                    trigger.period,
                    f"must be shorter than close_after_seconds of integration {number} "
                    f"({silence}), which the trigger names: else its alert is closed before the "
                    "next window can fire",
                )


def _silences(
    drafts: Sequence[Draft], written: Mapping[int, Draft], stored: Stored
) -> dict[int, _Silence]:
    """Return the silences of the integrations that the files hold, or that their triggers name."""
    named = {number for draft in drafts for number in draft.integration_ids} - written.keys()
    kept = {n: record for n, record in stored[Kind.INTEGRATION].items() if n in named}
    read = {n: read_integration(record)[0] for n, record in kept.items()}
    found = {n: _Silence(one.client_id, one.repeats.close_after_seconds) for n, one in read.items()}
    return found | {n: _Silence(one.client_id, one.close_after) for n, one in written.items()}


def _triggers(
    drafts: Sequence[Draft],
    stored: Stored,
    pruned: Collection[tuple[Kind, int]],
    allowed_periods: Collection[int],
) -> Iterator[_Trigger]:
    """Yield the triggers as they will be."""
    written = {draft.id: draft for draft in drafts if draft.kind is Kind.TRIGGER}
    for number, draft in written.items():
        yield _Trigger(number, draft.client_id, draft.period, draft.integration_ids, draft)
    for number, record in stored[Kind.TRIGGER].items():
        if number in written or (Kind.TRIGGER, number) in pruned:
            continue
        trigger, _ = read_trigger(record, allowed_periods=allowed_periods)
        if trigger.threshold is not None:
            period = trigger.threshold.period
            yield _Trigger(number, trigger.client_id, period, trigger.integration_ids)
