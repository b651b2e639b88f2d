"""The outcome of one request: a reason from a closed list, and a sentence for people.

The status alone does not decide: a 422 means a bad field or a malformed key, and a 403 has a code
for a key of the wrong kind. All text from a body is shortened, cleaned, and freed of the key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_tz
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from stream_app.domain.delivery.reasons import AttemptReason, LocalReason
from stream_app.domain.delivery.retry_schedule import MAX_RETRY_AFTER_SECONDS
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.opsgenie.text import clean, cut

if TYPE_CHECKING:
    from collections.abc import Mapping

BODY_LIMIT = 64 * 1024
MESSAGE_LIMIT = 500
QUOTE_LIMIT = 200
#: Most entries of `errors` that the message shows.
ERRORS_SHOWN = 5
WRONG_KIND_OF_KEY = 40301
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")
#: The headers of an answer that are read.
ANSWER_HEADERS = (
    "date",
    "retry-after",
    "x-opsgenie-errortype",
    "x-ratelimit-period-in-sec",
    "x-request-id",
)
#: The service's error type for a request that it has accepted and not processed yet.
NOT_PROCESSED = "RequestNotProcessed"

REASONS_BY_STATUS = {
    400: AttemptReason.BAD_REQUEST,
    401: AttemptReason.UNAUTHORIZED,
    402: AttemptReason.PAYMENT_REQUIRED,
    403: AttemptReason.FORBIDDEN,
    404: AttemptReason.NOT_FOUND,
    405: AttemptReason.NOT_FOUND,
    409: AttemptReason.UNPROCESSABLE,
    410: AttemptReason.NOT_FOUND,
    415: AttemptReason.BAD_REQUEST,
    422: AttemptReason.UNPROCESSABLE,
    428: AttemptReason.UNPROCESSABLE,
    429: AttemptReason.RATE_LIMITED,
}
KEY_ADVICE = (
    "copy the key of an API integration again (in the team: Integrations, API), without other "
    "characters around it"
)
EXPLANATIONS = {
    AttemptReason.ACCEPTED: "the request was accepted",
    AttemptReason.REDIRECT: "the service redirects elsewhere, and a key is never sent to another "
    "address: check target.api",
    AttemptReason.BAD_REQUEST: "the service cannot read the request",
    AttemptReason.UNAUTHORIZED: "the key is wrong, its integration is turned off, or it belongs "
    "to the other region: a key of the EU instance works at api.eu.opsgenie.com only, one of the "
    "US instance at api.opsgenie.com only",
    AttemptReason.PAYMENT_REQUIRED: "the plan of the account does not allow this",
    AttemptReason.FORBIDDEN: "the key may not do this: check the rights of its integration",
    AttemptReason.NOT_FOUND: "there is no such address: check target.api",
    AttemptReason.UNPROCESSABLE: "the service refuses a field of the request",
    AttemptReason.KEY_FORMAT: f"the key is malformed: {KEY_ADVICE}",
    AttemptReason.RATE_LIMITED: "the account sends more requests than its plan allows",
    AttemptReason.SERVER_ERROR: "the service has a fault",
    AttemptReason.OTHER_STATUS: "an answer nobody expects here",
    AttemptReason.LOCAL_ERROR: "this machine cannot make the request, whatever the integration",
    AttemptReason.CONNECT_ERROR: "no connection to the service",
    AttemptReason.PROXY_ERROR: "the proxy of STREAM_APP_DELIVERY__PROXY_URL is in the way",
    AttemptReason.TLS_ERROR: "the service's certificate or encryption is not trusted (an "
    "authority of your own, or of a proxy that opens TLS, goes into STREAM_APP_DELIVERY__CA_FILE)",
    AttemptReason.TIMEOUT: "no complete answer in time",
    AttemptReason.CONNECTION_LOST: "the connection broke before the answer, and the request may "
    "or may not have been accepted",
    AttemptReason.BAD_ANSWER: "the answer is not HTTP",
}
#: What the service says of a request about an alert that is closed, or never was. It answers 404
#: with it, or accepts the request and tells it as the request's state.
NO_SUCH_ALERT = "Alert does not exist"
WRONG_KIND_ADVICE = (
    "the key is of the wrong kind: use one of an API integration (in the team: Integrations, "
    "API), not one from API key management"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one attempt. Only that of a ping may have a `LocalReason`: nothing was sent.

    `status` is None if no answer came. `request_id` is the service's own: its support and its
    request status API know it. `retry_after_seconds` is what a 429 asks for. `is_not_processed`
    is true if the service was asked about a request that it has accepted and not processed yet.
    """

    reason: AttemptReason | LocalReason
    message: str
    status: int | None = None
    request_id: str | None = None
    retry_after_seconds: float | None = None
    duration_seconds: float = 0.0
    is_not_processed: bool = False

    @property
    def accepted(self) -> bool:
        """Whether the service accepted the request: any 2xx."""
        return self.reason is AttemptReason.ACCEPTED

    @property
    def key_works(self) -> bool:
        """Whether the answer to closing an alert shows that the key may write.

        A 404 does, too: it is about the alert, because the address is one of the allowed ones.
        """
        return self.accepted or self.status == HTTPStatus.NOT_FOUND


