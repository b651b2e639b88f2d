"""What a scrape of both workers shows while they are at work."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from pathlib import Path

from stream_app.domain.events.model import EventKind
from stream_app.metrics import Metrics
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings
from tests.integration.harness import WorkerProcess, drained
from tests.integration.watching.watched import Installation, trigger
from tests.tools import tool

KEY = "00000000-1111-2222-3333-444444444444"
SOURCES = {
    "detector": ["events.attacks", "events.hits", "events.incidents", "events.account", "counts"],
    "notifier": ["alerts", "deliveries", "delivery-results"],
}


def check(scrape: str) -> None:
    """Check a scrape with promtool, the program that Prometheus has for this."""
    done = subprocess.run(
        [tool("promtool"), "check", "metrics"],
        input=scrape,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_a_live_scrape_under_load_is_well_formed_complete_and_right(
    settings: Settings, tmp_path: Path
) -> None:
    place = Installation(
        settings,
        tmp_path,
        STREAM_APP_DELIVERY__STATUS_CHECK_SHARE="1",
        STREAM_APP_DETECTOR__QUIET_EVENTS="attacks, incidents",
    )
    try:
        await place.start({521: KEY}, trigger(61, "incidents_exceeded", [521]))
        before = {role: await worker.metrics() for role, worker in place.workers.items()}
        now = int(time.time())
        events = [
            json.dumps({"client_id": 1111, "first_time": now - n % 10}).encode()
            for n in range(20_000)
        ]
        sending = asyncio.create_task(place.put("events.incidents", *events, b"poison"))
        for worker in (*place.workers.values(), *place.workers.values()):
            status, scrape = await worker.page("/metrics")
            assert status == 200
            check(scrape)
        await sending
        for role, topics in SOURCES.items():
            await drained(settings, role, topics)
        await asyncio.sleep(1)  # the lag is looked at twice a second
        after = {role: await worker.metrics() for role, worker in place.workers.items()}
    finally:
        await place.stop()
    for role, found in after.items():
        later = {row.name for row in Metrics().rows if not row.is_known}
        new = {name.partition("{")[0] for name in found.keys() - before[role].keys()}
        assert new <= later, "a label value came up later"
        assert before[role].keys() <= found.keys()
        assert all(name.startswith(("stream_app_", "process_")) for name in found)
        for topic in SOURCES[role]:
            assert found[f'stream_app_consumer_lag_records{{topic="{topic}"}}'] == 0
    detector, notifier = after["detector"], after["notifier"]
    assert detector['stream_app_consumed_records_total{topic="events.incidents"}'] == 20_001
    assert detector['stream_app_events_total{kind="incidents",result="counted"}'] == 20_000
    expected = {k: detector[f'stream_app_events_expected{{kind="{k}"}}'] for k in EventKind}
    assert expected == {"attacks": 0, "hits": 1, "incidents": 0}
    assert detector['stream_app_event_to_alert_seconds_count{kind="incidents"}'] == 10
    assert 0 < detector['stream_app_event_to_alert_seconds_sum{kind="incidents"}'] < 300
    flushes = detector['stream_app_flushes_total{kind="incidents"}']
    assert detector['stream_app_event_lag_seconds_count{kind="incidents"}'] == flushes < 2000
    accepted = 'stream_app_alert_to_accepted_seconds_count{integration_type="opsgenie"}'
    assert notifier[accepted] == 10
    assert notifier["stream_app_triggers_active"] == 1


async def test_a_worker_that_waits_for_kafka_shows_no_figure_that_it_does_not_know(
    tmp_path: Path,
) -> None:
    nobody = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    for role in SOURCES:
        with WorkerProcess(role, Settings(kafka=nobody), tmp_path / role) as worker:
            async with asyncio.timeout(60):
                while worker.url is None:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.1)
            found = {name.partition("{")[0] for name in await worker.metrics()}
        unknown = {row.name for row in Metrics().rows if not row.is_known}
        assert found & unknown == set()
        assert {"stream_app_ready", "stream_app_consumed_records_total"} <= found
