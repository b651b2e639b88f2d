"""The kinds of alerts: the closed list, the `kind` labels of the metrics."""

from __future__ import annotations

from stream_app.domain.catalog.conditions import CONDITIONS, Evaluation
from stream_app.domain.events.model import EventKind

#: The kind of alerts that subscriptions to notices make. Those of counting triggers have the kind
#: of the events counted, those of triggers of notices the trigger's condition.
NOTICE_ALERT = "notice"
ALERT_KINDS = (
    *EventKind,
    NOTICE_ALERT,
    *(name for name, row in CONDITIONS.items() if row.evaluation is Evaluation.NOTICE_MATCHING),
)
