"""The notifier on a real broker and a real sandbox: from an alert record to an alert."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from stream_app.domain.alerts.alert import Alert, encode_alert, fired_alert
from stream_app.domain.alerts.threshold_text import render_alert
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.statuses import decode_status
from stream_app.domain.delivery.records import (
    Checked,
    Result,
    decode_result,
    delivery_of,
    encode_delivery,
)
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.kafka.configuration.reader import ConfigurationReader
from stream_app.opsgenie.endpoints import JSM_PATH
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.opsgenie.sandbox.service import Exchange
from stream_app.settings import Settings
from tests.integration.harness import (
    PATIENCE_SECONDS,
    PROGRAMS,
    WorkerProcess,
    drained,
    put,
    put_objects,
    read_all,
)
from tests.unit.domain.objects import parse_trigger

KEY = "00000000-1111-2222-3333-444444444444"
#: All three cycles take 3 s of waits.
SCALE = 0.001
KILLED = str(PROGRAMS / "killed_notifier.py")
SLOW = str(PROGRAMS / "slow_configuration.py")
SOURCES = ["alerts", "deliveries", "delivery-results"]


def alert(window_start: int = 1_767_225_600, integrations: tuple[int, ...] = (521,)) -> Alert:
    trigger = parse_trigger(
        {
            "id": 61,
            "client_id": 1111,
            "name": "Notification about incidents",
            "enabled": True,
            "template_id": "incidents_exceeded",
            "filters": [{"id": "target", "operator": "eq", "values": ["server", "database"]}],
            "threshold": {"count": 1, "period": 1, "operator": "gt"},
            "actions": [
                {"id": "send_notification", "params": {"integration_ids": list(integrations)}}
            ],
        },
        allowed_periods=(1,),
    )
    return fired_alert(Client(1111, "TestCompany", "EU", {}), trigger, window_start)


def integration(number: int, url: str, **fields: object) -> dict[str, Any]:
    return {
        "id": number,
        "client_id": 1111,
        "name": f"On-call {number}",
        "active": True,
        "type": "opsgenie",
        "target": {"token": "env:STREAM_APP_KEY_1111_ACME", "api": url},
        "events": [],
        **fields,
    }


async def eventually(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not claim():  # noqa: ASYNC110 - the claim is about other processes
            await asyncio.sleep(0.02)


async def finished(worker: WorkerProcess, outcome: str, number: int) -> None:
    """Wait until a worker has finished this many deliveries."""
    labels = f'integration_type="opsgenie",outcome="{outcome}"'
    async with asyncio.timeout(60):
        while (await worker.metrics())[f"stream_app_deliveries_total{{{labels}}}"] < number:  # noqa: ASYNC110 - another
            await asyncio.sleep(0.1)


class Bench:
    """An installation with a sandbox that can be told how to answer."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.settings = settings
        self.bootstrap = settings.kafka.bootstrap_servers or ""
        self.sandbox = SandboxOpsgenie()
        self.url = ""
        self._log = log
        self._workers: list[WorkerProcess] = []

    async def start(self) -> None:
        await create_topics(self.settings)
        self.url = await self.sandbox.start()
        client = {"client_id": 1111, "name": "TestCompany", "cloud": "EU", "applications": {}}
        await put_objects(self.settings, "config.clients", [client])
        await put_objects(self.settings, "config.integrations", [integration(521, self.url)])

    async def stop(self) -> None:
        for worker in self._workers:
            worker.__exit__()
        await self.sandbox.stop()

    def worker(self, *killed_at: str, script: str = KILLED, **env: str) -> WorkerProcess:
        worker = WorkerProcess(
            "notifier",
            self.settings,
            self._log.with_suffix(f".{len(self._workers)}"),
            command=(script, *killed_at) if killed_at or script != KILLED else ("-m", "stream_app"),
            **{
                "STREAM_APP_KEY_1111_ACME": KEY,
                "STREAM_APP_DELIVERY__SANDBOX_URL": self.url,
                "STREAM_APP_DELIVERY__RETRY_SCALE": str(SCALE),
                **env,
            },
        )
        self._workers.append(worker)
        return worker

    async def put(self, topic: str, *rows: tuple[bytes | None, bytes | None]) -> None:
        await put(self.bootstrap, f"{self.settings.topic_prefix}{topic}", rows)

    async def fire(self, *alerts: Alert) -> None:
        await self.put("alerts", *((b"1111", encode_alert(one)) for one in alerts))

    async def records(self, topic: str) -> list[Any]:
        name = f"{self.settings.topic_prefix}{topic}"
        found = await read_all(self.bootstrap, name)
        return [record for records in found.values() for record in records]

    async def results(self) -> list[Result]:
        found = [decode_result(record.value) for record in await self.records("delivery-results")]
        attempts = [result for result in found if isinstance(result, Result)]
        return sorted(attempts, key=lambda result: result.finished_at_ms)

    async def drained(self) -> None:
        await drained(self.settings, "notifier", SOURCES)

    def fail(self, status: int, requests: int | None = None) -> None:
        """Let the next requests fail with a status; then the sandbox answers as ever."""
        self.sandbox.fail(Fault(kind=FaultKind.STATUS, status=status, requests=requests))


