"""The trial of a new set of triggers in `deploy/replay.md`, run as written."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.settings import Settings
from tests.documentation.pages import PAGES, blocks, example
from tests.integration.harness import WorkerProcess, environment, put
from tests.tools import tool

HEADING = "## Trying a new set of triggers on recorded events"


def lines() -> list[str]:
    (_, block), *_ = blocks(PAGES["deploy/replay.md"].partition(HEADING)[2])
    return block.splitlines()


def bound(text: str, settings: Settings) -> str:
    """Put the test's own broker and prefixes in place of the reader's."""
    live = settings.topic_prefix
    text = text.replace("STREAM_APP_TOPIC_PREFIX= ", f"STREAM_APP_TOPIC_PREFIX={live} ")
    text = text.replace('--compare-prefix ""', f"--compare-prefix {live}")
    text = re.sub(r"(?<=[= ])trial\.", f"{live}trial.", text)
    return text.replace("HOST:PORT", settings.kafka.bootstrap_servers or "")


async def test_the_trial_of_the_page_shows_what_would_have_been_posted(
    settings: Settings, tmp_path: Path
) -> None:
    *commands, listing, look, judging = (bound(line, settings) for line in lines())
    assert len(commands) == 5, "eight lines"
    (tmp_path / "acme.yaml").write_text(example())
    await create_topics(settings)
    second = int(time.time()) - 600
    value = json.dumps({"client_id": 1111, "type": "sqli", "first_time": second}).encode()
    bootstrap = settings.kafka.bootstrap_servers or ""
    await put(bootstrap, f"{settings.topic_prefix}events.incidents", [(None, value)] * 2)
    await put(bootstrap, f"{settings.topic_prefix}events.hits", [(None, b'{"client_id":1111}')])
    live = await _live_alert(settings, tmp_path / "acme.yaml")
    paths = f"{Path(sys.executable).parent}:{Path(tool('kcat')).parent}:{os.environ['PATH']}"
    shell = await asyncio.create_subprocess_exec(
        "bash", "-e", "-c", "\n".join([*commands, "wait"]),
        cwd=tmp_path, env=environment(settings) | {"PATH": paths}, start_new_session=True,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output = asyncio.create_task(shell.communicate())
    try:
        results = await _results(look, tmp_path, paths)
        listed = await _run(commands[0], listing, tmp_path, settings, paths)
        judged = await _run(commands[0], judging, tmp_path, settings, paths)
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        text = (await output)[0].decode()
    assert len(results) == 1, text
    result = results[0]
    body = json.loads(result["body"])
    assert result["reason"] == "dry_run"
    assert "https://api.eu.opsgenie.com/v2/alerts" in result["message"]
    assert body["message"] == "[Wallarm] Trigger: The number of incidents exceeded the threshold"
    assert f"time_from={second}&time_to={second + 1}" in body["description"]
    assert body["priority"] == "P2"
    # The trial's triggers are as those of the live run, though `apply` has enabled them anew.
    assert body["alias"] != live["id"]
    assert "dry_run" in listed
    (verdict,) = [line for line in judged.splitlines() if "as before" in line]
    assert (
        verdict == f"trigger {live['trigger']['id']} '{live['trigger']['name']}': 1 alert as before"
    )


async def _live_alert(settings: Settings, file: Path) -> Any:
    """Put the alert that the live detector would have sent to its topic, and return it."""
    env = {"STREAM_APP_KEY_1111_ACME": "00000000-1111-2222-3333-444444444444"}
    run = WorkerProcess.command
    applied = await asyncio.to_thread(run, settings, "apply", "-f", str(file), **env)
    assert applied.returncode == 0, applied.stderr
    replayed = await asyncio.to_thread(run, settings, "replay", "events.incidents", "--json")
    (line,) = replayed.stdout.splitlines()
    bootstrap = settings.kafka.bootstrap_servers or ""
    await put(bootstrap, f"{settings.topic_prefix}alerts", [(b"1111", line.encode())])
    return json.loads(line)


async def _run(exports: str, line: str, folder: Path, settings: Settings, paths: str) -> str:
    """Run a line of the page after its exports; return what it prints."""
    shell = await asyncio.create_subprocess_exec(
        "bash", "-e", "-c", f"{exports}\n{line}",
        cwd=folder, env=environment(settings) | {"PATH": paths}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output = (await shell.communicate())[0].decode()
    assert shell.returncode == 0, output
    return output


async def _results(look: str, folder: Path, paths: str) -> list[Any]:
    """Run the page's last line until it shows something."""
    async with asyncio.timeout(60):
        while True:
            kcat = await asyncio.create_subprocess_exec(
                "bash", "-c", look, cwd=folder, env={"PATH": paths}, stdout=asyncio.subprocess.PIPE
            )
            found = (await kcat.communicate())[0].splitlines()
            if found:
                return [json.loads(line) for line in found]
            await asyncio.sleep(0.5)
