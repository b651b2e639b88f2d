"""What the bench reads: hits of about 600 bytes, 20 clients, their triggers and integrations."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer

from stream_app.domain.configuration.integrations import key_context
from stream_app.key_ring import KeyRing
from stream_app.settings import Settings

PARTITIONS = 4
CLIENTS = range(1, 21)
MANY_CLIENTS = range(1, 201)
PERIOD = 60
SPAN_SECONDS = 600

TEMPLATE: dict[str, Any] = {
    "object_type": "hit",
    "host": "shop.acme.example",
    "method": "GET",
    "path": "/catalog",
    "payloads": ["1' union select 1,2--"],
    "point": ["get", "id"],
    "parameter": "GET_id_value",
    "remote_country": "PL",
    "remote_port": 41253,
    "remote_addr6": None,
    "datacenter": "unknown",
    "tor": "none",
    "response_len": 345,
    "response_time": 359,
    "stamps": [7965],
    "regex": [],
    "block_status": "monitored",
    "protocol": "rest",
    "request_id": "d4184a2f138b73c7ef4f7090deb5dfe1",
    "state": None,
}


def hits(
    number: int,
    start: int,
    clients: Sequence[int] = CLIENTS,
    span_seconds: int = SPAN_SECONDS,
) -> Iterator[bytes]:
    """Yield hits of the clients, spread over ten minutes of event time unless told."""
    chance = random.Random(1)
    for index in range(number):
        seconds = start + index * span_seconds // number
        yield orjson.dumps(
            TEMPLATE
            | {
                "client_id": chance.choice(clients),
                "type": chance.choice(["sqli", "xss", "rce", "ptrav"]),
                "request_time": seconds,
                "create_time": seconds + 3,
                "remote_addr4": f"203.0.113.{chance.randrange(256)}",
                "response_status": chance.choice([200, 404, 500]),
                "poolid": chance.choice([-1, 7]),
                "experimental": index % 50 == 0,
                "sampled": index % 40 != 0,
            }
        )


def triggers(*, count: int = 5, period: int = PERIOD) -> list[dict[str, Any]]:
    """Return 20 triggers, half of them with a filter."""
    types = [{"id": "attack_type", "operator": "eq", "values": ["sqli", "xss"]}]
    return [
        {
            "id": number,
            "client_id": number,
            "name": f"Trigger {number}",
            "comment": "",
            "enabled": True,
            "template_id": "hits_exceeded",
            "filters": types if number % 2 else [],
            "threshold": {"count": count, "period": period, "operator": "gt"},
            "actions": [{"id": "send_notification", "params": {"integration_ids": [number]}}],
            "enabled_at": 1,
        }
        for number in CLIENTS
    ]


Filters = list[dict[str, Any]]

#: Filters of a client's five triggers: a hit passes about three of them, or exactly one.
THREE_OF_FIVE: list[Filters] = [
    [],
    [{"id": "attack_type", "operator": "eq", "values": ["sqli", "xss"]}],
    [{"id": "pool", "operator": "eq", "values": [7]}],
    [{"id": "response_status", "operator": "eq", "values": ["5xx", 404]}],
    [{"id": "ip_address", "operator": "ne", "values": ["203.0.113.7", "203.0.113.8"]}],
]
ONE_OF_FIVE: list[Filters] = [
    [{"id": "attack_type", "operator": "eq", "values": [code]}]
    for code in ("sqli", "xss", "rce", "ptrav", "xxe")
]


def many_triggers(filters: Sequence[Filters]) -> list[dict[str, Any]]:
    """Return a trigger with each of the filters for each of 200 clients.

    Twenty of them fire in each window, as all of `triggers` do, so that runs differ in their number
    of triggers and not in their number of alerts.
    """
    (sample, *_) = triggers()
    return [
        sample
        | {
            "id": client * 10 + place,
            "client_id": client,
            "name": f"Trigger {place} of client {client}",
            "filters": found,
            "threshold": {
                "count": 5 if place == 0 and client in CLIENTS else 1_000_000,
                "period": PERIOD,
                "operator": "gt",
            },
        }
        for client in MANY_CLIENTS
        for place, found in enumerate(filters)
    ]


def clients(numbers: Sequence[int] = CLIENTS) -> list[dict[str, Any]]:
    """Return the clients, 20 unless told."""
    return [
        {"client_id": number, "name": f"Client {number}", "cloud": "EU", "applications": {}}
        for number in numbers
    ]


@dataclass(frozen=True)
class Tenants:
    """Whose hits an installation gets, and what is configured for them."""

    clients: Sequence[int]
    triggers: list[dict[str, Any]]


TWENTY = Tenants(CLIENTS, triggers())
THOUSAND = Tenants(MANY_CLIENTS, many_triggers(THREE_OF_FIVE))
THOUSAND_APART = Tenants(MANY_CLIENTS, many_triggers(ONE_OF_FIVE))


def key_of(number: int) -> str:
    """Return the API key of a client's integration."""
    return f"00000000-0000-4000-8000-{number:012d}"


async def configure(
    settings: Settings, url: str, triggers: list[dict[str, Any]] | None = None
) -> None:
    """Write the clients, their triggers, and an integration of each with the sandbox at `url`."""
    ring, bootstrap = KeyRing.from_settings(settings), settings.kafka.bootstrap_servers or ""
    integrations = [
        {
            "id": number,
            "client_id": number,
            "name": f"Sandbox {number}",
            "type": "opsgenie",
            "active": True,
            "events": [],
            "target": {
                "api": f"{url}/v2/alerts",
                "token": ring.seal(key_of(number), key_context(number, number, url)),
            },
        }
        for number in CLIENTS
    ]
    prefix = settings.topic_prefix
    await put_objects(bootstrap, f"{prefix}config.clients", "client_id", clients())
    await put_objects(bootstrap, f"{prefix}config.integrations", "id", integrations)
    await put_objects(bootstrap, f"{prefix}config.triggers", "id", triggers or [])


async def fill(
    bootstrap: str,
    topic: str,
    number: int,
    clients: Sequence[int] = CLIENTS,
    span_seconds: int = SPAN_SECONDS,
) -> int:
    """Write `number` hits to the topic; return the mean size of one in bytes."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, linger_ms=20, max_batch_size=256 * 1024
    )
    await producer.start()
    size, futures = 0, []
    start = int(time.time()) - span_seconds
    for index, value in enumerate(hits(number, start, clients, span_seconds)):
        size += len(value)
        futures.append(await producer.send(topic, value, partition=index % PARTITIONS))
        if len(futures) >= 20_000:
            await asyncio.gather(*futures)
            futures.clear()
    await asyncio.gather(*futures)
    await producer.stop()
    return size // number


async def put_objects(bootstrap: str, topic: str, key: str, objects: list[dict[str, Any]]) -> None:
    """Write configuration objects as they stand on their topic."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    futures = [
        await producer.send(topic, json.dumps(item).encode(), key=str(item[key]).encode())
        for item in objects
    ]
    await asyncio.gather(*futures)
    await producer.stop()
