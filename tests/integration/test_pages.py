"""What the pages tell a reader to type works as written, in their order."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.settings import Settings
from tests.documentation.pages import PAGES, ROOT, blocks, example
from tests.integration.harness import HEALTH_LINE, WorkerProcess, drained, get, put, read_all
from tests.tools import FOLDER as TOOLS

#: The pages whose commands are run here, one after the other: an installation is set up first.
ORDER = (
    "README.md",
    "deploy/README.md",
    "deploy/commands.md",
    "schemas/configuration.md",
    "deploy/why-no-alert.md",
    "deploy/testing-an-integration.md",
    "deploy/dead-letters.md",
    "deploy/replay.md",
    "deploy/moving-to-jsm.md",
    "deploy/keys.md",
    "tests/bench/README.md",
)
KEY = "00000000-1111-2222-3333-444444444444"
COMMAND = (
    "git ",
    "make ",
    "export ",
    "stream-app ",
    "kcat ",
    "STREAM_APP_TOPIC_PREFIX= stream-app ",
)
WORKER = "stream-app worker "
#: Lines that are not run here, and the reason.
NOT_RUN = {
    "make run": "runs `stream-app demo`, which tests/integration/test_demo.py does",
    "make test": "runs this test",
    "make bench": "takes half an hour; test_pages.py in tests/unit/project knows its bounds",
}
#: Text in blocks that another test runs -> that test.
RUN_ELSEWHERE = {
    "STREAM_APP_DRY_RUN=true": "tests/integration/test_pages_dry_run.py",
    "--allow-principal": "tests/integration/cluster/test_acls.py",
    "kcat -P -b": "tests/integration/cli/test_validate.py",
    "import asyncio": "tests/integration/cli/test_validate.py",
    "make kafka\n": "tests/integration/test_pages_own_trigger.py",
    "for topic in config": "tests/deploy/test_backup.py",
    "python -m build": "tests/integration/test_installed.py",
    "openssl rand": "tests/integration/watching/test_guarded_endpoints.py",
    "kill $sandbox": "tests/integration/test_pages_own_trigger.py",
}
#: Pages for what this machine has not: an engine, a cluster, an account of a service -> the test of
#: what they say.
TESTED_ELSEWHERE = {
    "deploy/containers.md": "tests/deploy/compose/test_demo.py",
    "deploy/heartbeat.md": "tests/unit/cli/operations/test_heartbeat.py",
    "deploy/kafka-sign-in.md": "tests/integration/sign_in/test_workers.py",
    "deploy/kubernetes.md": "tests/deploy/chart/test_page.py",
    "deploy/systemd.md": "tests/deploy/test_systemd.py",
}
#: What a reader replaces by something of their own -> what this test puts there.
PLACEHOLDERS = {
    "REPOSITORY": "{repository}",
    "broker-1:9092,broker-2:9092": "{broker}",
    "REPLICATION_FACTOR=3": "REPLICATION_FACTOR=1",
    "alerts show 3f9a61": "alerts show {hash}",
    "events.hits/0/1234": "{event}",
    "deliveries.dlq/3/17": "{letter}",
    "-b HOST:PORT -t ": "-b {broker} -t {prefix}",
}


def blocks_of(pages: Iterable[str]) -> list[tuple[str, str]]:
    """Return (language, text) of the blocks of these pages that no other test runs."""
    found = [block for page in pages for block in blocks(PAGES[page])]
    return [block for block in found if not any(mark in block[1] for mark in RUN_ELSEWHERE)]


def lines(pages: Iterable[str] = ORDER) -> list[str]:
    """Return the commands of the fenced blocks, in their order."""
    rows = [line for _, text in blocks_of(pages) for line in text.splitlines()]
    return [line for line in rows if line.startswith(COMMAND)]


def write_files(folder: Path, config: str) -> None:
    """Write the files that the pages' commands name, made from the pages' own example."""
    (folder / "acme.yaml").write_text(config)
    client, integration, *triggers = yaml.safe_load_all(config)
    (folder / "client.yaml").write_text(yaml.safe_dump(client))
    answer = {"body": {"result": "success", "object": [integration]}}
    (folder / "integrations.json").write_text(json.dumps(answer))
    bodies = [one["trigger"] for one in triggers]
    (folder / "triggers.json").write_text(json.dumps({"triggers": bodies}))
    counting = next(body for body in bodies if body.get("threshold"))
    hits = {**counting, "template_id": "hits_exceeded", "filters": []}
    for name in ("new.yaml", "trigger.yaml"):
        (folder / name).write_text(yaml.safe_dump({"trigger": hits}))


class Shell:
    """Runs lines one after the other as in one shell: exports stay."""

    def __init__(self, folder: Path, settings: Settings, sandbox: str) -> None:
        self._folder = folder
        self._state = folder / "exported"
        self._workers: list[subprocess.Popen[bytes]] = []
        self.values = {
            "broker": settings.kafka.bootstrap_servers or "",
            "prefix": settings.topic_prefix,
            "repository": str(folder / "repository"),
        }
        subprocess.run(["git", "init", "--quiet", self.values["repository"]], check=True)  # noqa: S607
        command = folder / "stream-app"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m stream_app "$@"\n')
        command.chmod(0o755)
        self._exports = {
            "PYTHONPATH": str(ROOT),
            "PATH": os.pathsep.join([str(folder), str(TOOLS), os.environ["PATH"]]),
            "STREAM_APP_TOPIC_PREFIX": settings.topic_prefix,
            "STREAM_APP_PARTITIONS": "2",
            "STREAM_APP_HTTP__PORT": "0",
            "STREAM_APP_LOG__FORMAT": "json",
            "STREAM_APP_KEY_1111_ACME": KEY,
            "STREAM_APP_DELIVERY__SANDBOX_URL": sandbox,
        }
        self._state.write_text("")

    def _bash(self, line: str) -> list[str]:
        text = f'. "{self._state}"\n{line}\ncode=$?\nexport -p > "{self._state}"\nexit $code'
        return ["/bin/bash", "-c", text]

    async def run(self, line: str) -> None:
        """Run a line to its end; a worker is only awaited until it is ready."""
        for placeholder, value in PLACEHOLDERS.items():
            if placeholder in line:
                line = line.replace(placeholder, value.format(**self.values))
        env = dict(os.environ) | self._exports
        if line.startswith(WORKER):
            await self._start(line, env)
            return
        done = await asyncio.to_thread(
            subprocess.run, self._bash(line), cwd=self._folder, env=env, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        assert KEY not in done.stdout + done.stderr, line

    async def _start(self, line: str, env: Mapping[str, str]) -> None:
        log = self._folder / f"worker-{len(self._workers)}"
        line = f'. "{self._state}"\nexec {line}'
        with log.open("wb") as out:
            worker = subprocess.Popen(  # noqa: ASYNC220 - it goes on beside the test
                ["/bin/bash", "-c", line],
                cwd=self._folder,
                env=env,
                stdout=out,
                stderr=out,
            )
        self._workers.append(worker)
        async with asyncio.timeout(60):
            while True:
                assert worker.poll() is None, log.read_text()
                found = HEALTH_LINE.search(log.read_text())
                if found and (await get(f"{found.group(1)}/readyz"))[0] == 200:
                    return
                await asyncio.sleep(0.1)

    def stop(self) -> None:
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            worker.wait(20)


@pytest.fixture
async def shell(settings: Settings, tmp_path: Path) -> AsyncIterator[Shell]:
    sandbox = SandboxOpsgenie()
    url = await sandbox.start()
    shell = Shell(tmp_path, settings, url)
    config = example().replace("https://api.eu.opsgenie.com/v2/alerts", f"{url}/v2/alerts")
    assert url in config
    write_files(tmp_path, config)
    try:
        yield shell
    finally:
        shell.stop()
        await sandbox.stop()


async def _records(settings: Settings, topic: str) -> list[Any]:
    bootstrap = settings.kafka.bootstrap_servers or ""
    found = await read_all(bootstrap, f"{settings.topic_prefix}{topic}")
    return [record for records in found.values() for record in records]


async def _something_happens(settings: Settings) -> dict[str, str]:
    """Let the example's trigger fire, and write an unusable delivery; return the names of both."""
    bootstrap, prefix = settings.kafka.bootstrap_servers or "", settings.topic_prefix
    event = {"client_id": 1111, "first_time": int(time.time()), "type": "ptrav"}
    rows = [(None, json.dumps(event).encode())] * 2
    await put(bootstrap, f"{prefix}events.incidents", rows)
    hit = {"client_id": 1111, "request_time": int(time.time()), "type": "sqli"}
    await put(bootstrap, f"{prefix}events.hits", [(None, json.dumps(hit).encode())])
    await put(bootstrap, f"{prefix}deliveries", [(b"521", b"no delivery")])
    async with asyncio.timeout(40):
        while not (alerts := await _records(settings, "alerts")):  # noqa: ASYNC110 - of workers
            await asyncio.sleep(0.2)
        while not (letters := await _records(settings, "deliveries.dlq")):  # noqa: ASYNC110 - same
            await asyncio.sleep(0.2)
    await drained(settings, "notifier", ["alerts", "deliveries", "delivery-results"])
    letter, (event,) = letters[0], await _records(settings, "events.hits")
    return {
        "event": f"events.hits/{event.partition}/{event.offset}",
        "hash": json.loads(alerts[0].value)["id"].rpartition(":")[2][:8],
        "letter": f"deliveries.dlq/{letter.partition}/{letter.offset}",
    }


