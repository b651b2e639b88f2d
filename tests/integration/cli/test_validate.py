"""`stream-app validate` on a real broker, and the documented way to a first event."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer

from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.settings import Settings
from tests.documentation.pages import PAGES, blocks
from tests.integration.harness import WorkerProcess, groups, read_all
from tests.tools import FOLDER, tool

Row = tuple[str, bytes | None, bytes | None, list[tuple[str, bytes]]]


def validate(settings: Settings, *args: str) -> tuple[int, list[str], str]:
    done = WorkerProcess.command(settings, "validate", *args)
    return done.returncode, done.stdout.splitlines(), done.stderr.partition("not tested: ")[0]


async def write(settings: Settings, rows: Sequence[Row]) -> None:
    """Write rows of (topic, key, value, headers) to partition 0."""
    await create_topics(settings)
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers) as producer:
        for topic, key, value, headers in rows:
            name = f"{settings.topic_prefix}{topic}"
            await producer.send_and_wait(name, value, key, partition=0, headers=headers)


def test_broken_records_of_topics_are_reported_with_their_places(settings: Settings) -> None:
    prefix = settings.topic_prefix
    key = "00000000-1111-2222-3333-444444444444"
    integration = {"id": 521, "client_id": 1, "name": key, "target": {"token": key}}
    letter = [("x-original-topic", b"events.hits"), ("x-error-reason", b"bored")]
    rows: list[Row] = [
        ("events.hits", None, b'{"client_id": 1}', []),
        ("events.hits", b"k", b'[{"client_id": 1}, {"client_id": 1, "sampled": "no"}]', []),
        ("events.hits", None, b"no json", []),
        ("events.incidents", None, b'{"client_id": 1, "first_time": 4102444800}', []),
        ("config.integrations", b"521", json.dumps(integration).encode(), []),
        ("config.integrations", b"522", None, []),
        ("config.clients", b"2", b'{"client_id": 1, "name": "Acme", "cloud": "EU"}', []),
        ("events.hits.dlq", None, b"no json", letter),
    ]
    asyncio.run(write(settings, rows))
    before = asyncio.run(groups(settings))

    code, out, err = validate(settings, "events.hits")
    assert code == 1, err
    assert out[0] == f'{prefix}events.hits/0/1[1]: sampled: "no": must be boolean or null'
    assert out[1].startswith(f"{prefix}events.hits/0/2: undecodable: ")
    assert len(out) == 2
    assert err == "3 records, 2 broken\n"

    code, out, err = validate(settings, "events.hits", "--limit", "1")
    assert (code, len(out), err) == (1, 1, "2 records, 1 broken; stopped at 1 broken\n")

    code, out, _ = validate(settings, "events.incidents")
    place = f"{prefix}events.incidents/0/0"
    assert code == 1
    assert out[0].startswith(f"{place}: future_timestamp: event time 4102444800 is ")

    code, out, err = validate(settings, f"{prefix}config.integrations", "--json")
    assert code == 1
    assert {json.loads(line)["place"] for line in out} == {f"{prefix}config.integrations/0/0"}
    assert key not in "".join(out) + err
    assert err == "2 records, 1 broken\n"

    code, out, _ = validate(settings, "config.clients")
    place = f"{prefix}config.clients/0/0"
    assert (code, out) == (1, [f'{place}: (key): "2": must be the client_id, 1'])

    code, out, _ = validate(settings, "events.hits.dlq")
    assert code == 1
    assert f"{prefix}events.hits.dlq/0/0: x-original-offset: is missing" in out

    assert validate(settings, "events.attacks")[0] == 0
    assert validate(settings, f"{prefix}events.other", "--schema", "hit")[0] == 3
    # `validate` joins no group and commits nothing.
    assert asyncio.run(groups(settings)) - before == set()


def snippet(language: str, settings: Settings) -> str:
    """Return what the page on events tells a reader to run, for this test's topics."""
    (text,) = [text for name, text in blocks(PAGES["schemas/events.md"]) if name == language]
    assert "events.hits" in text
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) <= 10, "a first event takes ten lines"
    return text.replace("events.hits", f"{settings.topic_prefix}events.hits")


def test_the_first_events_of_the_page_arrive_and_keep_the_contract(settings: Settings) -> None:
    asyncio.run(create_topics(settings))
    tool("kcat")
    servers = settings.kafka.bootstrap_servers or ""
    env = {**os.environ, "KAFKA": servers, "PATH": f"{FOLDER}:{os.environ['PATH']}"}
    for command in (
        [sys.executable, "-c", snippet("python", settings)],
        ["bash", "-euo", "pipefail", "-c", snippet("sh", settings)],
    ):
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
    parts = asyncio.run(read_all(servers, f"{settings.topic_prefix}events.hits"))
    values = [json.loads(record.value) for records in parts.values() for record in records]
    assert [value["client_id"] for value in values] == [1111, 1111]
    assert validate(settings, "events.hits") == (0, [], "2 records, 0 broken\n")
