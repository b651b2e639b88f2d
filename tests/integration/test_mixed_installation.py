"""One large mixed run on a real broker, held against the oracle: alerts, and who gets them."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from pydantic import SecretStr

from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.settings import Settings
from tests import oracle, oracle_alerts
from tests.integration.harness import WorkerProcess, drained, put, put_objects, read_all
from tests.integration.mixed_installation import KEY_START, KINDS, MixedInstallation

#: Another seed makes another installation, and other events.
SEED = int(os.environ.get("MIXED_SEED", "5"))
DETECTOR_TOPICS = [*(f"events.{kind}" for kind in KINDS), "events.account", "counts"]


class Run:
    """The installation, and what stands on its topics."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.mixed = MixedInstallation(SEED, url)
        secret = SecretStr(self.mixed.secret_key)
        self.settings = settings.model_copy(update={"secret_keys": secret})
        self._bootstrap = settings.kafka.bootstrap_servers or ""

    async def configure(self) -> None:
        mixed, settings = self.mixed, self.settings
        await create_topics(settings)
        everything = [*mixed.integrations.values(), *mixed.deleted.values()]
        sealed = [mixed.sealed(one, self.settings) for one in everything]
        await put_objects(settings, "config.clients", mixed.clients.values())
        await put_objects(settings, "config.integrations", sealed)
        await put_objects(settings, "config.triggers", mixed.triggers.values())
        tombstones = [(str(number).encode(), None) for number in mixed.deleted]
        await put(self._bootstrap, self.name("config.integrations"), tombstones)
        statuses = [one | {"id": one["integration_id"]} for one in mixed.statuses()]
        await put_objects(settings, "status.integrations", statuses)

    async def produce(self) -> list[dict[str, Any]]:
        """Send all events and notices; return the notices."""
        producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, linger_ms=20)
        await producer.start()
        futures = []
        for kind, key, value, place in self.mixed.records():
            partition = place % self.settings.partitions if key is None else None
            topic = self.name(f"events.{kind}")
            futures.append(await producer.send(topic, value, key=key, partition=partition))
        notices = self.mixed.notices()
        for number, notice in enumerate(notices):
            topic, value = self.name("events.account"), json.dumps(notice).encode()
            key = str(number % 7).encode()
            futures.append(await producer.send(topic, value, key=key))
        await asyncio.gather(*futures)
        await producer.stop()
        return notices

    async def values(self, topic: str) -> list[dict[str, Any]]:
        """Return each record of a topic once; what a rebalance has sent twice must be equal."""
        found: dict[str, bytes] = {}
        for records in (await read_all(self._bootstrap, self.name(topic))).values():
            for record in records:
                number = json.loads(record.value)["id"]
                assert found.setdefault(number, record.value) == record.value
        return [json.loads(value) for value in found.values()]

    async def totals(self) -> oracle.Totals:
        """Return what the oracle counts of the events as they stand on their topics."""
        totals = oracle.Totals()
        for kind in KINDS:
            records = await read_all(self._bootstrap, self.name(f"events.{kind}"))
            for partition in records.values():
                rows = [(record.value, record.timestamp) for record in partition]
                triggers = list(self.mixed.triggers.values())
                oracle.count(kind, rows, triggers, set(self.mixed.clients), totals)
        return totals

    async def dead_letters(self) -> int:
        topics = [self.name(f"events.{kind}.dlq") for kind in KINDS]
        read = [await read_all(self._bootstrap, topic) for topic in topics]
        return sum(len(records) for found in read for records in found.values())

    def expected_notices(self, notices: list[dict[str, Any]]) -> list[dict[str, Any]]:
        mixed = self.mixed
        by_name = {client["name"]: client for client in mixed.clients.values()}
        found = []
        for notice in notices:
            name = notice["details"].get("client_name")
            client = by_name[name] if name else mixed.clients[notice["client_id"]]
            found.append(oracle_alerts.notice_alert(notice, client, mixed.integrations))
        return [one for one in found if one is not None]

    def name(self, topic: str) -> str:
        return f"{self.settings.topic_prefix}{topic}"


