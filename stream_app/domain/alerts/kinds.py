"""The closed list of kinds of alerts, which are the metrics' `kind` labels."""

from __future__ import annotations

from stream_app.domain.catalog.conditions import CONDITIONS, Evaluation
from stream_app.domain.events.model import EventKind

#: The kind of alerts of subscriptions to notices. An alert of a counting trigger has the kind of
#: its events, and an alert of a trigger of notices has the trigger's condition.
NOTICE_ALERT = "notice"
ALERT_KINDS = (
    *EventKind,
    NOTICE_ALERT,
    *(
        name
        for name, condition in CONDITIONS.items()
        if condition.evaluation is Evaluation.NOTICE_MATCHING
    ),
)
