"""A dry run: what would have been posted is recorded, and there is nothing to send with."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.delivery.auto_disable import JudgeRules
from stream_app.domain.delivery.partition_deliveries import DeliveryRules, PartitionDeliveries
from stream_app.domain.delivery.records import (
    Delivery,
    Result,
    decode_result,
    encode_delivery,
    encode_result,
)
from stream_app.domain.delivery.state import DeliveryState, DeliveryStatus
from stream_app.domain.delivery.transitions import new_state
from stream_app.kafka.configuration.view import Configuration
from stream_app.metrics import Metrics
from stream_app.notifier.dry_run import DryAttempts
from stream_app.setting_groups import DeliverySettings
from tests.unit.notifier.test_sender import Bench, eventually, pending

NOW_MS = 1_767_225_600_000
EU = "https://api.eu.opsgenie.com/v2/alerts"
DELIVERY = Delivery("stream-app:1:x/521", "stream-app:1:x", 1111, 521, "Title", "Text", {"a": "b"})
RECORD = encode_delivery(DELIVERY)
STATE = DeliveryState(
    DELIVERY.id,
    DeliveryStatus.PENDING,
    1111,
    521,
    1,
    NOW_MS,
    epoch=3,
    record=msgspec.Raw(RECORD),
)
#: Its key is sealed with a secret key that this process does not have.
UNREADABLE = Integration(521, 1111, "On-call", True, "opsgenie", EU, "sealed:x", (), epoch=9)


async def attempt(metrics: Metrics, **fields: Any) -> Result:
    configuration = Configuration()
    configuration.integrations = {521: msgspec.structs.replace(UNREADABLE, **fields)}
    return await DryAttempts(configuration, DeliverySettings(), metrics, lambda: NOW_MS).make(STATE)


async def test_the_result_shows_what_would_have_been_posted_where_without_its_key() -> None:
    metrics = Metrics()
    result = await attempt(metrics)
    assert (result.reason, result.accepted, result.is_sent) == ("dry_run", False, False)
    assert (result.integration_type, result.epoch, result.attempt) == ("opsgenie", 9, 1)
    assert result.message == f"dry run: not posted to {EU}: Title"
    assert isinstance(result.body, str)
    assert json.loads(result.body) == {
        "message": "Title",
        "description": "Text",
        "alias": "stream-app:1:x",
        "details": {"a": "b"},
        "source": "stream-app",
    }
    assert decode_result(encode_result(result)) == result
    labels = {"integration_type": "unknown", "reason": "dry_run"}
    value = metrics.registry.get_sample_value("stream_app_delivery_attempts_total", labels)
    assert value == 1


async def test_the_result_says_when_no_request_could_have_been_made() -> None:
    elsewhere = await attempt(Metrics(), api="https://api.example.com/v2/alerts")
    off = await attempt(Metrics(), active=False)
    assert {elsewhere.reason, off.reason} == {"dry_run"}
    assert "no request could have been made (endpoint_refused)" in elsewhere.message
    assert "no request could have been made (integration_unavailable)" in off.message


async def test_a_dry_run_ends_a_delivery_and_tells_the_judge_nothing() -> None:
    topics = ("deliveries", "delivery-results")
    rules = DeliveryRules(judge=JudgeRules("any-failure", 1))
    state = PartitionDeliveries(topics, rules)
    state.add_delivery(new_state(DELIVERY, RECORD, 0, NOW_MS))
    assert state.add_result(await attempt(Metrics()), 0, NOW_MS)
    cut = state.cut()
    ((_, after),) = cut.changed
    assert after is not None
    assert (after.status, after.reason) == (DeliveryStatus.DRY_RUN, "")
    assert (cut.judged, cut.verdicts, state.pending) == ([], [], {})


def test_results_of_live_attempts_have_no_body() -> None:
    result = Result("d", 1, 2, "opsgenie", 1, True, "accepted", "ok", NOW_MS, 0.1)
    assert b"body" not in encode_result(result)


class DryBench(Bench):
    """A sender, with a clock that stands, whose attempts are those of a dry run."""

    async def _make(self, state: DeliveryState) -> Result:
        result = await attempt(Metrics())
        self.made.append(state)
        return msgspec.structs.replace(result, delivery_id=state.id)


async def test_a_recorded_delivery_does_not_count_as_failing() -> None:
    bench = DryBench()
    await bench.sender.start()
    bench.sender.clear()
    for number in range(40):
        bench.sender.schedule(0, pending(number))
    # A failing integration would get five requests a second, by the test's clock that stands.
    await eventually(lambda: len(bench.written) == 40)
    await bench.sender.stop()
