"""A delivery of the pulse ends at the request, and nothing else takes notice of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from stream_app.domain.alerts.alert import Alert, AlertTrigger
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.configuration.reserved import PULSE_CLIENT_ID, PULSE_INTEGRATION_ID
from stream_app.domain.configuration.triggers import Threshold
from stream_app.domain.delivery.partition_deliveries import DeliveryRules, PartitionDeliveries
from stream_app.domain.delivery.reasons import AttemptReason, RouteResult
from stream_app.domain.delivery.records import Delivery, Result, encode_delivery
from stream_app.domain.delivery.state import DeliveryState, DeliveryStatus
from stream_app.domain.delivery.transitions import new_state
from stream_app.domain.pulse.attempts import AttemptWatch
from stream_app.kafka.configuration.view import Configuration
from stream_app.metrics import Metrics
from stream_app.notifier.attempt import unsent_result
from stream_app.notifier.deliver_report import DeliveryReports
from stream_app.notifier.pulse.passing import passing, watched
from stream_app.notifier.reconcile import Reconciler
from stream_app.notifier.routing.recipients import Recipients

TRIGGER = AlertTrigger(1, "Pulse", "hits_exceeded", "r", (), Threshold(0, 1))
ALERT = Alert("a", PULSE_CLIENT_ID, "Pulse", "EU", TRIGGER, -5, -4, (PULSE_INTEGRATION_ID,), {})
PULSE = Delivery("a/p", "a", PULSE_CLIENT_ID, PULSE_INTEGRATION_ID, "", "", {})


def samples(metrics: Metrics) -> list[str]:
    lines = generate_latest(metrics.registry).decode().splitlines()
    return [line for line in lines if line.startswith("stream_app_")]


def pending(delivery: Delivery = PULSE) -> DeliveryState:
    return new_state(delivery, encode_delivery(delivery), 1, 1)


async def sent(state: DeliveryState) -> Result:
    return unsent_result(state, "opsgenie", AttemptReason.TIMEOUT, "real", 7)


async def passed() -> Result:
    return await passing(sent, lambda: 7)(pending())


async def test_only_the_pulse_ends_without_a_request() -> None:
    result = await passed()
    assert (result.accepted, result.is_sent, result.reason) == (True, False, "pulse")
    other = msgspec.structs.replace(PULSE, integration_id=521)
    assert (await passing(sent, lambda: 7)(pending(other))).message == "real"


async def test_it_is_finished_by_that_and_not_judged_counted_or_logged() -> None:
    states = PartitionDeliveries(("deliveries", "results"), DeliveryRules())
    states.add_delivery(pending())
    states.confirm(states.cut())
    states.add_result(await passed(), 3, 8)
    cut = states.cut()
    assert [row.after.status for row in cut.transitions] == [DeliveryStatus.SENT]
    assert (cut.judged, cut.verdicts, states.judge.judged_epochs) == ([], [], {})
    metrics = Metrics("notifier")
    before = samples(metrics)
    with capture_logs() as logs:
        DeliveryReports(metrics).report(cut)
    assert (logs, samples(metrics)) == ([], before)


def test_it_is_not_cancelled_though_nobody_has_configured_its_integration() -> None:
    states = PartitionDeliveries(("deliveries", "results"), DeliveryRules())
    states.add_delivery(pending())
    reader: Any = SimpleNamespace(configuration=Configuration(), subscribe=lambda _: None)
    tasks: list[object] = []
    app: Any = SimpleNamespace(add_future=tasks.append)
    table: Any = SimpleNamespace(states={0: states}, generation=1)
    nothing_is_written: Any = None
    Reconciler(app, reader, table, nothing_is_written).check_all()
    assert tasks == []


@pytest.mark.parametrize(
    ("client_id", "integration_id", "result"),
    [
        (PULSE_CLIENT_ID, PULSE_INTEGRATION_ID, RouteResult.SENT),
        (PULSE_CLIENT_ID, 521, RouteResult.FOREIGN_INTEGRATION),
        (PULSE_CLIENT_ID, 999, RouteResult.UNKNOWN_INTEGRATION),
        (1111, PULSE_INTEGRATION_ID, RouteResult.UNKNOWN_INTEGRATION),
    ],
)
def test_a_forged_alert_of_the_pulse_pages_nobody(
    client_id: int, integration_id: int, result: RouteResult
) -> None:
    view = Configuration()
    view.integrations = {521: Integration(521, 1111, "", True, "opsgenie", "", "", ())}
    alert = msgspec.structs.replace(ALERT, client_id=client_id)
    assert Recipients(view).result(alert, integration_id) is result


async def test_attempts_are_watched_from_their_beginning_until_their_result_is_written() -> None:
    watch, written, now = AttemptWatch(), list[str](), [0]

    async def write(_partition: int, result: Result) -> None:
        assert watch.waiting({}, 500, 500) != {}
        written.append(result.delivery_id)

    make, write_watched = watched(sent, write, watch, lambda: now[0])
    result = await make(pending())
    await write_watched(0, result)
    assert written == ["a/p"]
    assert watch.waiting({}, 500, 500) == {}


async def test_a_fault_of_this_machine_is_no_sign_of_life() -> None:
    watch, now = AttemptWatch(), [0]

    async def write(_partition: int, _result: Result) -> None:
        pass

    async def fails(state: DeliveryState) -> Result:
        return unsent_result(state, "unknown", AttemptReason.LOCAL_ERROR, "no file", now[0])

    make, write_watched = watched(fails, write, watch, lambda: now[0])
    for now[0] in (0, 500):
        await write_watched(0, await make(pending()))
    assert "no file" in str(watch.waiting({}, 500, 500))
