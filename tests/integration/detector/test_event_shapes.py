"""Documented payloads on real topics: envelopes become the right alert, others dead letters."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from stream_app.domain.events.parts_decoder import MAX_RECORD_BYTES, MAX_REFUSED_PARTS
from stream_app.settings import Settings
from tests.integration.detector.test_detector import alerts, send, trigger
from tests.integration.harness import WorkerProcess, drained, put_objects, read_all
from tests.unit.domain.documented_events import (
    ATTACK,
    HIT_ENVELOPE,
    INCIDENT,
    SECURITY_ISSUE,
)

TOPICS = ["events.attacks", "events.hits", "events.incidents", "counts"]
CLIENT = {"client_id": 1111, "name": "Acme Retail", "cloud": "EU", "applications": {"7": "Shop"}}


def clause(filter_id: str, *values: object, operator: str = "eq") -> dict[str, Any]:
    return {"id": filter_id, "operator": operator, "values": list(values)}


OF_THE_HIT = [
    clause("attack_type", "sqli"),
    clause("pool", -1, 7),
    clause("domain", "shop.acme.example"),
    clause("ip_address", "203.0.113.10"),
    clause("response_status", "4xx"),
]
TRIGGERS = [
    trigger(
        1,
        client_id=1111,
        template_id="hits_exceeded",
        filters=OF_THE_HIT,
        threshold={"count": 6, "period": 60, "operator": "gt"},
    ),
    trigger(
        2,
        client_id=1111,
        template_id="hits_exceeded",
        filters=[clause("pool", -1, operator="ne")],
        threshold={"count": 1, "period": 60, "operator": "gt"},
    ),
    trigger(3, client_id=1111, filters=[clause("target", "server"), clause("pool", 7)]),
]
EXPORTED = {
    "client_name": "Acme Retail",
    "time": "1767225601",
    "ip": "203.0.113.10",
    "application_id": [7, -1],
    "domain": "shop.acme.example",
    "status_code": 404,
    "attack_type": "sqli",
}


async def test_documented_payloads_of_all_forms_become_the_right_alerts(
    settings: Settings, tmp_path: Path
) -> None:
    bootstrap, prefix = settings.kafka.bootstrap_servers or "", settings.topic_prefix
    assert WorkerProcess.command(settings, "topics", "create").returncode == 0
    await put_objects(settings, "config.clients", [CLIENT])
    await put_objects(settings, "config.triggers", TRIGGERS)
    nobody = HIT_ENVELOPE.replace(b"Acme Retail", b"Nobody")
    with WorkerProcess("detector", settings, tmp_path / "worker.log") as worker:
        await worker.ready()
        # Seven hits of one minute, of which any six alone are not enough.
        await send(settings, "hits", HIT_ENVELOPE, json.dumps(EXPORTED).encode())
        await send(settings, "hits", b"[%s,%s,%s]" % (HIT_ENVELOPE, nobody, HIT_ENVELOPE))
        await send(settings, "hits", b"\n".join([HIT_ENVELOPE, SECURITY_ISSUE, HIT_ENVELOPE]))
        await send(settings, "hits", HIT_ENVELOPE)
        await send(settings, "incidents", INCIDENT, INCIDENT)
        await send(settings, "attacks", ATTACK, HIT_ENVELOPE)
        await drained(settings, "detector", TOPICS)
        metrics = await worker.metrics()
        assert worker.stop() == 0
    fired = sorted(
        (found["trigger"]["id"], found["client_id"], found["client_name"], found["window_start"])
        for found in map(json.loads, await alerts(settings))
    )
    assert fired == [
        (1, 1111, "Acme Retail", 1767225600),
        (3, 1111, "Acme Retail", 1767225661),
    ]
    assert metrics['stream_app_events_total{kind="hits",result="counted"}'] == 7
    assert metrics['stream_app_events_total{kind="hits",result="rejected"}'] == 2
    assert metrics['stream_app_events_total{kind="incidents",result="counted"}'] == 2
    dead = []
    for topic in ("events.hits", "events.attacks"):
        for partition in (await read_all(bootstrap, f"{prefix}{topic}.dlq")).values():
            for record in partition:
                headers = {name: value.decode() for name, value in record.headers}
                reason, index = headers["x-error-reason"], headers.get("x-event-index")
                dead.append((topic, reason, index, record.value))
                told = headers["x-error-message"]
                right = {"unknown_client": "'Nobody': 0 clients", "wrong_topic": "send it to "}
                assert right[reason] in told
    assert sorted(dead, key=repr) == [
        ("events.attacks", "wrong_topic", None, HIT_ENVELOPE),
        ("events.hits", "unknown_client", "1", nobody),
        ("events.hits", "wrong_topic", "1", SECURITY_ISSUE),
    ]


async def test_tiny_compressed_records_with_very_many_parts_stop_no_worker(
    settings: Settings, tmp_path: Path
) -> None:
    """A few kilobytes of gzip unpack to megabytes; what comes after them is counted at once."""
    bootstrap, prefix = settings.kafka.bootstrap_servers or "", settings.topic_prefix
    assert WorkerProcess.command(settings, "topics", "create").returncode == 0
    await put_objects(settings, "config.clients", [CLIENT])
    pills = [b"[" + b"1," * 400_000 + b"1]", b"[1" + b" " * MAX_RECORD_BYTES + b"]"]
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, compression_type="gzip", max_request_size=2 * MAX_RECORD_BYTES
    )
    async with producer:
        for topic in ("events.hits", "events.account"):
            for pill in pills:
                await producer.send_and_wait(f"{prefix}{topic}", pill, partition=0)
        await producer.send_and_wait(f"{prefix}events.hits", HIT_ENVELOPE, partition=0)
    with WorkerProcess("detector", settings, tmp_path / "worker.log") as worker:
        await worker.ready()
        await drained(settings, "detector", [*TOPICS, "events.account"])
        metrics = await worker.metrics()
        assert worker.stop() == 0
    assert metrics['stream_app_events_total{kind="hits",result="unmatched"}'] == 1
    for topic in ("events.hits", "events.account"):
        letters = (await read_all(bootstrap, f"{prefix}{topic}.dlq")).values()
        reasons = Counter(
            dict(record.headers)["x-error-reason"] for partition in letters for record in partition
        )
        assert reasons == {b"wrong_type": MAX_REFUSED_PARTS, b"unread": 1, b"too_large": 1}
    assert (tmp_path / "worker.log").read_text().count("notice_rejected") == len(reasons)