@pytest.fixture
async def bench(settings: Settings, tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(settings, tmp_path / "worker")
    await bench.start()
    yield bench
    await bench.stop()


@pytest.mark.parametrize(("path", "kind"), [("", "opsgenie"), (JSM_PATH, "jsm")])
async def test_an_alert_becomes_one_alert_with_the_text_of_the_page(
    bench: Bench, path: str, kind: str
) -> None:
    await put_objects(bench.settings, "config.integrations", [integration(521, bench.url + path)])
    worker = await bench.worker().ready()
    fired = alert()
    written = time.monotonic()
    await bench.fire(fired)
    await eventually(lambda: bool(bench.sandbox.alerts))
    assert time.monotonic() - written < 5
    (shown,) = bench.sandbox.alerts
    assert shown.alias == fired.id
    assert shown.message == "[Wallarm] Trigger: The number of incidents exceeded the threshold"
    assert shown.description == (
        "Notification type: incidents_exceeded\n\n"
        "The number of detected incidents exceeded 1 in 1 second.\n"
        'This notification was triggered by the "Notification about incidents" trigger.\n\n'
        "Additional trigger\u2019s clauses:\nTarget: server, database.\n\n"
        "View events:\n"
        "https://my.wallarm.com/attacks?q=incidents&time_from=1767225600&time_to=1767225601\n\n"
        "Client: TestCompany\nCloud: EU"
    )
    assert shown.details["notification_type"] == "incidents_exceeded"
    await bench.drained()
    (result,) = await bench.results()
    assert (result.attempt, result.accepted, result.status) == (1, True, 202)
    assert result.request_id == bench.sandbox.requests[0].request_id
    metrics = await worker.metrics()
    assert metrics[f'stream_app_deliveries_total{{integration_type="{kind}",outcome="sent"}}'] == 1
    name = f'stream_app_delivery_attempts_total{{integration_type="{kind}",reason="accepted"}}'
    assert metrics[name] == 1
    assert bench.sandbox.requests[0].path == f"{path}/v2/alerts"
    assert metrics['stream_app_routed_alerts_total{result="sent"}'] == 1
    assert metrics["stream_app_pending_deliveries"] == 0
    assert worker.stop() == 0
    assert len(bench.sandbox.requests) == 1
    assert "delivery_sent" in worker.text
    assert KEY not in worker.text


async def test_an_accepted_request_that_fails_is_shown_and_not_sent_again(bench: Bench) -> None:
    bench.sandbox.fail(Fault(kind=FaultKind.DISCARD))
    env = {"STREAM_APP_DELIVERY__STATUS_CHECK_SHARE": "0.01"}  # the first one of the hour
    worker = await bench.worker(STREAM_APP_DELIVERY__RETRY_SCALE="0.1", **env).ready()
    fired = alert()
    await bench.fire(fired)
    await eventually(lambda: "request_not_successful" in worker.text)
    await asyncio.sleep(0.5)
    await bench.drained()
    posted, *asked = bench.sandbox.requests
    assert (posted.method, posted.status) == ("POST", 202)
    assert {request.method for request in asked} == {"GET"}
    found = [decode_result(record.value) for record in await bench.records("delivery-results")]
    (checked,) = [record for record in found if isinstance(record, Checked)]
    assert checked.outcome == "failed"
    assert checked.status == "Discarded by the rules of the integration"
    assert (checked.alert_id, checked.request_id) == (fired.id, posted.request_id)
    name = 'stream_app_request_status_total{integration_type="opsgenie",outcome="failed"}'
    metrics = await worker.metrics()
    assert metrics[name] == 1
    assert metrics['stream_app_deliveries_total{integration_type="opsgenie",outcome="sent"}'] == 1
    (said,) = [line for line in worker.text.splitlines() if "request_not_successful" in line]
    line = json.loads(said)
    assert (line["level"], line["alert_id"]) == ("warning", fired.id)
    assert (line["integration_id"], line["request_id"]) == (521, posted.request_id)
    assert await bench.records("deliveries.dlq") == []


async def test_a_failed_attempt_is_resent_after_the_documented_waits(bench: Bench) -> None:
    await bench.worker().ready()
    bench.fail(500, 2)
    await bench.fire(alert())
    await eventually(lambda: len(bench.sandbox.requests) == 3)
    await bench.drained()
    assert [request.status for request in bench.sandbox.requests] == [500, 500, 202]
    results = await bench.results()
    assert [(r.attempt, r.accepted, r.status) for r in results] == [
        (1, False, 500),
        (2, False, 500),
        (3, True, 202),
    ]
    starts = [request.received_at_ms for request in bench.sandbox.requests]
    for wait, finished, next_start in zip((1, 3), results, starts[1:], strict=False):
        waited_ms = next_start - finished.finished_at_ms
        assert wait * SCALE * 1000 <= waited_ms < wait * SCALE * 1000 + 1500
    assert len(bench.sandbox.alerts) == 1


@pytest.mark.timeout(600)
async def test_the_first_two_cycles_in_real_time(bench: Bench) -> None:
    await bench.worker(STREAM_APP_DELIVERY__RETRY_SCALE="1").ready()
    waits = [1, 3, 5, 10, 10, 0, 1, 3, 5, 30]
    bench.fail(500, len(waits))
    await bench.fire(alert())
    await eventually(lambda: len(bench.sandbox.requests) == len(waits) + 1)
    await bench.drained()
    results, requests = await bench.results(), bench.sandbox.requests
    assert [result.attempt for result in results] == list(range(1, 12))
    for wait, failed, resent in zip(waits, results, requests[1:], strict=False):
        waited_ms = resent.received_at_ms - failed.finished_at_ms
        assert wait * 1000 <= waited_ms < wait * 1000 + 1000
    assert len(bench.sandbox.alerts) == 1


async def test_17_failures_end_in_the_dead_letters_with_the_records_own_bytes(
    bench: Bench,
) -> None:
    worker = await bench.worker().ready()
    before = [1_767_225_600 + number for number in range(12)]
    await bench.fire(*map(alert, before))
    await eventually(lambda: len(bench.sandbox.alerts) == 12)
    bench.fail(503, 17)
    await bench.fire(alert(1_767_225_700))
    await eventually(lambda: len(bench.sandbox.requests) == 12 + 17)
    await bench.drained()
    (dead,) = await bench.records("deliveries.dlq")
    delivery = next(r for r in await bench.records("deliveries") if r.value == dead.value)
    assert dead.key == delivery.key
    headers = {name: value.decode() for name, value in dead.headers}
    assert headers["x-error-reason"] == "exhausted"
    assert headers["x-original-topic"] == f"{bench.settings.topic_prefix}deliveries"
    assert headers["x-original-partition"] == str(delivery.partition)
    assert headers["x-original-offset"] == str(delivery.offset)
    assert headers["x-error-message"].startswith("17 attempts failed, the last one: HTTP 503")
    attempts = [result.attempt for result in await bench.results()]
    assert attempts == [1] * 12 + list(range(1, 18))
    assert len(bench.sandbox.alerts) == 12
    metrics = await worker.metrics()
    name = 'stream_app_deliveries_total{integration_type="opsgenie",outcome="given_up"}'
    assert metrics[name] == 1
    assert metrics['stream_app_dead_letters_total{reason="exhausted",topic="deliveries"}'] == 1
    # 17 of 29 requests have failed, 58.6 %: the next delivery is tried as ever.
    await bench.fire(alert(1_767_225_800))
    await eventually(lambda: len(bench.sandbox.alerts) == 13)


async def test_a_failing_integration_is_disabled_and_announced_once_until_it_is_enabled(
    bench: Bench,
) -> None:
    worker = await bench.worker().ready()
    bench.fail(500)
    await bench.fire(*[alert(1_767_225_600 + number) for number in range(3)])
    await eventually(lambda: "integration_disabled" in worker.text)
    await bench.drained()
    (record,) = await bench.records("status.integrations")
    status = decode_status(record.value)
    assert (record.key, status.disabled, status.failed) == (b"521", True, status.total)
    assert 17 <= status.total <= 51
    (notice,) = await bench.records("events.account")
    told = json.loads(notice.value)
    assert (notice.key, told["client_id"]) == (b"1111", 1111)
    assert told["details"]["notification_type"] == "integration_broken"
    assert told["details"]["integration"] == {"id": 521, "type": "opsgenie", "name": "On-call 521"}
    dead = [dict(r.headers)["x-error-reason"] for r in await bench.records("deliveries.dlq")]
    assert len(dead) == 3
    assert set(dead) <= {b"exhausted", b"integration_disabled"}
    assert worker.stop() == 0
    worker = await bench.worker().ready()
    await bench.fire(alert(1_767_225_700))
    await bench.drained()
    await eventually(lambda: "deliveries_cancelled" in worker.text)
    await bench.drained()
    metrics = await worker.metrics()
    assert metrics['stream_app_routed_alerts_total{result="disabled"}'] == 1
    assert metrics["stream_app_integrations_disabled"] == 1
    dead = [dict(r.headers)["x-error-reason"] for r in await bench.records("deliveries.dlq")]
    assert len(dead) == 4, "it was not its owner who turned it off, so its alerts are kept"
    assert dead.count(b"integration_disabled") >= 1
    assert len(await bench.records("status.integrations")) == 1, "not again by the next worker"
    # Its owner turns it off: nobody is to mend it, so the alert rule must end.
    off = integration(521, bench.url, active=False)
    await put_objects(bench.settings, "config.integrations", [off])
    async with asyncio.timeout(60):
        while (await worker.metrics())["stream_app_integrations_disabled"]:  # noqa: ASYNC110 - another
            await asyncio.sleep(0.1)
    # What `integrations enable` writes; and a record of a judge that had not heard of it.
    bench.sandbox.heal()
    enabled = integration(521, bench.url, epoch=status.since_ms + 1, enabled_at=status.since_ms + 1)
    await put_objects(bench.settings, "config.integrations", [enabled])
    await bench.put("status.integrations", (b"521", record.value))
    await bench.fire(alert(1_767_225_800))
    await eventually(lambda: len(bench.sandbox.alerts) == 1)
    assert (await worker.metrics())["stream_app_integrations_disabled"] == 0


async def test_turning_an_integration_off_cancels_what_waits_for_it(bench: Bench) -> None:
    worker = await bench.worker(STREAM_APP_DELIVERY__RETRY_SCALE="1").ready()
    bench.fail(500, 3)
    await bench.fire(alert())
    await eventually(lambda: len(bench.sandbox.requests) == 3)  # now the delivery waits for 5 s
    await put_objects(
        bench.settings, "config.integrations", [integration(521, bench.url, active=False)]
    )
    await eventually(lambda: "deliveries_cancelled" in worker.text)
    await bench.drained()
    (dead,) = await bench.records("deliveries.dlq")
    assert dict(dead.headers)["x-error-reason"] == b"integration_disabled"
    await asyncio.sleep(5)
    assert len(bench.sandbox.requests) == 3
    assert (await worker.metrics())["stream_app_pending_deliveries"] == 0


async def test_integrations_that_may_not_get_an_alert_are_skipped(bench: Bench) -> None:
    rows = [
        integration(522, bench.url, client_id=2222),
        integration(523, bench.url, active=False),
    ]
    await put_objects(bench.settings, "config.integrations", rows)
    worker = await bench.worker().ready()
    await bench.fire(alert(integrations=(521, 522, 523, 524)))
    await bench.drained()
    await eventually(lambda: bool(bench.sandbox.requests))
    assert [record.key for record in await bench.records("deliveries")] == [b"521"]
    metrics = await worker.metrics()
    routed = {
        result: metrics[f'stream_app_routed_alerts_total{{result="{result}"}}']
        for result in ("sent", "foreign_integration", "inactive", "unknown_integration")
    }
    assert routed == dict.fromkeys(routed, 1)


async def test_an_integration_applied_just_before_the_alert_gets_it(bench: Bench) -> None:
    await bench.worker().ready()
    for number in range(600, 620):
        row = integration(number, bench.url)
        await put_objects(bench.settings, "config.integrations", [row])
        await bench.fire(alert(integrations=(number,)))
    await eventually(lambda: len(bench.sandbox.requests) == 20)


async def test_an_integration_is_waited_for_however_slowly_the_configuration_is_read(
    bench: Bench,
) -> None:
    worker = await bench.worker(script=SLOW).ready()
    await put_objects(bench.settings, "config.integrations", [integration(600, bench.url)])
    await bench.fire(alert(integrations=(600,)))
    await eventually(lambda: len(bench.sandbox.requests) == 1)
    assert await bench.records("alerts.dlq") == []
    assert "unknown_integration" not in worker.text


async def test_an_unknown_integration_gets_its_alert_from_the_dead_letters_and_nobody_twice(
    bench: Bench,
) -> None:
    await put_objects(bench.settings, "config.integrations", [integration(522, bench.url)])
    await bench.put("config.integrations", (b"522", None))
    await bench.worker().ready()
    await bench.fire(alert(integrations=(521, 522, 777)))
    await eventually(lambda: len(bench.sandbox.requests) == 1)
    await bench.drained()
    (letter,) = await bench.records("alerts.dlq")
    assert dict(letter.headers)["x-error-reason"] == b"unknown_integration"
    assert dict(letter.headers)["x-integration-ids"] == b"777", "a deleted one leaves none"
    skipped = WorkerProcess.command(bench.settings, "dlq", "redrive", "--integration", "777")
    assert "integration 777 is not configured: it would reach nobody" in skipped.stdout
    await put_objects(bench.settings, "config.integrations", [integration(777, bench.url)])
    redriven = WorkerProcess.command(bench.settings, "dlq", "redrive", "--integration", "777")
    assert "1 redriven, 0 skipped" in redriven.stderr
    await eventually(lambda: len(bench.sandbox.requests) == 2)
    await bench.drained()
    routed = [
        json.loads(record.value)["integration_id"] for record in await bench.records("deliveries")
    ]
    assert routed == [521, 777]
    assert len(await bench.records("alerts.dlq")) == 2, "the dead letter and its mark"


async def test_catching_up_reads_all_configuration_that_was_written_before(bench: Bench) -> None:
    reader = ConfigurationReader(bench.settings)
    await reader.start()
    try:
        for number in range(600, 620):
            row = integration(number, bench.url)
            await put_objects(bench.settings, "config.integrations", [row])
            assert await reader.catch_up(5)
            assert number in reader.configuration.integrations
        assert await reader.catch_up(5), "it returns at once if there is nothing new"
    finally:
        await reader.stop()


async def test_a_bad_alert_record_is_a_dead_letter_and_the_next_one_is_sent(bench: Bench) -> None:
    await bench.worker().ready()
    await bench.put("alerts", (b"1111", b"{"), (b"1111", b"[]"), (b"1111", None))
    await bench.put("deliveries", (b"521", b"{"), (b"521", b'{"id":""}'))
    await bench.put("delivery-results", (b"521", b"{"), (b"521", b'{"type":"later"}'))
    await bench.fire(alert())
    await eventually(lambda: len(bench.sandbox.alerts) == 1)
    await bench.drained()
    reasons: list[tuple[bytes | None, bytes]] = [
        (record.value, dict(record.headers)["x-error-reason"])
        for topic in ("alerts.dlq", "deliveries.dlq")
        for record in await bench.records(topic)
    ]
    assert Counter(reasons) == Counter(
        [
            (b"{", b"undecodable"),
            (b"[]", b"wrong_type"),
            (None, b"undecodable"),
            (b"{", b"undecodable"),
            (b'{"id":""}', b"wrong_type"),
        ]
    )


async def test_duplicates_of_a_delivery_are_posted_once(bench: Bench) -> None:
    fired = alert()
    value = encode_delivery(delivery_of(fired, render_alert(fired), 521))
    worker = await bench.worker().ready()
    await bench.put("deliveries", *[(b"521", value)] * 3)
    await eventually(lambda: bool(bench.sandbox.requests))
    await bench.drained()
    await bench.fire(fired, fired)
    await bench.drained()
    assert worker.stop() == 0
    await bench.worker().ready()
    await bench.put("deliveries", (b"521", value))
    await bench.drained()
    await asyncio.sleep(0.5)
    assert len(bench.sandbox.requests) == 1
    assert len(await bench.records("delivery-results")) == 1


async def test_a_worker_killed_before_the_request_loses_nothing(bench: Bench) -> None:
    killed = bench.worker("request")
    await killed.ready()
    await bench.fire(alert())
    assert await asyncio.to_thread(killed.process.wait, 60) == -signal.SIGKILL
    assert bench.sandbox.requests == []
    await finished(await bench.worker().ready(), "sent", 1)
    assert len(bench.sandbox.alerts) == len(bench.sandbox.requests) == 1


async def test_a_worker_killed_before_it_wrote_a_result_posts_once_more_the_same(
    bench: Bench,
) -> None:
    bodies: list[bytes] = []

    async def keep(exchange: Exchange) -> None:
        bodies.append(await exchange.request.read())

    bench.sandbox._api.steps.append(keep)
    killed = bench.worker("answer")
    await killed.ready()
    await bench.fire(alert())
    assert await asyncio.to_thread(killed.process.wait, 60) == -signal.SIGKILL
    assert len(bodies) == 1
    await finished(await bench.worker().ready(), "sent", 1)
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]
    (shown,) = bench.sandbox.alerts
    assert shown.requests == 2


