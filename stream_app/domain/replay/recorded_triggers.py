"""Triggers as recorded alerts hold them: they count what was counted then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from stream_app.domain.configuration.triggers import Trigger

if TYPE_CHECKING:
    from stream_app.domain.alerts.alert import Alert


def recorded_trigger(alert: Alert) -> Trigger:
    """Return the trigger of an alert, as it was configured then.

    Nobody has recorded when it was enabled, so its revision is its `definition`.
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
    return trigger.revision if not trigger.enabled_at else as_defined(trigger).revision


def as_defined(trigger: Trigger) -> Trigger:
    """Return the trigger whose revision is its definition."""
    return msgspec.structs.replace(trigger, enabled_at=0)
