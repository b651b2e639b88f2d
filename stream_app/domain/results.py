"""What becomes of events, notices and alerts: closed lists, the `result` labels of the metrics."""

from __future__ import annotations

from enum import StrEnum

from stream_app.domain.conditions import CONDITIONS, Family
from stream_app.domain.events import EventKind

#: The kind of alerts that subscriptions to notices make. Those of counting triggers have the kind
#: of the events counted, those of triggers of notices the trigger's condition.
NOTICE_ALERT = "notice"
ALERT_KINDS = (
    *EventKind,
    NOTICE_ALERT,
    *(name for name, row in CONDITIONS.items() if row.family is Family.NOTICED),
)
#: What of a trigger is kept, and does nothing here.
NOT_EVALUATED_PARTS = ("condition", "reactions")


class EventResult(StrEnum):
    """What became of an event; all but the last are counts of a `counting.Tally`."""

    COUNTED = "counted"
    UNMATCHED = "unmatched"
    EXPERIMENTAL = "experimental"
    UNSAMPLED = "unsampled"
    FALSE_POSITIVE = "false_positive"
    REJECTED = "rejected"


class NoticeResult(StrEnum):
    """What became of a notice."""

    MATCHED = "matched"
    UNSUBSCRIBED = "unsubscribed"
    UNKNOWN_KIND = "unknown_kind"
    REJECTED = "rejected"


class RouteResult(StrEnum):
    """What an alert's integration is found to be; only `sent` and the two after it get it.

    For an unknown one a dead letter is left. A deleted one was configured once.
    """

    SENT = "sent"
    DISABLED = "disabled"
    INVALID = "invalid"
    UNKNOWN_INTEGRATION = "unknown_integration"
    DELETED_INTEGRATION = "deleted_integration"
    FOREIGN_INTEGRATION = "foreign_integration"
    INACTIVE = "inactive"