@pytest.mark.long
@pytest.mark.timeout(900)  # 60 commands and more, each a process of its own
async def test_the_commands_of_the_pages_run_as_written_in_order(
    shell: Shell, settings: Settings
) -> None:
    to_run = [line for line in lines() if line not in NOT_RUN]
    for line in to_run:
        if "hash" not in shell.values and line.startswith("stream-app status"):
            shell.values |= await _something_happens(settings)
        await shell.run(line)
    assert len(to_run) >= 20
    results = [json.loads(r.value) for r in await _records(settings, "delivery-results")]
    attempts = [result["accepted"] for result in results if result["type"] == "attempt"]
    assert attempts == [True], "the trigger of the example has notified its integration"


def test_every_line_of_a_block_is_a_command_or_a_picture() -> None:
    for language, text in blocks_of(PAGES.keys() - TESTED_ELSEWHERE):
        if language in ("yaml", "text") or "─►" in text:
            continue
        strange = [line for line in text.splitlines() if line and not line.startswith(COMMAND)]
        assert strange == [], "it would not be run"


def test_the_commands_of_every_page_are_run() -> None:
    known = {*ORDER, *TESTED_ELSEWHERE}
    assert [page for page in PAGES if page not in known and lines([page])] == []


def test_the_tables_of_this_test_hold_nothing_old() -> None:
    text = "\n".join(lines())
    assert [name for name in (*NOT_RUN, *PLACEHOLDERS) if name not in text] == []
    assert [page for page in ORDER if not lines([page])] == []
    everything = "\n".join(PAGES.values())
    assert [mark for mark in RUN_ELSEWHERE if mark not in everything] == []
    assert TESTED_ELSEWHERE.keys() <= PAGES.keys()
    files = (*RUN_ELSEWHERE.values(), *TESTED_ELSEWHERE.values())
    assert [file for file in files if not (ROOT / file).exists()] == []


async def test_the_configuration_of_the_pages_can_be_applied(
    settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "acme.yaml"
    file.write_text(example())
    await create_topics(settings)
    shown = WorkerProcess.command(settings, "apply", "-f", str(file), "--dry-run", "--json")
    assert shown.returncode == 0, shown.stderr
    changes = {
        (row["kind"], row["id"]): row["action"] for row in json.loads(shown.stdout)["changes"]
    }
    assert set(changes) == {
        ("client", 1111),
        ("integration", 521),
        ("trigger", 61),
        ("trigger", 62),
    }
    applied = WorkerProcess.command(settings, "apply", "-f", str(file))
    assert applied.returncode == 0, applied.stderr
    again = WorkerProcess.command(settings, "apply", "-f", str(file), "--json")
    assert {row["action"] for row in json.loads(again.stdout)["changes"]} <= {"unchanged"}


def test_the_test_command_is_the_one_that_ci_runs() -> None:
    marked = PAGES["README.md"].partition("<!-- test command -->\n```\n")[2]
    assert marked.startswith("make test\n```")
