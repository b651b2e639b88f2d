"""What `route` makes of alerts, and when it waits for the configuration."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import msgspec
import pytest
from structlog.testing import capture_logs

from stream_app.domain.alerts.alert import (
    Alert,
    AlertNotice,
    AlertTrigger,
    NoticeAlert,
    NoticeTrigger,
    encode_alert,
)
from stream_app.domain.alerts.threshold_text import render_alert
from stream_app.domain.configuration.alert_options import AlertOptions, Priority
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.configuration.statuses import IntegrationStatus
from stream_app.domain.configuration.triggers import Threshold
from stream_app.domain.delivery.records import decode_delivery
from stream_app.domain.episodes.partition_episodes import EpisodesCut, PartitionEpisodes
from stream_app.domain.errors import KafkaUnreachableError
from stream_app.kafka.cluster.topics import TopicNames
from stream_app.kafka.configuration import catching_up
from stream_app.kafka.configuration.view import Configuration
from stream_app.kafka.state.send import Send
from stream_app.metrics import Metrics
from stream_app.notifier.route import RouteStage
from tests.unit.stages import effects, take
from tests.unit.tables import fake_table

TRIGGER = AlertTrigger(61, "Hits", "hits_exceeded", "r1", (), Threshold(1, 60))
ALERT = Alert("stream-app:1:x", 1111, "Acme", "EU", TRIGGER, 600, 660, (521,), {})


MAX_AGE_SECONDS = 6 * 3600


def integration(number: int, *, client_id: int = 1111, active: bool = True) -> Integration:
    return Integration(number, client_id, "", active, "opsgenie", "", "", ())


class Reader:
    """A reader whose `catch_up` brings what the test says."""

    def __init__(self, *known: Integration) -> None:
        self.configuration = Configuration()
        self.configuration.integrations = {one.id: one for one in known}
        #: What each call of `catch_up` brings; False: the reader is behind.
        self.to_come: list[Integration | Exception | bool] = []
        self.waits = 0

    async def catch_up(self, _seconds: float) -> bool:
        self.waits += 1
        found = self.to_come.pop(0) if self.to_come else True
        if isinstance(found, Exception):
            raise found
        if isinstance(found, Integration):
            self.configuration.integrations[found.id] = found
        return found is not False


class Bench:
    def __init__(self, *known: Integration, console_hosts: dict[str, str] | None = None) -> None:
        self.reader, self.metrics = Reader(*known), Metrics()
        self.now_ms = (ALERT.window_end + MAX_AGE_SECONDS) * 1000
        self.states: dict[int, PartitionEpisodes] = {}
        table = fake_table(
            lambda number: self.states.setdefault(number, PartitionEpisodes()), epoch=0
        )
        self.stage = RouteStage(
            table,
            self.reader,
            TopicNames("p."),
            MAX_AGE_SECONDS,
            self.metrics,
            lambda: self.now_ms,
            console_hosts,
        )
        self.headers: tuple[tuple[str, bytes], ...] = ()
        self._offset = 0

    def add(self, *values: bytes | None, offset: int | None = None) -> None:
        for value in values:
            self._offset = self._offset + 1 if offset is None else offset
            record = SimpleNamespace(
                offset=self._offset, timestamp=1, key=b"1111", value=value, headers=self.headers
            )
            take(self.stage, "p.alerts", 0, [record])

    async def flush(self) -> list[list[Send]]:
        await self.stage.prepare()
        flush = self.stage.cut()
        steps = [list(step) for step in flush.steps()]
        flush.confirm()
        return steps

    def routed(self) -> dict[str, float]:
        return {
            sample.labels["result"]: sample.value
            for metric in self.metrics.routed.collect()
            for sample in metric.samples
            if sample.name.endswith("_total") and sample.value
        }


def alert(*integrations: int) -> bytes:
    return encode_alert(msgspec.structs.replace(ALERT, integration_ids=integrations))


async def test_each_integration_gets_one_delivery_with_the_rendered_text() -> None:
    bench = Bench(integration(521), integration(522))
    bench.add(alert(521, 522, 521))
    sends, (progress,) = await bench.flush()
    assert [(send.topic, send.key) for send in sends] == [
        ("p.deliveries", b"521"),
        ("p.deliveries", b"522"),
    ]
    delivery = decode_delivery(sends[0].value or b"")
    message = render_alert(ALERT)
    assert (delivery.message, delivery.description) == (message.title, message.description)
    assert delivery.details == message.details
    assert (delivery.id, delivery.alert_id) == (f"{ALERT.id}/521", ALERT.id)
    assert (delivery.client_id, delivery.integration_id, delivery.epoch) == (1111, 521, 0)
    assert (progress.topic, progress.key, progress.value) == ("changelog", b"progress", b"[1]")
    assert bench.routed() == {"sent": 2}
    assert bench.reader.waits == 0


async def test_equal_alerts_give_equal_deliveries() -> None:
    first, second = Bench(integration(521)), Bench(integration(521))
    second.add(alert(999))
    for bench in (first, second):
        bench.add(alert(521))
    sends = [(await bench.flush())[0] for bench in (first, second)]
    values = [[s.value for s in found if s.topic == "p.deliveries"] for found in sends]
    assert values[0] == values[1] != []


async def test_an_alert_that_may_not_be_sent_is_skipped_counted_and_logged_once() -> None:
    bench = Bench(integration(522, client_id=2222), integration(523, active=False))
    bench.reader.configuration.deleted_integrations = frozenset({524})
    bench.add(alert(522, 523, 524), alert(522, 523, 524))
    with capture_logs() as logs:
        sends, _ = await bench.flush()
    assert sends == []
    assert bench.routed() == {
        "foreign_integration": 2,
        "inactive": 2,
        "deleted_integration": 2,
    }
    said = [line["why"] for line in logs if line["event"] == "integration_not_served"]
    assert said == ["foreign_integration", "inactive", "deleted_integration"]


async def test_an_integration_that_stays_unknown_leaves_a_dead_letter_for_it_alone() -> None:
    bench = Bench(integration(521))
    bench.add(alert(521, 998, 999))
    (delivery, dead), _ = await bench.flush()
    assert (delivery.topic, delivery.key) == ("p.deliveries", b"521")
    assert (dead.topic, dead.key, dead.value) == ("p.alerts.dlq", b"1111", alert(521, 998, 999))
    headers = dict(dead.headers)
    assert headers["x-error-reason"] == b"unknown_integration"
    assert headers["x-integration-ids"] == b"998,999"
    assert b"998, 999" in headers["x-error-message"]
    assert bench.routed() == {"sent": 1, "unknown_integration": 2}
    reasons = {"topic": "alerts", "reason": "unknown_integration"}
    letters = bench.metrics.registry.get_sample_value("stream_app_dead_letters_total", reasons)
    assert letters == 1


async def test_a_redriven_alert_goes_only_to_integrations_that_it_has_not_reached() -> None:
    bench = Bench(integration(521), integration(998))
    bench.headers = (("x-attempt", b"2"), ("x-integration-ids", b"998,999"))
    bench.add(alert(521, 998, 999))
    (delivery, dead), _ = await bench.flush()
    assert (delivery.topic, delivery.key) == ("p.deliveries", b"998")
    headers = dict(dead.headers)
    assert (headers["x-integration-ids"], headers["x-attempt"]) == (b"999", b"2")
    bench.add(b"{")
    (dead,), _ = await bench.flush()
    assert dict(dead.headers)["x-integration-ids"] == b"998,999", "it is still for these"


async def test_an_integration_that_was_enabled_a_moment_ago_is_waited_for() -> None:
    bench = Bench(integration(521, active=False))
    bench.reader.to_come = [integration(521)]
    bench.add(alert(521))
    sends, _ = await bench.flush()
    assert [send.topic for send in sends] == ["p.deliveries"]


async def test_an_integration_that_its_owner_has_not_turned_off_still_gets_deliveries() -> None:
    bench = Bench(msgspec.structs.replace(integration(521), epoch=7))
    status = IntegrationStatus(521, 1111, True, "failed_share", 7, 18, 27, 12, 0)
    bench.reader.configuration.statuses = {521: status}
    bench.reader.configuration.invalid_integrations = frozenset({522})
    bench.add(alert(521, 522), alert(521, 522))
    with capture_logs() as logs:
        sends, _ = await bench.flush()
    found = [decode_delivery(send.value or b"") for send in sends]
    assert [(one.integration_id, one.epoch) for one in found] == [(521, 7), (522, 0)] * 2
    assert bench.routed() == {"disabled": 2, "invalid": 2}
    said = [line["why"] for line in logs if line["event"] == "integration_not_served"]
    assert said == ["disabled", "invalid"]


async def test_an_integration_applied_a_moment_ago_is_waited_for() -> None:
    bench = Bench()
    bench.reader.to_come = [integration(521)]
    bench.add(alert(521))
    sends, _ = await bench.flush()
    assert len(sends) == 1
    assert bench.reader.waits == 1


async def test_an_unknown_integration_costs_one_catch_up_a_flush_and_not_one_an_alert() -> None:
    bench = Bench()
    bench.add(*[alert(521)] * 100)
    await bench.flush()
    assert bench.reader.waits == 1


async def test_while_kafka_is_away_no_integration_is_called_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catching_up, "RETRY_SECONDS", 0.001)
    bench = Bench()
    bench.reader.to_come = [*[KafkaUnreachableError("away")] * 5, integration(521)]
    bench.add(alert(521))
    sends, _ = await asyncio.wait_for(bench.flush(), 5)
    assert [send.topic for send in sends] == ["p.deliveries"]


async def test_while_the_configuration_is_behind_no_integration_is_called_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catching_up, "RETRY_SECONDS", 0.001)
    bench = Bench()
    bench.reader.to_come = [*[False] * 5, integration(521)]
    bench.add(alert(521))
    with capture_logs() as logs:
        sends, _ = await asyncio.wait_for(bench.flush(), 5)
    assert [send.topic for send in sends] == ["p.deliveries"]
    assert [line["event"] for line in logs] == ["configuration_behind", "configuration_caught_up"]


async def test_an_alert_whose_delivery_is_too_large_is_a_dead_letter() -> None:
    bench = Bench(integration(521))
    trigger = msgspec.structs.replace(ALERT.trigger, name="x" * 500_000)
    large = encode_alert(msgspec.structs.replace(ALERT, trigger=trigger, integration_ids=(521,)))
    bench.add(large, alert(521))
    (delivery, dead), _ = await bench.flush()
    assert (delivery.topic, dead.topic) == ("p.deliveries", "p.alerts.dlq")
    assert dead.value == large
    assert dict(dead.headers)["x-error-reason"] == b"too_large"


async def test_bad_alerts_are_dead_letters_with_their_bytes() -> None:
    bench = Bench(integration(521))
    unknown_text = msgspec.structs.replace(
        ALERT, trigger=msgspec.structs.replace(TRIGGER, template_id="later")
    )
    values = [b"{", b"[]", None, encode_alert(unknown_text)]
    with capture_logs() as logs:
        bench.add(*values, alert(521))
    assert [line["reason"] for line in logs] == ["undecodable", "wrong_type"], "one for each reason"
    sends, (progress,) = await bench.flush()
    dead = [send for send in sends if send.topic == "p.alerts.dlq"]
    assert [(send.value, dict(send.headers)["x-error-reason"]) for send in dead] == [
        (b"{", b"undecodable"),
        (b"[]", b"wrong_type"),
        (None, b"undecodable"),
        (values[3], b"wrong_type"),
    ]
    assert len(sends) == 5
    assert progress.value == b"[5]"


async def test_a_record_read_again_is_skipped_unless_the_state_was_rolled_back() -> None:
    bench = Bench(integration(521))
    bench.add(alert(521))
    await bench.flush()
    bench.add(alert(521), offset=1)
    assert (await bench.flush())[0] == []
    bench.add(alert(521), offset=2)
    bench.stage.reset()
    bench.states[0].roll_back()
    bench.add(alert(521), offset=2)
    assert len((await bench.flush())[0]) == 1


async def test_the_progress_of_the_changelog_never_goes_back() -> None:
    state = PartitionEpisodes()
    for offset in (4, 9, 7):
        state.restore(*state.progress_record(EpisodesCut(offset, [])))
    assert (state.offset, state.progress_of("p.alerts")) == (9, 9)


def test_an_alert_too_old_to_page_anybody_is_a_dead_letter_with_one_notice_an_hour() -> None:
    bench = Bench(integration(521))
    bench.now_ms += 1000
    later = msgspec.structs.replace(ALERT, id="stream-app:1:y", window_end=ALERT.window_end + 60)
    bench.add(encode_alert(ALERT), encode_alert(later), encode_alert(ALERT))
    first, second, third, notice = effects(bench.stage.cut())
    assert decode_delivery(first.value or b"").alert_id == later.id
    for dead in (second, third):
        assert (dead.topic, dead.value) == ("p.alerts.dlq", encode_alert(ALERT))
        assert dict(dead.headers)["x-error-reason"] == b"stale"
    assert (notice.topic, notice.key) == ("p.events.account", b"1111")
    told = msgspec.json.decode(notice.value or b"")
    assert told["id"] == f"alerts_stale/1111/{bench.now_ms // 3_600_000}"
    assert told["details"]["notification_type"] == "alerts_stale"
    bench.add(encode_alert(ALERT))
    assert [send.topic for send in effects(bench.stage.cut())] == ["p.alerts.dlq"]
    bench.now_ms += 3_600_000
    bench.add(encode_alert(ALERT))
    topics = [send.topic for send in effects(bench.stage.cut())]
    assert topics == ["p.alerts.dlq", "p.events.account"]


def test_an_old_alert_that_a_person_sends_again_pages() -> None:
    bench = Bench(integration(521))
    bench.now_ms *= 2
    bench.headers = (("x-attempt", b"2"),)
    bench.add(encode_alert(ALERT))
    (send,) = effects(bench.stage.cut())
    assert send.topic == "p.deliveries"


def test_a_delivery_carries_the_epoch_and_the_options_of_its_integration() -> None:
    options = AlertOptions(Priority.P1, tags=("waf",))
    bench = Bench(msgspec.structs.replace(integration(521), epoch=77, alert=options))
    bench.add(encode_alert(ALERT))
    (send,) = effects(bench.stage.cut())
    delivery = decode_delivery(send.value or b"")
    assert (delivery.epoch, delivery.options) == (77, options)


def test_a_notice_is_delivered_with_its_text_and_is_stale_by_the_time_it_was_appended() -> None:
    bench = Bench(integration(521))
    fields = ("delete_user", "system", "[Wallarm] User was deleted", "as it is", {"user_id": "7"})
    fresh = NoticeAlert("n:1", 1111, "Acme", "EU", AlertNotice(*fields, 660_000), (521,))
    old = msgspec.structs.replace(fresh, id="n:2", notice=AlertNotice(*fields, 659_999))
    bench.add(encode_alert(fresh), encode_alert(old))
    delivery, dead, notice = effects(bench.stage.cut())
    found = decode_delivery(delivery.value or b"")
    assert (found.alert_id, found.message, found.description) == ("n:1", fields[2], "as it is")
    assert found.details["user_id"] == "7"
    assert (dead.topic, dead.value) == ("p.alerts.dlq", encode_alert(old))
    assert notice.topic == "p.events.account"


def test_a_triggered_notice_goes_to_its_integrations_and_foreign_ones_are_counted() -> None:
    foreign = msgspec.structs.replace(integration(522), client_id=2222)
    bench = Bench(integration(521), foreign)
    fields = ("create_user", "", "[Wallarm] New user", "", {"user_id": "7"})
    trigger = NoticeTrigger(61, "New users", "user_created", "r", ())
    alert = NoticeAlert(
        "n:1", 1111, "Acme", "EU", AlertNotice(*fields, 10**9), (521, 522, 999), trigger
    )
    old = msgspec.structs.replace(alert, id="n:2", notice=AlertNotice(*fields, 659_999))
    bench.add(encode_alert(alert), encode_alert(old))
    flush = bench.stage.cut()
    delivery, unknown, dead, _ = effects(flush)
    found = decode_delivery(delivery.value or b"")
    assert (found.id, found.integration_id) == ("n:1/521", 521)
    assert found.details["trigger_name"] == "New users"
    assert (unknown.topic, unknown.value) == ("p.alerts.dlq", encode_alert(alert))
    assert dict(unknown.headers)["x-integration-ids"] == b"999"
    assert (dead.topic, dead.value) == ("p.alerts.dlq", encode_alert(old))
    flush.confirm()
    assert bench.routed() == {"sent": 1, "foreign_integration": 1, "unknown_integration": 1}


def test_links_lead_to_the_host_that_is_set_for_the_cloud() -> None:
    bench = Bench(integration(521), console_hosts={"EU": "console.acme.example"})
    bench.add(encode_alert(ALERT))
    (send,) = effects(bench.stage.cut())
    link = decode_delivery(send.value or b"").details["link"]
    assert link.startswith("https://console.acme.example/attacks?q=")