def facts(alert: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of a notice's alert that the oracle gives; texts have tests of their own."""
    told = {name: alert[name] for name in ("id", "client_id", "integration_ids")}
    return told | {"kind": alert["notice"]["kind"], "summary": alert["notice"]["summary"]}


def by_id(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in found}


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_large_mixed_installation_alerts_whom_the_oracle_names(
    settings: Settings, tmp_path: Path
) -> None:
    print(f"MIXED_SEED={SEED}")  # shown with a failure, to make the same run again
    sandbox = SandboxOpsgenie()
    run = Run(settings, await sandbox.start())
    mixed = run.mixed
    await run.configure()
    env = {
        "STREAM_APP_SECRET_KEYS": mixed.secret_key,
        "STREAM_APP_DELIVERY__SANDBOX_URL": run.mixed.url,
    }
    with (
        WorkerProcess("detector", run.settings, tmp_path / "one.log", **env) as one,
        WorkerProcess("detector", run.settings, tmp_path / "two.log", **env) as two,
        WorkerProcess("notifier", run.settings, tmp_path / "notifier.log", **env) as notifier,
    ):
        await asyncio.gather(one.ready(), two.ready(), notifier.ready())
        notices = await run.produce()
        await drained(run.settings, "detector", DETECTOR_TOPICS)
        await drained(run.settings, "notifier", ["alerts", "deliveries", "delivery-results"])
        routed = routed_of(await notifier.metrics())
        counted = [counted_of(await worker.metrics()) for worker in (one, two)]
    totals, alerts = await run.totals(), await run.values("alerts")

    fired = [
        oracle_alerts.alert(trigger, mixed.clients[trigger["client_id"]], start)
        for number, start in totals.fired(mixed.triggers.values())
        for trigger in [mixed.triggers[number]]
    ]
    told = run.expected_notices(notices)
    assert by_id([a for a in alerts if "notice" not in a]) == by_id(fired)
    assert by_id([facts(a) for a in alerts if "notice" in a]) == by_id(told)
    assert len({*by_id(fired), *by_id(told)}) == len(alerts)
    assert min(len(fired), len(told)) > 50
    # Both detectors took part, and with the refused and the late ones all events are there.
    assert min(sum(found.values()) for found in counted) > 0
    assert sum(counted, Counter()) == totals.results
    assert await run.dead_letters() == sum(totals.refused.values())
    assert {reason for reason, n in totals.refused.items() if n} >= {"undecodable", "wrong_type"}

    results = {
        (found["id"], number): result
        for found in [*fired, *told]
        for number, result in oracle_alerts.destinations(
            found, mixed.integrations, mixed.disabled, mixed.deleted
        ).items()
    }
    assert routed == Counter(results.values())
    assert set(routed) == {
        *("sent", "disabled", "inactive"),
        *("foreign_integration", "unknown_integration", "deleted_integration"),
    }
    unknown = {alert for (alert, _), found in results.items() if found == "unknown_integration"}
    assert {one["id"] for one in await run.values("alerts.dlq")} == unknown
    delivered = {place for place, result in results.items() if result in ("sent", "disabled")}
    deliveries = await run.values("deliveries")
    assert {(one["alert_id"], one["integration_id"]) for one in deliveries} == delivered
    posted = {(one.alias, one.key_end) for one in sandbox.requests}
    sent = {place for place, result in results.items() if result == "sent"}
    assert posted == {(alias, f"{KEY_START}{number:012}"[-4:]) for alias, number in sent}
    await sandbox.stop()


def routed_of(metrics: dict[str, float]) -> Counter[str]:
    return labelled(metrics, "stream_app_routed_alerts_total")


def counted_of(metrics: dict[str, float]) -> Counter[str]:
    found = labelled(metrics, "stream_app_events_total")
    del found["rejected"]
    return found


def labelled(metrics: dict[str, float], name: str) -> Counter[str]:
    """Return a counter of the metrics by its label `result`; what is 0 is left out."""
    found: Counter[str] = Counter()
    for sample, value in metrics.items():
        if sample.startswith(f"{name}{{") and value:
            found[sample.partition('result="')[2].partition('"')[0]] += int(value)
    return found
