"""How an alert's way to an integration can end: closed lists, which are labels of the metrics."""

from __future__ import annotations

from enum import StrEnum

#: The `integration_type` of an integration that is not configured: its service is not known.
UNKNOWN_TYPE = "unknown"


class IntegrationType(StrEnum):
    """The service that answers; the `integration_type` label of the metrics."""

    OPSGENIE = "opsgenie"
    JSM = "jsm"


class AttemptReason(StrEnum):
    """Why an attempt ended as it did: the `reason` label of the metric."""

    ACCEPTED = "accepted"
    REDIRECT = "redirect"
    BAD_REQUEST = "bad_request"
    UNAUTHORIZED = "unauthorized"
    PAYMENT_REQUIRED = "payment_required"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    UNPROCESSABLE = "unprocessable"
    KEY_FORMAT = "key_format"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    OTHER_STATUS = "other_status"
    LOCAL_ERROR = "local_error"
    CONNECT_ERROR = "connect_error"
    PROXY_ERROR = "proxy_error"
    TLS_ERROR = "tls_error"
    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection_lost"
    BAD_ANSWER = "bad_answer"


#: Faults of our own side. They say nothing about an integration, and count as no attempt.
OWN_REASONS = frozenset({AttemptReason.PROXY_ERROR, AttemptReason.LOCAL_ERROR})


class LocalReason(StrEnum):
    """Why an attempt ended before a request was made; more `reason` labels of the metric.

    `DRY_RUN` is no failure: such an installation sends nothing. `NOT_PROCESSED` is none either: the
    service has not processed the alert yet that is to be closed.
    """

    INTEGRATION_UNAVAILABLE = "integration_unavailable"
    ENDPOINT_REFUSED = "endpoint_refused"
    KEY_UNREADABLE = "key_unreadable"
    DRY_RUN = "dry_run"
    NOT_PROCESSED = "not_processed"


class SkipReason(StrEnum):
    """Why a note or a close is not sent."""

    #: The alert that it is about was never accepted.
    NOT_ACCEPTED = "not_accepted"
    #: Further windows of the episode have come: another close follows when they are over.
    SUPERSEDED = "superseded"


class RefusedError(Exception):
    """No request may be made, so the attempt ends before one."""

    def __init__(self, reason: LocalReason | AttemptReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RouteResult(StrEnum):
    """What `route` finds about an integration that an alert names.

    A delivery is made for `sent`, `disabled` and `invalid` ones, and a dead letter for unknown
    ones. A deleted integration was configured once. `folded` is the window of an episode that a
    later delivery counts.
    """

    SENT = "sent"
    FOLDED = "folded"
    DISABLED = "disabled"
    INVALID = "invalid"
    UNKNOWN_INTEGRATION = "unknown_integration"
    DELETED_INTEGRATION = "deleted_integration"
    FOREIGN_INTEGRATION = "foreign_integration"
    INACTIVE = "inactive"
