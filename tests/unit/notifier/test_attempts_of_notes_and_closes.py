"""Attempts of notes and closes against the real sandbox."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from aiohttp import web

from stream_app.domain.delivery.records import Delivery, Result, ServiceAction, encode_delivery
from stream_app.domain.delivery.state import DeliveryState, DeliveryStatus
from stream_app.domain.episodes.reference import EpisodeReference
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind, Operation
from stream_app.opsgenie.sandbox.service import Exchange
from tests.unit.notifier.test_attempt import NOW_MS, Bench, running

ALIAS = "stream-app:1111:episode:0123456789abcdef0123456789abcdef"
EPISODE = EpisodeReference(ALIAS, 61, "r1", 1, 2, 300)


def state(action: ServiceAction, **fields: Any) -> DeliveryState:
    delivery = Delivery(
        f"{action}/521", "x", 1111, 521, "", "", {}, action=action, episode=EPISODE, note="37 more"
    )
    if action is ServiceAction.CREATE:
        delivery = msgspec.structs.replace(delivery, message="Title", note="")
    return DeliveryState(
        delivery.id,
        DeliveryStatus.PENDING,
        1111,
        521,
        1,
        NOW_MS,
        action=action,
        alias="" if action is ServiceAction.NOTE else ALIAS,
        record=msgspec.Raw(encode_delivery(delivery)),
        **fields,
    )


async def created(bench: Bench, processing_ms: int = 0) -> Result:
    """Create the alert, which stays unprocessed for a time."""
    bench.sandbox._state._processing_ms = processing_ms
    return await bench.attempts().make(state(ServiceAction.CREATE))


async def test_a_result_says_what_was_asked_for_and_which_alert_is_to_be_closed() -> None:
    async with running() as bench:
        results = [
            await created(bench),
            await bench.attempts().make(state(ServiceAction.NOTE)),
            await bench.attempts().make(state(ServiceAction.CLOSE)),
        ]
        assert [(one.accepted, one.is_sent) for one in results] == [(True, True)] * 3
        assert [one.action for one in results] == [msgspec.UNSET, "note", "close"]
        assert [one.alias for one in results] == [ALIAS, msgspec.UNSET, ALIAS]
        (alert,) = bench.sandbox.alerts
        assert [note.text for note in alert.notes] == ["37 more", "37 more"]
        assert (alert.alias, alert.status) == (ALIAS, "closed")


async def test_a_close_waits_until_its_alert_is_processed_and_this_fails_nothing() -> None:
    async with running() as bench:
        request_id = (await created(bench, 3_600_000)).request_id or ""
        close = state(ServiceAction.CLOSE, request_id=request_id, released_ms=NOW_MS - 86_400_000)
        result = await bench.attempts().make(close)
        assert (result.accepted, result.is_sent, result.reason) == (False, False, "not_processed")
        assert (result.is_no_attempt, result.is_own_fault) == (True, False)
        assert bench.count("unknown", "not_processed") == 1
        assert bench.sandbox.alerts[0].status == "open"


@pytest.mark.parametrize(("waited_ms", "is_closed"), [(29_999, False), (30_000, True)])
async def test_a_service_that_does_not_tell_is_given_half_a_minute(
    waited_ms: int, *, is_closed: bool
) -> None:
    async with running() as bench:
        await created(bench)
        bench.sandbox.fail(Fault(kind=FaultKind.STATUS, status=403, on=(Operation.REQUEST_STATUS,)))
        close = state(ServiceAction.CLOSE, request_id="r", released_ms=NOW_MS - waited_ms)
        result = await bench.attempts().make(close)
        assert (result.accepted, result.reason) == (
            (True, "accepted") if is_closed else (False, "not_processed")
        )
        assert bench.sandbox.alerts[0].status == ("closed" if is_closed else "open")


@pytest.mark.parametrize(
    ("message", "accepted"), [("Alert does not exist", True), ("Not Found", False)]
)
async def test_a_missing_alert_is_success_of_a_close_and_no_other_404_is(
    message: str, *, accepted: bool
) -> None:
    async def answer(exchange: Exchange) -> web.Response:
        return exchange.answer(404, {"message": message})

    async with running() as bench:
        bench.sandbox._api.steps.append(answer)
        closed = await bench.attempts().make(state(ServiceAction.CLOSE))
        assert (closed.accepted, closed.status) == (accepted, 404)
        assert closed.reason == ("accepted" if accepted else "not_found")
        noted = await bench.attempts().make(state(ServiceAction.NOTE))
        assert (noted.accepted, noted.status) == (False, 404)
