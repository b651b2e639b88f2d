"""The summary of a demo's run: what it counts, and how it says it."""

from __future__ import annotations

import pytest

from stream_app.demo.summary import Summary, request_result, summary_of
from stream_app.domain.delivery.state import DeliveryStatus
from stream_app.metrics import Metrics
from stream_app.opsgenie.sandbox.state import RequestView
from stream_app.worker.health import Health, HealthServer

NOWHERE = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("summary", "text"),
    [
        (
            Summary(61.4, 3050, 9, {"sent": 8, "given_up": 1, "pending": 2}, {"accepted": 8}),
            (
                "In 61 s: 3,050 events sent, 9 alerts fired.\n"
                "The notifier has 11 deliveries: 8 sent, 1 given up, 2 pending.\n"
                "The sandbox saw 8 requests: 8 accepted."
            ),
        ),
        (
            Summary(1, 1, 1, {"sent": 1, "pending": 0}, {"accepted": 1, "failed on demand": 3}),
            (
                "In 1 s: 1 event sent, 1 alert fired.\n"
                "The notifier has 1 delivery: 1 sent.\n"
                "The sandbox saw 4 requests: 1 accepted, 3 failed on demand."
            ),
        ),
        (
            Summary(0, 0, None, None, {}),
            (
                "In 0 s: 0 events sent, an unknown number of alerts fired.\n"
                "The notifier has an unknown number of deliveries.\n"
                "The sandbox saw 0 requests."
            ),
        ),
    ],
)
def test_it_names_what_there_was_and_leaves_out_what_was_not(summary: Summary, text: str) -> None:
    assert summary.text() == text


async def test_it_adds_up_what_the_workers_count() -> None:
    detector, notifier = Metrics("detector"), Metrics("notifier")
    detector.alerts.labels("hits_exceeded").inc(2)
    detector.alerts.labels("incidents_exceeded").inc()
    notifier.deliveries.labels("opsgenie", DeliveryStatus.SENT).inc(4)
    notifier.deliveries.labels("jsm", DeliveryStatus.SENT).inc()
    notifier.deliveries.labels("opsgenie", DeliveryStatus.GIVEN_UP).inc()
    notifier.pending_deliveries.set(7)
    servers = [HealthServer(Health(m), m, "127.0.0.1", 0) for m in (detector, notifier)]
    try:
        urls = [await server.start() for server in servers]
        found = await summary_of(*urls, seconds=3, events=5, requests={"accepted": 1})
    finally:
        for server in servers:
            await server.stop()
    assert (found.events, found.alerts, found.requests) == (5, 3, {"accepted": 1})
    assert found.deliveries is not None
    known = {outcome: number for outcome, number in found.deliveries.items() if number}
    assert known == {"sent": 5, "given_up": 1, "pending": 7}


async def test_a_worker_that_does_not_answer_is_not_guessed_at() -> None:
    found = await summary_of(NOWHERE, NOWHERE, seconds=3, events=5, requests={})
    assert (found.alerts, found.deliveries) == (None, None)


def test_a_request_is_accepted_refused_or_failed_on_demand() -> None:
    def seen(status: int, fault: str = "") -> RequestView:
        return RequestView(0, "POST", "/", status, "", "", "", fault)

    shown = [request_result(one) for one in (seen(202), seen(401), seen(500, "status"))]
    assert shown == ["accepted", "refused", "failed on demand"]
    assert request_result(seen(202, "discard")) == "failed on demand"