@pytest.mark.timeout(600)
async def test_a_worker_killed_in_the_longest_wait_leaves_the_due_time_as_it_was(
    bench: Bench,
) -> None:
    # The longest wait takes 21.6 s: a busy machine needs many of them to start a worker.
    scale = 0.012
    wait_ms = 1_800_000 * scale
    worker = bench.worker(STREAM_APP_DELIVERY__RETRY_SCALE=str(scale))
    await worker.ready()
    bench.fail(500, 16)
    await bench.fire(alert())
    await eventually(lambda: len(bench.sandbox.requests) == 16)
    await bench.drained()
    worker.kill()
    assert len(bench.sandbox.requests) == 16, "it was killed in the wait"
    again_ms = time.time() * 1000
    bench.worker(STREAM_APP_DELIVERY__RETRY_SCALE=str(scale))
    await eventually(lambda: len(bench.sandbox.alerts) == 1)
    failed_ms = (await bench.results())[15].finished_at_ms
    # A wait that began anew would end after the second bound.
    assert failed_ms + wait_ms <= bench.sandbox.requests[16].received_at_ms < again_ms + wait_ms


async def test_a_worker_killed_before_it_read_a_result_does_not_post_again(bench: Bench) -> None:
    killed = bench.worker("result")
    await killed.ready()
    await bench.fire(alert())
    assert await asyncio.to_thread(killed.process.wait, 60) == -signal.SIGKILL
    assert len(bench.sandbox.requests) == 1
    await finished(await bench.worker().ready(), "sent", 1)
    await asyncio.sleep(1)
    assert len(bench.sandbox.requests) == 1
    assert len(await bench.records("delivery-results")) == 1


