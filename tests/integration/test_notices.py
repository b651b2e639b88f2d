"""Notices on `events.account` become messages of those who subscribed, on a real broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.domain.notices import encode_notice, notice_of
from stream_app.kafka.admin import create_topics
from stream_app.opsgenie.sandbox import SandboxOpsgenie
from stream_app.secrets import generate_secret_key
from stream_app.settings import Settings
from tests.integration.harness import WorkerProcess, drained, put, read_all

KEY = "00000000-1111-2222-3333-44444444"
CLIENT = {"client_id": 1111, "name": "Acme Retail", "cloud": "EU", "applications": {}}
TRIGGER = {
    "id": 61,
    "client_id": 1111,
    "name": "Incidents",
    "enabled": True,
    "template_id": "incidents_exceeded",
    "filters": [],
    "threshold": {"count": 1, "period": 1},
    "actions": [{"id": "send_notification", "params": {"integration_ids": [523]}}],
}
BROKEN = notice_of(
    1111,
    None,
    "integration_broken/522/0",
    "integration_broken",
    "Integration was disabled because of delivery errors",
    integration={"id": 522, "type": "opsgenie", "name": "On-call 522"},
    failed=18,
    total=27,
    window_hours=12,
)


def issue(risk: str) -> dict[str, Any]:
    """Return the documented envelope, which names its client and has no id."""
    return {
        "summary": f"[Wallarm] New security issue detected: {risk}",
        "details": {
            "client_name": "Acme Retail",
            "cloud": "EU",
            "notification_type": "security_issue",
            "security_issue": {"id": 106279, "title": "Reflected XSS", "risk": risk},
        },
    }


class Place:
    """An installation whose integrations are told apart by the ends of their keys."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.sandbox = SandboxOpsgenie()
        self._folder = folder
        self._env: dict[str, str] = {}

    async def start(self) -> None:
        url = await self.sandbox.start()
        self._env = {
            "STREAM_APP_SECRET_KEYS": generate_secret_key(),
            "STREAM_APP_DELIVERY__SANDBOX_URL": url,
        }
        await create_topics(self.settings)

    def integration(self, number: int, *events: str) -> dict[str, Any]:
        return {
            "id": number,
            "client_id": 1111,
            "name": f"On-call {number}",
            "active": True,
            "type": "opsgenie",
            "target": {
                "token": f"{KEY}{number:04}",
                "api": self._env["STREAM_APP_DELIVERY__SANDBOX_URL"],
            },
            "events": [{"event": event, "active": True} for event in events],
        }

    async def apply(self, *objects: Any) -> None:
        file = self._folder / "objects.json"
        file.write_text(json.dumps(objects))
        args = ("apply", "-f", str(file))
        done = await asyncio.to_thread(WorkerProcess.command, self.settings, *args, **self._env)
        assert done.returncode == 0, done.stderr

    def worker(self, role: str, *command: str) -> WorkerProcess:
        # A log of its own: it says where this process answers.
        log = self._folder / f"{role}.{len(list(self._folder.iterdir()))}.log"
        return WorkerProcess(role, self.settings, log, command or ("-m", "stream_app"), **self._env)

    async def put(self, *values: bytes) -> None:
        topic = f"{self.settings.topic_prefix}events.account"
        rows = [(b"1111", value) for value in values]
        await put(self.settings.kafka.bootstrap_servers or "", topic, rows)

    async def records(self, topic: str) -> list[Any]:
        name = f"{self.settings.topic_prefix}{topic}"
        found = await read_all(self.settings.kafka.bootstrap_servers or "", name)
        return [record for records in found.values() for record in records]

    async def arrived(self, number: int) -> list[tuple[str, str]]:
        """Wait for so many requests; return each one's end of the key and message, in order."""
        async with asyncio.timeout(30):
            while len(self.sandbox.requests) < number:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        messages = {alert.alias: alert.message for alert in self.sandbox.alerts}
        return [(one.key_end, messages[one.alias]) for one in self.sandbox.requests]


@pytest.fixture
async def place(settings: Settings, tmp_path: Path) -> AsyncIterator[Place]:
    found = Place(settings, tmp_path)
    await found.start()
    yield found
    await found.sandbox.stop()


async def test_notices_reach_those_who_subscribed_once_also_after_a_kill(place: Place) -> None:
    first = place.integration(521, "system", "rules_and_triggers", "security_issue_high")
    await place.apply(CLIENT, first, place.integration(522, "system"), place.integration(523))
    with place.worker("notifier") as notifier:
        with place.worker("detector", "-m", "tests.integration.killed_detector") as killed:
            await killed.ready()
            await place.put(encode_notice(BROKEN))
            assert await asyncio.to_thread(killed.process.wait, 30) == -9
        with place.worker("detector") as detector:
            await detector.ready()
            await notifier.ready()
            expected = [("0521", BROKEN.summary)]
            assert await place.arrived(1) == expected

            await place.apply(place.integration(524, "rules_and_triggers"), TRIGGER)
            created = {("0521", "[Wallarm] Trigger was created")}
            created.add(("0524", "[Wallarm] Trigger was created"))
            assert set((await place.arrived(3))[1:]) == created

            both = json.dumps([issue("Medium"), issue("High"), {"summary": 1}]).encode()
            await place.put(b"{", both, b'{"summary": "", "details": {"notification_type": "new"}}')
            assert (await place.arrived(4))[3] == ("0521", issue("High")["summary"])

            await drained(place.settings, "detector", ["events.account"], 20)
            await drained(
                place.settings, "notifier", ["alerts", "deliveries", "delivery-results"], 20
            )
            metrics = await detector.metrics()
    assert len(place.sandbox.requests) == 4
    assert place.sandbox.alerts[0].description.startswith("Notification type: integration_broken\n")
    broken = [r.value for r in await place.records("alerts") if b"integration_broken" in r.value]
    assert len(broken) == 2
    assert broken[0] == broken[1]
    results = ("matched", "unsubscribed", "unknown_kind", "rejected")
    counts = [metrics[f'stream_app_notices_total{{result="{result}"}}'] for result in results]
    assert counts == [3, 1, 1, 2]
    assert metrics['stream_app_alerts_total{kind="notice"}'] == 3
    letters = sorted(record.value for record in await place.records("events.account.dlq"))
    assert letters == [b"{", b'{"summary": 1}']


async def test_a_reset_of_the_detector_tells_nobody_of_old_notices_again(place: Place) -> None:
    await place.put(*[encode_notice(BROKEN)] * 3)
    settings = place.settings
    topic = f"{settings.topic_prefix}events.account"
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap_servers or "",
        group_id=f"{settings.topic_prefix}stream-app-detector",
        enable_auto_commit=False,
    )
    await consumer.start()
    partitions = [TopicPartition(topic, number) for number in range(settings.partitions)]
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    (used,) = [tp for tp in partitions if ends[tp]]
    anew, *others = [tp for tp in partitions if tp != used]
    # Behind two of three; of one that was made anew, what is left of the old one.
    await consumer.commit({used: 2, anew: 7})
    reset = await asyncio.to_thread(
        WorkerProcess.command, settings, "state", "reset", "detector", "--yes"
    )
    assert reset.returncode == 0, reset.stderr
    assert "events.account goes on where it was" in reset.stdout
    found = {tp: await consumer.committed(tp) for tp in partitions}
    await consumer.stop()
    assert found == {used: 2, anew: 0, **dict.fromkeys(others, 0)}
