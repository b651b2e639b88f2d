"""The runbook's kcat command, as written, prints what the runbook says."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time

from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.settings import Settings
from tests.conftest import ROOT
from tests.integration.harness import put
from tests.tools import tool

RUNBOOK = " ".join((ROOT / "deploy" / "runbook.md").read_text().split())


async def test_the_newest_events_are_printed_with_their_append_times(settings: Settings) -> None:
    (command,) = re.findall(r"`(kcat [^`]+)`", RUNBOOK)
    servers, prefix = settings.kafka.bootstrap_servers or "", settings.topic_prefix
    await create_topics(settings)
    event = {"client_id": 1111, "request_time": 4102444800}
    began = time.time()
    await put(servers, f"{prefix}events.hits", [(b"1111", json.dumps(event).encode())])
    for place, value in (("HOST:PORT", servers), ("PREFIX", prefix), ("KIND", "hits")):
        assert place in command
        command = command.replace(place, value)
    name, *words = command.split()
    done = await asyncio.to_thread(
        subprocess.run, [tool(name), *words], capture_output=True, text=True, timeout=30, check=True
    )
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert "`ts` of a line is the append time in ms" in RUNBOOK
    assert began - 1 <= found["ts"] / 1000 <= time.time() + 1
    assert json.loads(found["payload"]) == event
