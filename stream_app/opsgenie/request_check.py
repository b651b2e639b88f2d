"""Asks the service what became of a request that it has accepted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from stream_app.domain.delivery.reasons import AttemptReason, IntegrationType
from stream_app.domain.delivery.status_checks import CHECK_WAITS_SECONDS, CheckOutcome
from stream_app.opsgenie.outcome import Outcome, RequestStatus

NOT_YET = "the service has not processed it yet"
NOT_KNOWN = "the service does not know the request"
NO_STATE = "the answer does not say what became of the request"
NOT_TOLD = "Jira Service Management does not tell the state of a request to an integration's key"
#: JSM's documentation does not say whether an integration's key may ask; so any of these may come.
JSM_REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
#: After these refusals it is no use to ask again, at least for now.
FINAL_REFUSALS = (
    AttemptReason.UNAUTHORIZED,
    AttemptReason.FORBIDDEN,
    AttemptReason.PAYMENT_REQUIRED,
    AttemptReason.KEY_FORMAT,
    AttemptReason.RATE_LIMITED,
)


@dataclass(frozen=True, slots=True)
class RequestCheck:
    """The result of a check. `status` is the service's own text, or why there is none.

    `answer` is the outcome of the last answer. `is_final`: to ask again would find nothing new.
    """

    outcome: CheckOutcome
    status: str
    answer: Outcome
    is_final: bool = True


async def check_request(
    ask: Callable[[], Awaitable[RequestStatus]],
    kind: IntegrationType,
    sleep: Callable[[float], Awaitable[None]],
    scale: float = 1.0,
) -> RequestCheck:
    """Ask after each of `CHECK_WAITS_SECONDS`, until the status is known or cannot be known.

    Args:
        ask: asks once.
        kind: the service that is asked.
        sleep: waits for a number of seconds.
        scale: factor on the waits; 1 except for a sandbox.
    """
    for wait in CHECK_WAITS_SECONDS:
        await sleep(wait * scale)
        check = read_check(await ask(), kind)
        if check.is_final:
            break
    return check


def read_check(status: RequestStatus, kind: IntegrationType) -> RequestCheck:
    """Return what one answer means."""
    answer = status.outcome
    if status.is_success is not None:
        outcome = CheckOutcome.SUCCESS if status.is_success else CheckOutcome.FAILED
        return RequestCheck(outcome, status.status, answer)
    if answer.is_not_processed:
        return RequestCheck(CheckOutcome.UNKNOWN, NOT_YET, answer, is_final=False)
    if kind is IntegrationType.JSM and answer.status in JSM_REFUSALS:
        return RequestCheck(CheckOutcome.UNKNOWN, NOT_TOLD, answer)
    if answer.status == HTTPStatus.NOT_FOUND:
        return RequestCheck(CheckOutcome.UNKNOWN, NOT_KNOWN, answer, is_final=False)
    why = NO_STATE if answer.accepted else answer.message
    return RequestCheck(
        CheckOutcome.UNREADABLE, why, answer, is_final=answer.reason in FINAL_REFUSALS
    )