@dataclass(frozen=True, slots=True)
class RequestStatus:
    """What became of an accepted request.

    `is_success` is None when that is not known: the service has not processed the request yet,
    does not know it, or does not say; `outcome` tells which. `status` is the service's own text.
    """

    outcome: Outcome
    is_success: bool | None = None
    status: str = ""


def classify(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    key: str = "",
    received_at_seconds: float | None = None,
    explanations: Mapping[AttemptReason, str] = EXPLANATIONS,
) -> Outcome:
    """Return the outcome of an answer.

    Args:
        status: the HTTP status.
        headers: names in any case.
        body: anything; at most its first 64 KiB are read.
        key: taken out of all that is returned, in case the service echoes it.
        received_at_seconds: Unix time, for a Retry-After that is a date in an answer without Date.
        explanations: what each reason means for the request that was made.
    """
    fields = {name.lower(): value for name, value in headers.items()}
    answer = _decode(body)
    reason = _reason(status, answer)
    explanation = explanations[reason]
    if reason is AttemptReason.FORBIDDEN and answer.get("code") == WRONG_KIND_OF_KEY:
        explanation = WRONG_KIND_ADVICE
    message = f"HTTP {status}: {explanation}{_quote(answer, key)}"
    return Outcome(
        reason=reason,
        message=cut(message, MESSAGE_LIMIT),
        status=status,
        request_id=_request_id(answer.get("requestId") or fields.get("x-request-id"), key),
        retry_after_seconds=_retry_after(fields, received_at_seconds)
        if status == HTTPStatus.TOO_MANY_REQUESTS
        else None,
        is_not_processed=status == HTTPStatus.NOT_FOUND
        and fields.get("x-opsgenie-errortype", "").strip() == NOT_PROCESSED,
    )


def failure(reason: AttemptReason, detail: str = "", *, key: str = "") -> Outcome:
    """Return the outcome of an attempt that got no answer; `detail` is added to the message."""
    detail = _plain(detail, key)
    message = EXPLANATIONS[reason] + (f": {detail}" if detail else "")
    return Outcome(reason, cut(message, MESSAGE_LIMIT))


def read_request_status(outcome: Outcome, body: bytes, *, key: str = "") -> RequestStatus:
    """Return what an answer of the request status API says."""
    data = _decode(body).get("data")
    if not outcome.accepted or not isinstance(data, dict):
        return RequestStatus(outcome)
    is_success, status = data.get("isSuccess"), data.get("status")
    return RequestStatus(
        outcome,
        is_success if isinstance(is_success, bool) else None,
        _plain(status, key) if isinstance(status, str) else "",
    )


def is_about_no_alert(text: str) -> bool:
    """Tell whether a text of the service says that there is no such open alert."""
    return NO_SUCH_ALERT.lower() in text.lower()


def says_no_alert(outcome: Outcome, body: bytes) -> bool:
    """Tell whether an answer to a close says that there is no such open alert.

    Any other 404 says that there is no such address.
    """
    message = _decode(body).get("message") if outcome.status == HTTPStatus.NOT_FOUND else None
    return isinstance(message, str) and is_about_no_alert(message)


def no_alert_left(outcome: Outcome) -> Outcome:
    """Return the outcome of a close that found no open alert: nothing is left to be done."""
    message = f"HTTP {outcome.status}: there is no open alert to close"
    return replace(outcome, reason=AttemptReason.ACCEPTED, message=message)


