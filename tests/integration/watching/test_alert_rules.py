"""Each alert rule fires on its real cause and clears when that is fixed, in a real Prometheus.

The rules are those of `deploy/`, with shorter ranges and waits.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from stream_app.domain.alerts.alert import encode_alert
from stream_app.domain.delivery.records import Delivery, encode_delivery
from stream_app.domain.episodes.reference import EpisodeReference
from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.kafka.embedded.process import DATA
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings
from tests.conftest import ROOT
from tests.integration.detector.test_lost_records import remove
from tests.integration.harness import PROGRAMS, WorkerProcess
from tests.integration.notifier.test_notifier import alert
from tests.integration.records.test_transactions import begin, transactional
from tests.integration.watching.watched import Installation, Prometheus, trigger
from tests.raw_batches import bomb, produce_raw

HEALTHY, LIMITED, BROKEN, DISCARDING, CLOSING = range(521, 526)
KEYS = {n: f"00000000-1111-2222-3333-{n:012d}" for n in range(HEALTHY, CLOSING + 1)}
#: Rules that records make fire; they fire together, so one look at the result is enough.
BY_RECORDS = {
    "StreamAppConfigurationInvalid",
    "StreamAppDeadLetters",
    "StreamAppRecordsWithheld",
    "StreamAppUnreadableBatch",
    "StreamAppLateEvents",
    "StreamAppWatermarkAhead",
    "StreamAppWatermarkStandsStill",
    "StreamAppStaleAlerts",
    "StreamAppDeliveriesOverflowed",
    "StreamAppDeliveryPendingTooLong",
    "StreamAppDeliveriesFailing",
    "StreamAppIntegrationDisabled",
    "StreamAppClientNotTold",
    "StreamAppOperatorNotTold",
    "StreamAppClosesWait",
    "StreamAppRequestsNotSuccessful",
}
#: What waits for a detector that falls behind: seconds of its work, and some records more.
WAITING_SECONDS = 8
WAITING_RECORDS = 500
#: A worker whose clock is wrong.
AHEAD = (str(PROGRAMS / "shifted_clock.py"),)
#: The offset that stands for the end of a log when records before it are removed.
LOG_END = -1
#: Where things are in a partition's file: the length of its first batch, and the end of its last.
LENGTH = (8, 4)
LAST_BYTE = (-1, 1)


class Place:
    """The installation, its broker and its Prometheus."""

    def __init__(self, broker: EmbeddedKafka, folder: Path) -> None:
        address = broker.status().bootstrap_servers
        self.broker_pid = broker.status().pid or 0
        self._data = broker.status().directory / DATA
        self.settings = Settings(
            kafka=KafkaSettings(bootstrap_servers=address), topic_prefix="watched.", partitions=2
        )
        self.installation = Installation(
            self.settings,
            folder,
            STREAM_APP_MAX_ALERT_AGE="3600",
            STREAM_APP_DELIVERY__RETRY_SCALE="0.001",
            STREAM_APP_DELIVERY__STATUS_CHECK_SHARE="1",
            STREAM_APP_DELIVERY__MAX_PENDING_PER_INTEGRATION="3",
            # It is disabled, and is its client's own, who then learns of it from nothing.
            STREAM_APP_OPERATOR_INTEGRATION=str(BROKEN),
            # Small fetches and a flush for each make a detector that is soon too slow.
            STREAM_APP_KAFKA__FETCH_MAX_BYTES_PER_PARTITION=str(64 * 1024),
            STREAM_APP_DETECTOR__FLUSH_MAX_EVENTS="1",
        )

    async def start(self) -> None:
        closed = {"deduplicate": "episode", "close_after_seconds": 300}  # scaled down to 0.3 s
        await self.installation.start(
            KEYS,
            trigger(61, "incidents_exceeded", [HEALTHY]),
            trigger(62, "hits_exceeded", [HEALTHY]),
            more={CLOSING: {"alert": closed}},
        )

    async def events(self, kind: str, *times: int, **more: Any) -> None:
        field = "request_time" if kind == "hits" else "first_time"
        rows = [json.dumps({"client_id": 1111, field: seconds}).encode() for seconds in times]
        await self.installation.put(f"events.{kind}", *rows, **more)

    async def fire(self, number: int, *window_starts: int) -> None:
        rows = [encode_alert(alert(start, (number,))) for start in window_starts]
        await self.installation.put("alerts", *rows)

    async def end_episode(self, window_end: int) -> None:
        """Have an alert taken in that is to be closed at once."""
        episode = EpisodeReference("alias", 61, "revision", window_end - 1, window_end, 300)
        delivery = Delivery(
            f"alert/{CLOSING}", "alert", 1111, CLOSING, "An alert", "", {}, episode=episode
        )
        await self.installation.put("deliveries", encode_delivery(delivery))

    async def keep_coming(self, seconds: int, over: asyncio.Event) -> None:
        """Send hits of the same second, and alerts that are dropped, until `over` is set."""
        while not over.is_set():
            await self.events("hits", seconds)
            await self.fire(DISCARDING, int(time.time()))
            await asyncio.sleep(0.5)

    async def keep_busy(self, over: asyncio.Event) -> None:
        """Send incidents until `over` is set."""
        while not over.is_set():
            await self.events("incidents", *[int(time.time())] * 2000)

    async def keep_ahead(self, over: asyncio.Event) -> None:
        """Send more hits than the detector counts until `over` is set, so that work waits for it.

        Their number follows its speed, so that a slow machine catches up as soon as a fast one.
        """
        hit = {"client_id": 1111, "request_time": int(time.time()), "path": "x" * 4000}
        record = json.dumps(hit).encode()
        done, _ = await self.progress("events.hits")
        began = time.monotonic()
        while not over.is_set():
            now_done, waiting = await self.progress("events.hits")
            speed = (now_done - done) / (time.monotonic() - began)
            missing = int(WAITING_SECONDS * speed + WAITING_RECORDS - waiting)
            if missing > 0:
                await self.installation.put("events.hits", *[record] * min(missing, 4000))
            await asyncio.sleep(0.1)

    async def progress(self, topic: str) -> tuple[float, float]:
        """Return how many records of a topic the detector has read, and how many wait."""
        found = await self.installation.workers["detector"].metrics()
        label = f'{{topic="{topic}"}}'
        return (
            found[f"stream_app_consumed_records_total{label}"],
            found.get(f"stream_app_consumer_lag_records{label}", 0.0),
        )

    def signal_broker(self, number: signal.Signals) -> None:
        os.kill(self.broker_pid, number)

    @contextmanager
    def damaged_log(self, topic: str, place: int, size: int) -> Iterator[None]:
        """Invert bytes of partition 0 of a topic on the broker's disk; put them back at the end.

        The broker does not hand out a batch whose length is wrong, though it knows that one is
        there; it hands out a batch with other wrong bytes.
        """
        folder = self._data / f"{self.settings.topic_prefix}{topic}-0"
        file = os.open(max(folder.glob("*.log")), os.O_RDWR)
        try:
            start = place % os.fstat(file).st_size
            before = os.pread(file, size, start)
            os.pwrite(file, bytes(byte ^ 0xFF for byte in before), start)
            try:
                yield
            finally:
                os.pwrite(file, before, start)
        finally:
            os.close(file)

    async def keep_losing_handles(self, over: asyncio.Event) -> None:
        """Let the notifier open no file and no connection for a second, again and again.

        Nobody can look at the notifier meanwhile, because that takes a connection, too.
        """
        sandbox = self.installation.sandbox
        pid = self.installation.workers["notifier"].process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        start = int(time.time()) - 1000
        while not over.is_set():
            sandbox.fail(Fault(kind=FaultKind.RESET, key=KEYS[HEALTHY]))  # no connection is left
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, before[1]))
            try:
                await self.fire(HEALTHY, start := start + 1)
                await asyncio.sleep(1)
            finally:
                sandbox.heal()
                resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
            await asyncio.sleep(2)


@pytest.fixture
async def place(own_kafka: Callable[[], EmbeddedKafka], tmp_path: Path) -> AsyncIterator[Place]:
    found = Place(await asyncio.to_thread(own_kafka), tmp_path)
    try:
        await found.start()
        yield found
    finally:
        with suppress(ProcessLookupError):
            found.signal_broker(signal.SIGCONT)
        await found.installation.stop()


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_each_rule_fires_on_its_cause_and_clears_when_that_is_fixed(
    place: Place, tmp_path: Path
) -> None:
    with Prometheus(tmp_path / "prometheus", place.installation.workers) as prometheus:
        watching = asyncio.create_task(prometheus.watch())
        try:
            await _nothing_fires_in_health(place, prometheus)
            await _records(place, prometheus)
            await _each_panel_shows_something(prometheus)
            await _stopped_detector(place, prometheus)
            await _silent_broker(place, prometheus)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        # Silence is judged over nine days, and here is no heartbeat: promtool sees to these rules.
        assert prometheus.fired == prometheus.names - {"StreamAppNoEvents", "StreamAppPulseStopped"}


async def _each_panel_shows_something(prometheus: Prometheus) -> None:
    board = json.loads((ROOT / "deploy" / "grafana" / "stream-app.json").read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            text = target["expr"].replace("$job", "stream-app").replace("$__rate_interval", "1m")
            found = await prometheus.query(text.replace("[7d:10m] offset 1d", "[1m:1s]"))
            # What shows faults only may well be empty.
            assert found or "> 0" in text, (panel["title"], text)


async def _nothing_fires_in_health(place: Place, prometheus: Prometheus) -> None:
    now = int(time.time())
    await place.events("incidents", now - 1, now)
    async with asyncio.timeout(60):
        while len(await prometheus.query("stream_app_ready == 1")) < 2:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.3)
    await prometheus.clear()
    prometheus.fired.clear()  # before its first scrapes a Prometheus misses everything
    await asyncio.sleep(3)
    assert prometheus.fired == set()


async def _records(place: Place, prometheus: Prometheus) -> None:
    sandbox, put = place.installation.sandbox, place.installation.put
    limited = Fault(
        kind=FaultKind.RATE_LIMIT, retry_after="9", period="9", key=KEYS[LIMITED], requests=1
    )
    for fault in (
        limited,
        Fault(kind=FaultKind.STATUS, status=503, key=KEYS[BROKEN]),
        Fault(kind=FaultKind.DISCARD, key=KEYS[DISCARDING]),
    ):
        sandbox.fail(fault)
    now = int(time.time())
    over = asyncio.Event()
    coming = asyncio.create_task(place.keep_coming(now, over))
    try:
        await put("config.triggers", b"{}", key=b"99")
        await put("events.incidents", b"no event")
        large = f"{place.settings.topic_prefix}events.incidents"
        assert await produce_raw(place.installation.bootstrap, large, 1, bomb(80, "zstd")) == 0
        await place.events("incidents", now, now - 7200, now + 80, partition=0)
        await place.fire(HEALTHY, now - 7200)
        await place.fire(LIMITED, *range(now - 9, now))
        await place.fire(BROKEN, now)
        async with transactional(place.settings, "hanging") as producer:
            await begin(producer, place.settings, [("events.attacks", 1, None, b"{}")])
            await place.end_episode(now)
            await prometheus.fire(*BY_RECORDS)
            await producer.abort_transaction()
    finally:
        over.set()
        await coming
    topics = {one["labels"]["topic"] for one in prometheus.firing.get("StreamAppDeadLetters", ())}
    assert topics <= {"events.incidents", "deliveries"}
    sandbox.heal()
    await put("config.triggers", None, key=b"99")
    enabled = await asyncio.to_thread(
        WorkerProcess.command,
        place.settings,
        "integrations",
        "enable",
        str(BROKEN),
        **place.installation.env,
    )
    assert enabled.returncode == 0, enabled.stderr
    await prometheus.clear()


async def _stopped_detector(place: Place, prometheus: Prometheus) -> None:
    """Stop the detector; when it comes back, its partitions have changed."""
    detector, put = place.installation.workers["detector"], place.installation.put
    detector.signal(signal.SIGSTOP)
    await prometheus.fire("StreamAppWorkerDown", "StreamAppRoleMissing")
    assert prometheus.firing["StreamAppRoleMissing"][0]["labels"]["missing"] == "detector"
    now = int(time.time())
    await place.events("incidents", *[now] * 5, partition=0)
    await remove(place.settings, LOG_END)
    await place.events("attacks", now, partition=0)
    unused = trigger(98, "attacks_exceeded", [HEALTHY]) | {"enabled": False}
    await put("config.triggers", json.dumps(unused).encode(), key=b"98")
    await _knows_triggers(place, 3)
    with place.damaged_log("config.triggers", *LAST_BYTE):
        with place.damaged_log("events.attacks", *LENGTH):
            detector.signal(signal.SIGCONT)
            await prometheus.fire("StreamAppRecordsLost", "StreamAppConfigurationUnreadable")
            # A partition stands still for long before that is reported; the rest goes on.
            await _no_handles(place, prometheus)
            await _slow_detector(place, prometheus)
            await prometheus.fire("StreamAppPartitionStandsStill")
        await prometheus.clear("StreamAppConfigurationUnreadable")
    # What was passed over is read at the next start, after the state.
    with place.damaged_log("stream-app-detector-cells-attacks-changelog", *LENGTH):
        await place.installation.restart("detector", AHEAD, SHIFTED_BY_SECONDS="7200")
        await prometheus.fire("StreamAppRecoversLong", "StreamAppClockOff")
    await place.installation.workers["detector"].ready()
    await place.installation.restart("detector")
    await place.installation.workers["detector"].ready()
    await prometheus.clear()


async def _knows_triggers(place: Place, number: int) -> None:
    """Wait until the notifier has read this many triggers."""
    name = 'stream_app_config_objects{kind="triggers"}'
    async with asyncio.timeout(60):
        while (await place.installation.workers["notifier"].metrics())[name] != number:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)


async def _no_handles(place: Place, prometheus: Prometheus) -> None:
    over = asyncio.Event()
    losing = asyncio.create_task(place.keep_losing_handles(over))
    try:
        await prometheus.fire("StreamAppRequestsNotPossible")
    finally:
        over.set()
        await losing


async def _slow_detector(place: Place, prometheus: Prometheus) -> None:
    """Send more hits than the detector can count."""
    url = place.installation.workers["detector"].url or ""
    over = asyncio.Event()
    coming = asyncio.create_task(place.keep_ahead(over))
    try:
        await prometheus.until(lambda: _is_behind("events.hits", url, prometheus))
    finally:
        over.set()
        await coming


def _is_behind(topic: str, url: str, prometheus: Prometheus) -> bool:
    labels = [one["labels"] for one in prometheus.firing.get("StreamAppFallingBehind", ())]
    address = url.removeprefix("http://")
    return any((one["topic"], one["instance"]) == (topic, address) for one in labels)


async def _silent_broker(place: Place, prometheus: Prometheus) -> None:
    """Stop the broker in the midst of work, so that it acknowledges nothing."""
    over = asyncio.Event()
    busy = asyncio.create_task(place.keep_busy(over))
    try:
        await asyncio.sleep(1)
        place.signal_broker(signal.SIGSTOP)
        await asyncio.sleep(1)  # longer than the time between two looks at the lag
        while not (await place.progress("events.incidents"))[
            1
        ]:  # it was stopped between two flushes
            place.signal_broker(signal.SIGCONT)
            await asyncio.sleep(0.5)
            place.signal_broker(signal.SIGSTOP)
            await asyncio.sleep(1)
        await prometheus.fire("StreamAppBrokerUnreachable", "StreamAppWorkerNotReady")
        await prometheus.until(lambda: _waits("events.incidents", prometheus))
    finally:
        place.signal_broker(signal.SIGCONT)
        over.set()
        await busy
    await prometheus.clear()


def _waits(topic: str, prometheus: Prometheus) -> bool:
    found = prometheus.firing.get("StreamAppNotConsuming", ())
    return any(one["labels"]["topic"] == topic for one in found)
