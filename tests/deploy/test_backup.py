"""The backup of the configuration in `deploy/README.md`, and its restoring, run as written."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from pathlib import Path

from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.key_ring import generate_secret_key
from stream_app.settings import Settings
from tests.documentation.pages import PAGES, blocks, example
from tests.integration.harness import WorkerProcess, read_all
from tests.tools import FOLDER as TOOLS

TOPICS = ("config.clients", "config.integrations", "config.triggers", "status.integrations")


async def run(text: str, settings: Settings, folder: Path) -> None:
    """Run commands of the page in a folder, with this test's broker and prefix."""
    text = text.replace("broker-1:9092", settings.kafka.bootstrap_servers or "")
    text = text.replace("-t $topic", f"-t {settings.topic_prefix}$topic")
    shell = await asyncio.create_subprocess_exec(
        "bash", "-e", "-c", text,
        cwd=folder, env=os.environ | {"PATH": f"{TOOLS}:{os.environ['PATH']}"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await shell.communicate()
    assert shell.returncode == 0, output


async def test_what_the_page_backs_up_is_an_installation_again(
    settings: Settings, tmp_path: Path
) -> None:
    parts = PAGES["deploy/README.md"].partition("\n## Backup\n")[2].partition("\n## ")[0]
    (_, backup), (_, restore) = blocks(parts)
    env = {"STREAM_APP_SECRET_KEYS": generate_secret_key()}
    plain = example().replace("env:STREAM_APP_KEY_1111_ACME", str(uuid.UUID(int=1)))
    assert plain != example()
    (tmp_path / "acme.yaml").write_text(plain)
    await create_topics(settings)
    for args in (
        ("apply", "-f", str(tmp_path / "acme.yaml")),
        ("delete", "triggers", "62", "--yes"),
    ):
        done = WorkerProcess.command(settings, *args, **env)
        assert done.returncode == 0, done.stderr
    await run(backup, settings, tmp_path)
    restored = settings.model_copy(update={"topic_prefix": f"{settings.topic_prefix}new."})
    await create_topics(restored)
    *copying, check = restore.splitlines()
    await run("\n".join(copying), restored, tmp_path)
    assert check == "stream-app get integrations"
    for topic in TOPICS:
        old, new = [
            {record.key: record.value for record in sorted(found, key=lambda one: one.offset)}
            for one in (settings, restored)
            for found in (
                await read_all(one.kafka.bootstrap_servers or "", f"{one.topic_prefix}{topic}")
            ).values()
        ]
        assert old == new, topic
    shown = WorkerProcess.command(restored, "get", "triggers", "--json", **env)
    assert [json.loads(line)["id"] for line in shown.stdout.splitlines()] == [61]
    # The sealed key is opened, so nothing about the integration is wrong.
    listed = WorkerProcess.command(restored, "secrets", "rotate", "--dry-run", **env)
    assert listed.returncode == 0, listed.stdout + listed.stderr