def redact(text: str, key: str) -> str:
    """Take a key out of a text, and credentials as headers have them."""
    text = re.sub(r"(?i)(genie-?key\s+)\S+", r"\1***", text)
    text = re.sub(r"(?i)(basic\s+)[A-Za-z0-9+/]{16,}={0,2}", r"\1***", text)
    return re.sub(re.escape(key), "***", text, flags=re.IGNORECASE) if key else text


def decode_object(body: bytes) -> dict[str, object] | None:
    """Return the JSON object in a body; None: there is none."""
    try:
        found = msgspec.json.decode(body)
    except DECODE_ERRORS:
        return None
    return found if isinstance(found, dict) else None


def _decode(body: bytes) -> dict[str, object]:
    return decode_object(body[:BODY_LIMIT]) or {}


def _reason(status: int, answer: Mapping[str, object]) -> AttemptReason:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return AttemptReason.ACCEPTED
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return AttemptReason.REDIRECT
    if HTTPStatus.INTERNAL_SERVER_ERROR <= status < 600:  # noqa: PLR2004 - ends the 5xx
        return AttemptReason.SERVER_ERROR
    is_about_key = "key format" in str(answer.get("message")).lower() and not answer.get("errors")
    if status == HTTPStatus.UNPROCESSABLE_ENTITY and is_about_key:
        return AttemptReason.KEY_FORMAT
    return REASONS_BY_STATUS.get(status, AttemptReason.OTHER_STATUS)


def _request_id(value: object, key: str) -> str | None:
    is_id = isinstance(value, str) and REQUEST_ID.fullmatch(value) and redact(value, key) == value
    return str(value) if is_id else None


def _quote(answer: Mapping[str, object], key: str) -> str:
    """Return what the service itself says: its message, and the fields that it refuses."""
    said = answer.get("message")
    said = _plain(said, key) if isinstance(said, str) else ""
    quote = f'; it says "{said}"' if said else ""
    errors, pairs = answer.get("errors"), []
    if isinstance(errors, dict):
        pairs = list(errors.items())
    elif isinstance(errors, list):
        items = [item for item in errors if isinstance(item, dict)]
        pairs = [(item.get("title"), item.get("detail")) for item in items]
    shown = [
        f"{_plain(str(name), key)}: {_plain(str(text), key)}" for name, text in pairs[:ERRORS_SHOWN]
    ]
    return quote + (f" ({'; '.join(shown)})" if shown else "")


def _plain(text: str, key: str) -> str:
    """Make a foreign text fit to be shown; the key is taken out before a cut could halve it."""
    return cut(redact(clean(text), key), QUOTE_LIMIT)


def _retry_after(fields: Mapping[str, str], received_at_seconds: float | None) -> float | None:
    """Return the longest wait that Retry-After and the throttled period ask for, in seconds."""
    asked = [
        _seconds(fields.get("retry-after", "")),
        _seconds_until(fields.get("retry-after", ""), fields.get("date", ""), received_at_seconds),
        _seconds(fields.get("x-ratelimit-period-in-sec", "")),
    ]
    waits = [min(seconds, MAX_RETRY_AFTER_SECONDS) for seconds in asked if seconds is not None]
    return max(waits, default=None)


def _seconds(text: str) -> float | None:
    """Return the largest of the numbers: a header that is given twice is a list."""
    parts = [part.strip() for part in text.split(",")]
    numbers = [float(part) for part in parts if re.fullmatch(r"[0-9]+(\.[0-9]+)?", part)]
    return max(numbers, default=None)


def _seconds_until(text: str, date: str, received_at_seconds: float | None) -> float | None:
    """Return the seconds to an HTTP date, by the service's own clock if it gives its time."""
    until, now = _unix_time(text), _unix_time(date)
    now = received_at_seconds if now is None else now
    return None if until is None or now is None else max(0.0, until - now)


def _unix_time(text: str) -> float | None:
    """Return the Unix time of an HTTP date; a date without a zone is UTC, wherever this runs."""
    try:
        parts = parsedate_tz(text)
        if parts is None:
            return None
        year, month, day, hour, minute, second = parts[:6]
        # `mktime_tz` would accept dates that do not exist. A leap second is the 60th of its minute.
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
        return moment.timestamp() - (parts[9] or 0)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
