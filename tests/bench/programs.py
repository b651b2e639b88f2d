"""What a round of the bench needs: an installation with its hits, and a program that reads it."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from typing import Any

from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings
from tests.bench import data


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(name: str, bootstrap: str, prefix: str, events: int) -> dict[str, Any]:
    """Run a variant in a process of its own."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.bench.variants", name, bootstrap, prefix, str(events)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    rows = [line for line in result.stdout.splitlines() if line.startswith("{")]
    if result.returncode or not rows:
        raise RuntimeError(f"{name} failed ({result.returncode}): {result.stdout}{result.stderr}")
    figures: dict[str, Any] = json.loads(rows[-1])
    return figures


async def filled(
    bootstrap: str,
    tenants: data.Tenants,
    events: int,
    span_seconds: int = data.SPAN_SECONDS,
) -> str:
    """Make an installation with all its hits; return its prefix."""
    prefix = f"bench{uuid.uuid4().hex[:8]}."
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers=bootstrap),
        topic_prefix=prefix,
        partitions=data.PARTITIONS,
    )
    await create_topics(settings)
    clients = data.clients(tenants.clients)
    await data.put_objects(bootstrap, f"{prefix}config.clients", "client_id", clients)
    await data.put_objects(bootstrap, f"{prefix}config.triggers", "id", tenants.triggers)
    size = await data.fill(bootstrap, f"{prefix}events.hits", events, tenants.clients, span_seconds)
    say(f"  {events:,} hits of {size} bytes in {prefix}events.hits")
    return prefix
