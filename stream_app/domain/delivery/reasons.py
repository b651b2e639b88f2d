"""What one request to an integration can come to: closed lists, and labels of the metrics."""

from __future__ import annotations

from enum import StrEnum

#: Stands where an integration could not be resolved, so that no service is known.
UNKNOWN_TYPE = "unknown"


class IntegrationType(StrEnum):
    """Which service answers; the `integration_type` label of the metrics."""

    OPSGENIE = "opsgenie"
    JSM = "jsm"


class AttemptReason(StrEnum):
    """Why an attempt ended as it did: a closed list, the `reason` label of the metric."""

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


class LocalReason(StrEnum):
    """Why an attempt ended before a request was made; more `reason` labels of the metric.

    `DRY_RUN` is no failure: the installation sends nothing.
    """

    INTEGRATION_UNAVAILABLE = "integration_unavailable"
    ENDPOINT_REFUSED = "endpoint_refused"
    KEY_UNREADABLE = "key_unreadable"
    DRY_RUN = "dry_run"


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