async def test_a_restart_reads_no_topic_from_its_beginning_whatever_the_group_has_committed(
    bench: Bench,
) -> None:
    worker = await bench.worker().ready()
    await bench.fire(*(alert(1_767_225_600 + number) for number in range(3)))
    await finished(worker, "sent", 3)
    await bench.drained()
    assert worker.stop() == 0
    await commit_beginnings(bench.settings)
    again = await bench.worker().ready()
    await bench.fire(alert())
    await bench.fire(alert(1_767_229_200))
    await finished(again, "sent", 1)
    await bench.drained()
    found = await again.metrics()
    consumed = [found[f'stream_app_consumed_records_total{{topic="{one}"}}'] for one in SOURCES]
    assert consumed == [2, 2, 1], "a known alert makes a known delivery"
    assert len(bench.sandbox.requests) == 4


async def commit_beginnings(settings: Settings) -> None:
    """Set the notifiers' group back to the beginning; no notifier runs."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap_servers or "",
        group_id=f"{settings.topic_prefix}stream-app-notifier",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        places = [
            TopicPartition(f"{settings.topic_prefix}{topic}", number)
            for topic in SOURCES
            for number in range(settings.partitions)
        ]
        consumer.assign(places)
        await consumer.commit(dict.fromkeys(places, 0))
    finally:
        await consumer.stop()


async def test_a_delivery_whose_integration_is_gone_ends_in_the_dead_letters(
    bench: Bench,
) -> None:
    fired = alert()
    worker = await bench.worker().ready()
    value = encode_delivery(delivery_of(fired, render_alert(fired), 999))
    await bench.put("deliveries", (b"999", value))
    await eventually(lambda: "deliveries_cancelled" in worker.text)
    await bench.drained()
    (dead,) = await bench.records("deliveries.dlq")
    assert dead.value == value
    assert dict(dead.headers)["x-error-reason"] == b"integration_deleted"
    assert {result.reason for result in await bench.results()} <= {"integration_unavailable"}
    assert worker.text.count("integration_unusable") <= 1
    assert bench.sandbox.requests == []


async def test_two_workers_share_the_deliveries_and_post_each_once(bench: Bench) -> None:
    rows = [integration(number, bench.url) for number in range(700, 720)]
    await put_objects(bench.settings, "config.integrations", rows)
    first = await bench.worker().ready()
    for start in range(100):
        await bench.fire(alert(1_767_225_600 + start, tuple(range(700, 720))))
        if start == 30:
            await bench.drained()
            second = bench.worker()
        if start == 60:
            await second.ready()
    await eventually(lambda: len(bench.sandbox.requests) >= 2000)
    await bench.drained()
    results = await bench.results()
    # A rebalance may repeat what was in flight then, and nothing else; and what one worker has
    # written, and another one reads from the state, none of the two counts: on a slow machine that
    # may be any of the 30 alerts that came while the second one joined.
    assert len({result.delivery_id for result in results}) == 2000
    assert len(bench.sandbox.requests) <= 2000 + 50
    counted = 0.0
    for worker in (first, second):
        name = 'stream_app_deliveries_total{integration_type="opsgenie",outcome="sent"}'
        sent = (await worker.metrics())[name]
        assert sent > 0
        counted += sent
    assert counted >= 2000 - 30 * 20


async def test_after_a_restart_a_new_integration_does_not_wait_behind_those_that_hang(
    bench: Bench,
) -> None:
    """More integrations hang than there are places for integrations that have not answered yet."""
    hanging, key = tuple(range(600, 660)), "00000000-1111-2222-3333-555555555555"
    target = {"token": "env:STREAM_APP_KEY_1111_HANG", "api": bench.url}
    rows = [integration(number, bench.url, target=target) for number in hanging]
    await put_objects(bench.settings, "config.integrations", rows)
    bench.sandbox.fail(Fault(kind=FaultKind.HANG, key=key))
    patient = {
        "STREAM_APP_KEY_1111_HANG": key,
        "STREAM_APP_DELIVERY__REQUEST_TIMEOUT_SECONDS": "40",
    }
    hasty = patient | {"STREAM_APP_DELIVERY__REQUEST_TIMEOUT_SECONDS": "0.5"}
    first = await bench.worker(**hasty).ready()
    await bench.fire(alert(integrations=hanging))
    await eventually(lambda: len(bench.sandbox.requests) >= 2 * len(hanging))
    assert first.stop() == 0
    await bench.worker(**patient).ready()
    await bench.fire(alert(1_767_225_700))
    await eventually(lambda: bool(bench.sandbox.alerts))
    assert bench.sandbox.alerts[0].alias == alert(1_767_225_700).id


async def test_a_worker_told_to_stop_ends_its_request_and_writes_the_result(bench: Bench) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def wait(_: Exchange) -> None:
        asked.set()
        await answered.wait()

    bench.sandbox._api.steps.append(wait)
    # By default it cuts off a request after 5 s, and a busy machine may take these.
    patient = {"SHUTDOWN_TIMEOUT_SECONDS": "60", "DELIVERY__REQUEST_TIMEOUT_SECONDS": "60"}
    worker = bench.worker(**{f"STREAM_APP_{name}": value for name, value in patient.items()})
    await worker.ready()
    await bench.fire(alert())
    await asyncio.wait_for(asked.wait(), 20)
    ending = asyncio.create_task(asyncio.to_thread(worker.stop, 60))
    await eventually(lambda: "worker_stopping" in worker.text)
    await asyncio.sleep(1)
    assert not ending.done(), "it waits for the answer"
    assert await bench.results() == []
    answered.set()
    assert await ending == 0
    assert "worker_stop_forced" not in worker.text
    (result,) = await bench.results()
    assert result.accepted
    await bench.worker().ready()
    await bench.drained()
    await asyncio.sleep(1)
    assert len(bench.sandbox.requests) == 1


async def test_different_partition_counts_are_refused_by_name_and_number(bench: Bench) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bench.bootstrap)
    await admin.start()
    try:
        name = f"{bench.settings.topic_prefix}delivery-results"
        await admin.create_partitions({name: NewPartitions(6)})
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len((await admin.describe_topics([name]))[0]["partitions"]) != 6:  # noqa: ASYNC110 - of the broker
                await asyncio.sleep(0.1)
    finally:
        await admin.close()
    worker = bench.worker()
    assert await asyncio.to_thread(worker.process.wait, 60) == 3
    assert "deliveries has 2 partitions" in worker.text
    assert "delivery-results has 6" in worker.text
    assert "stream-app topics create" in worker.text


def test_alert_records_of_the_tests_are_what_the_detector_writes() -> None:
    assert json.loads(encode_alert(alert()))["integration_ids"] == [521]
