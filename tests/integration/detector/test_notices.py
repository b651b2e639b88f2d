"""Notices on `events.account` become messages of those who subscribed, on a real broker."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.domain.alerts.alert import decode_alert, notice_alert_id
from stream_app.domain.configuration.integrations import EVENTS
from stream_app.domain.notices.outgoing import encode_notice, notice_of
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.key_ring import generate_secret_key
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.settings import Settings
from tests.integration.harness import WorkerProcess, drained, put, read_all
from tests.unit.domain.documented_notices import NOTICES, notice

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


def condition(number: int, template_id: str, *filters: dict[str, Any]) -> dict[str, Any]:
    """Return a trigger without a count, as `apply` takes it."""
    return {
        "id": number,
        "client_id": 1111,
        "name": f"Trigger {number}",
        "enabled": True,
        "template_id": template_id,
        "filters": [{"operator": "eq", **item} for item in filters],
        "actions": [{"id": "send_notification", "params": {"integration_ids": [523, 524]}}],
    }


def other(found: dict[str, Any], number: int, **change: Any) -> dict[str, Any]:
    """Return the trigger with another id, and a first filter that the notice does not pass."""
    filters = [found["filters"][0] | change, *found["filters"][1:]]
    return found | {"id": number, "name": "Never", "filters": filters}


MATCHING = (
    condition(70, "blacklist_ip_added", {"id": "pool", "values": [7]}),
    condition(
        71,
        "api_structure_changed",
        {"id": "change_type", "values": ["added"]},
        {"id": "domain", "operator": "ne", "values": ["blog.acme.example"]},
        {"id": "pool", "values": [7, 8]},
    ),
    condition(72, "rogue_api_detected", {"id": "deviation_type", "values": ["shadow", "zombie"]}),
    condition(
        73,
        "compromised_logins",
        {"id": "domain", "values": ["shop.acme.example"]},
        {"id": "response_status", "operator": "ne", "values": ["4xx"]},
    ),
    condition(74, "user_created", {"id": "role", "values": ["Analyst"]}),
)
#: The triggers above, and for each one a trigger that its notice does not pass.
TRIGGERS = (
    *MATCHING,
    other(MATCHING[0], 80, values=[8]),
    other(MATCHING[1], 81, values=["changed", "unused"]),
    other(MATCHING[2], 82, values=["orphan"]),
    other(MATCHING[3], 83, values=["blog.acme.example"]),
    other(MATCHING[4], 84, operator="ne"),
)
#: Documented notices that no subscription and no trigger above is for.
UNHEARD = ("new_scope_object_ips",)
API = {"endpoint_path": "/users", "http_method": "GET", "application": "Shop"}
#: The documented examples of notices that only triggers send.
TRIGGERED = (
    notice(
        "[Wallarm] Trigger: New IP address was denylisted",
        "ip_blocked",
        trigger_name="Denylist watch",
        application="Shop",
        reason="Produces many attacks",
        expire_at="2026-01-01 02:27:15 +0300",
        ip="203.0.113.10",
    ),
    notice(
        "[wallarm] A new endpoint has been discovered in your API",
        "api_structure_changed",
        "US",
        **API,
        domain="shop.acme.example",
        change_type="added",
    ),
    notice(
        "[wallarm] A new shadow endpoint has been discovered in your API",
        "api_comparison_result",
        "US",
        **API,
        api_host="shop.acme.example",
        type_of_endpoint="shadow",
        specification_name="Shop-v2",
    ),
    notice(
        "[wallarm] Stolen credentials detected",
        "compromised_logins",
        compromised_accounts=["ann@acme.example"],
        url="shop.acme.example/login",
        link="https://my.wallarm.com/attacks/?q=attacks+credential_stuffing",
    ),
)
#: Trigger -> the title of its message, and parts of the text.
TOLD: dict[int, tuple[str, ...]] = {
    70: (
        "[Wallarm] Trigger: New IP address was denylisted",
        "IP address 203.0.113.10 was denylisted until 2026-01-01 02:27:15 +0300 for the reason ",
        '"Trigger 70" trigger. The IP is blocked for the application Shop.\n\nAdditional trigger',
        "\nApplication: Shop.\n\nClient: Acme Retail\nCloud: EU",
    ),
    71: (
        "[wallarm] A new endpoint has been discovered in your API",
        "The new GET shop.acme.example/users endpoint has been discovered in your API.\n",
        "\nChange type: added.\nDomain: not blog.acme.example.\nApplication: Shop, Blog.",
    ),
    72: (
        "[wallarm] A new shadow endpoint has been discovered in your API",
        "The new GET shop.acme.example/users shadow endpoint has been discovered in your API.\n",
        "\nDeviation type: shadow, zombie.",
    ),
    73: (
        "[wallarm] Stolen credentials detected",
        "\nCompromised accounts: ann@acme.example\nAssociated URL: shop.acme.example/login\n",
        "\nDomain: shop.acme.example.\nResponse status: not 4xx.\n",
    ),
    74: (
        "[Wallarm] Trigger: New user was added to the company account",
        "A new user Ann Lee <ann@acme.example> with the role Analyst was added to the company ",
        'This notification was triggered by the "Trigger 74" trigger.\n\nAdditional trigger',
        "\nRole: Analyst.\n",
    ),
}


class Place:
    """An installation; its sandbox tells integrations apart by the ends of their keys."""

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
        # Each worker has a log of its own, which says at which address it answers.
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
        """Wait for so many requests; return each one's end of the key and its message, in order."""
        async with asyncio.timeout(60):
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


