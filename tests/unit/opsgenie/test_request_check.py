"""What the answers of the request status API mean, and when it is asked again."""

from __future__ import annotations

import json

import pytest

from stream_app.domain.delivery.reasons import AttemptReason, IntegrationType
from stream_app.domain.delivery.status_checks import CheckOutcome
from stream_app.opsgenie.outcome import RequestStatus, classify, failure, read_request_status
from stream_app.opsgenie.request_check import RequestCheck, check_request

OPSGENIE, JSM = IntegrationType.OPSGENIE, IntegrationType.JSM


def answer(status: int, data: dict[str, object] | None = None, **headers: str) -> RequestStatus:
    body = b"" if data is None else json.dumps({"data": data}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_request_status(classify(status, named, body), body)


NOT_YET = answer(404, X_Opsgenie_ErrorType="RequestNotProcessed")
DONE = answer(200, {"isSuccess": True, "status": "Created alert"})
REFUSED = answer(200, {"isSuccess": False, "status": "Alert does not exist"})
LOST = RequestStatus(failure(AttemptReason.CONNECTION_LOST))


async def check(
    *answers: RequestStatus, kind: IntegrationType = OPSGENIE, scale: float = 1.0
) -> tuple[RequestCheck, list[float]]:
    """Return the result of a check, and its waits; all answers must be used."""
    left, waits = list(answers), []

    async def ask() -> RequestStatus:
        return left.pop(0)

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    found = await check_request(ask, kind, sleep, scale)
    assert left == []
    return found, waits


@pytest.mark.parametrize(
    ("last", "outcome", "text"),
    [
        (DONE, CheckOutcome.SUCCESS, "Created alert"),
        (REFUSED, CheckOutcome.FAILED, "Alert does not exist"),
    ],
)
async def test_it_asks_until_the_request_is_processed(
    last: RequestStatus, outcome: CheckOutcome, text: str
) -> None:
    assert (await check(last))[1] == [2]
    found, waits = await check(NOT_YET, LOST, last)
    assert (found.outcome, found.status, waits) == (outcome, text, [2, 5, 15])


async def test_the_waits_can_be_scaled() -> None:
    assert (await check(NOT_YET, DONE, scale=0.1))[1] == [0.2, 0.5]


@pytest.mark.parametrize(
    ("status", "outcome", "text"),
    [
        (NOT_YET, CheckOutcome.UNKNOWN, "not processed it yet"),
        (answer(404), CheckOutcome.UNKNOWN, "does not know the request"),
        (LOST, CheckOutcome.UNREADABLE, "connection broke"),
        (answer(500), CheckOutcome.UNREADABLE, "HTTP 500"),
        (answer(200), CheckOutcome.UNREADABLE, "does not say"),
        (answer(200, {"isSuccess": "yes"}), CheckOutcome.UNREADABLE, "does not say"),
    ],
)
async def test_a_check_that_stays_open_after_the_last_wait_says_why(
    status: RequestStatus, outcome: CheckOutcome, text: str
) -> None:
    found, waits = await check(status, status, status)
    assert (found.outcome, waits) == (outcome, [2, 5, 15])
    assert text in found.status


@pytest.mark.parametrize("status", [401, 402, 403, 429])
async def test_a_refusal_is_not_asked_again(status: int) -> None:
    found, waits = await check(answer(status))
    assert (found.outcome, waits) == (CheckOutcome.UNREADABLE, [2])
    assert f"HTTP {status}" in found.status


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_jsm_may_not_tell(status: int) -> None:
    found, waits = await check(answer(status), kind=JSM)
    assert (found.outcome, waits) == (CheckOutcome.UNKNOWN, [2])
    assert "does not tell" in found.status


async def test_a_status_that_jsm_tells_is_used() -> None:
    assert (await check(NOT_YET, DONE, kind=JSM))[0].outcome is CheckOutcome.SUCCESS
    found, _ = await check(answer(500), answer(500), answer(500), kind=JSM)
    assert found.outcome is CheckOutcome.UNREADABLE