@pytest.mark.long
async def test_notices_reach_their_subscribers_once_even_after_a_kill(place: Place) -> None:
    first = place.integration(521, "system", "rules_and_triggers", "security_issue_high")
    await place.apply(CLIENT, first, place.integration(522, "system"), place.integration(523))
    with place.worker("notifier") as notifier:
        dying = ("-m", "tests.integration.workers.killed_in_flush", "alerts", "1")
        with place.worker("detector", *dying) as killed:
            await killed.ready()
            await place.put(encode_notice(BROKEN))
            assert await asyncio.to_thread(killed.process.wait, 60) == -9
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

            await drained(place.settings, "detector", ["events.account"])
            await drained(place.settings, "notifier", ["alerts", "deliveries", "delivery-results"])
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


async def test_every_documented_notice_becomes_the_alerts_of_its_subscribers_and_triggers(
    place: Place,
) -> None:
    client = CLIENT | {"name": "Acme Retail", "applications": {"7": "Shop", "8": "Blog"}}
    # Not 521: some of the notices announce its end.
    every = place.integration(522, *EVENTS)
    await place.apply(client, every, place.integration(523), place.integration(524), *TRIGGERS)
    documented = {name: body for name, body in NOTICES.items() if name not in UNHEARD}
    expected = Counter(("0522", body["summary"]) for body in documented.values())
    expected += Counter((end, title) for title, *_ in TOLD.values() for end in ("0523", "0524"))
    # The older examples name another company.
    named = [
        body | {"client_id": 1111}
        for body in (*documented.values(), *(NOTICES[name] for name in UNHEARD))
    ]
    values = [*named, *TRIGGERED]
    with place.worker("notifier") as notifier, place.worker("detector") as detector:
        await detector.ready()
        await notifier.ready()
        # Some in one array, some as lines, and the rest one per record.
        lines = b"\n".join(json.dumps(body).encode() for body in values[8:16])
        rest = [json.dumps(body).encode() for body in values[16:]]
        await place.put(json.dumps(values[:8]).encode(), lines, *rest)
        assert Counter(await place.arrived(expected.total())) == expected
        await drained(place.settings, "detector", ["events.account"])
        await drained(place.settings, "notifier", ["alerts", "deliveries", "delivery-results"])
        metrics = await detector.metrics()
    assert len(place.sandbox.requests) == expected.total()
    texts = {(alert.message, alert.description) for alert in place.sandbox.alerts}
    folder = Path(__file__).parents[2] / "unit" / "domain" / "alerts" / "golden" / "notices"
    for name in documented:
        title, _, text = (folder / f"{name}.txt").read_text().partition("\n\n")
        assert (title, text) in texts
    for title, *parts in TOLD.values():
        (text,) = {found for message, found in texts if message == title}
        assert all(part in text for part in parts), text
    assert await place.records("events.account.dlq") == []
    for kind in (
        "blacklist_ip_added",
        "api_structure_changed",
        "rogue_api_detected",
        "compromised_logins",
        "user_created",
    ):
        assert metrics[f'stream_app_alerts_total{{kind="{kind}"}}'] == 1
    assert metrics['stream_app_alerts_total{kind="notice"}'] == len(documented)
    assert metrics['stream_app_notices_total{result="unsubscribed"}'] == len(UNHEARD)


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
    # Two of three records; and an old offset in a partition of a topic that was made anew.
    await consumer.commit({used: 2, anew: 7})
    reset = await asyncio.to_thread(
        WorkerProcess.command, settings, "state", "reset", "detector", "--yes"
    )
    assert reset.returncode == 0, reset.stderr
    assert "events.account goes on where it was" in reset.stdout
    found = {tp: await consumer.committed(tp) for tp in partitions}
    await consumer.stop()
    assert found == {used: 2, anew: 0, **dict.fromkeys(others, 0)}


async def test_a_forged_notice_of_a_change_takes_nothing_away_from_the_real_one(
    place: Place,
) -> None:
    await place.apply(CLIENT, place.integration(521, "rules_and_triggers"))
    with place.worker("detector") as detector:
        await detector.ready()
        forged = {
            "client_id": 1111,
            "id": "config.triggers/0",
            "summary": "[Wallarm] Trigger was created",
            "details": {"notification_type": "trigger_create", "trigger": {"id": 1, "name": "x"}},
        }
        await place.put(json.dumps(forged).encode(), json.dumps(forged).encode())
        told = {"id": "send_notification", "params": {"integration_ids": [521]}}
        await place.apply(condition(61, "user_created") | {"actions": [told]})
        records: list[Any] = []
        async with asyncio.timeout(60):
            while len(records) < 3:
                await asyncio.sleep(0.1)
                records = await place.records("alerts")
    ids = [decode_alert(record.value).id for record in records]
    assert (ids[0], len(ids), len(set(ids))) == (ids[1], 3, 2), "the real one has an id of its own"
    real = notice_alert_id(1111, "trigger_create", ("config.triggers/0",))
    assert [number for number, one in enumerate(ids) if one == real] == [2]
