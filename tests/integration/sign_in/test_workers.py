"""Both workers sign in, work, and go on through sessions that end and files that change."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from stream_app.kafka.cluster.admin import create_topics
from stream_app.key_ring import generate_secret_key
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.settings import Settings
from tests.integration.harness import WorkerProcess, put
from tests.integration.sign_in.place import Place
from tests.integration.sign_in.scram import set_password
from tests.integration.sign_in.settings import (
    SCRAM_PASSWORD,
    bearer,
    plain,
    scram,
    settings_at,
    variables,
)

HIT = json.dumps({"client_id": 1111, "request_time": 1767225600, "type": "sqli"}).encode()
NEW_PASSWORD = "fake-new-word"


class Sandbox:
    """A sandbox Opsgenie, and what configures an installation to send to it."""

    def __init__(self, server: SandboxOpsgenie, url: str) -> None:
        self.server = server
        self.env = {
            "STREAM_APP_SECRET_KEYS": generate_secret_key(),
            "STREAM_APP_DELIVERY__SANDBOX_URL": url,
        }
        self._url = url

    def objects(self) -> list[dict[str, Any]]:
        """Return a client, its integration, and a trigger that each hit of a new hour fires."""
        return [
            {"client_id": 1111, "name": "Acme", "cloud": "EU"},
            {
                "id": 521,
                "client_id": 1111,
                "name": "On-call",
                "active": True,
                "type": "opsgenie",
                "events": [],
                "target": {
                    "token": "00000000-0000-0000-0000-000000000000",
                    "api": f"{self._url}/v2/alerts",
                },
            },
            {
                "id": 61,
                "client_id": 1111,
                "name": "Hits",
                "enabled": True,
                "template_id": "hits_exceeded",
                "threshold": {"count": 0, "period": 1},
                "actions": [{"id": "send_notification", "params": {"integration_ids": [521]}}],
            },
        ]

    async def received(self, count: int) -> None:
        async with asyncio.timeout(90):
            while len(self.server.requests) < count:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    server = SandboxOpsgenie()
    yield Sandbox(server, await server.start())
    await server.stop()


def worker(role: str, settings: Settings, folder: Path, **more: str) -> WorkerProcess:
    return WorkerProcess(role, settings, folder / f"{role}.log", **variables(settings), **more)


async def command(settings: Settings, *args: str, **env: str) -> str:
    done = await asyncio.to_thread(
        WorkerProcess.command, settings, *args, **variables(settings), **env
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def logged(process: WorkerProcess, text: str) -> None:
    """Wait until a worker's log has a text."""
    async with asyncio.timeout(90):
        while text not in process.text:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)


async def until(reached: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(90):
        while not await reached():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)


async def ended(process: WorkerProcess) -> int:
    return await asyncio.to_thread(process.process.wait, 90)


def connection_problems(process: WorkerProcess) -> list[str]:
    """Return the lines of a worker's log about connections that broke."""
    marks = ("KafkaConnectionError", "Unable connect", "closed", "refuses")
    return [line for line in process.text.splitlines() if any(mark in line for mark in marks)]


async def hit(place: Place, settings: Settings, second: int) -> None:
    """Send a hit by the open listener, in a window of its own."""
    value = json.dumps(json.loads(HIT) | {"request_time": 1767225600 + 2 * second}).encode()
    topic = f"{settings.topic_prefix}events.hits"
    await put(place.addresses["PLAINTEXT"], topic, [(None, value)])


@pytest.mark.long
async def test_an_alert_arrives_through_a_client_certificate_and_scram(
    place: Place, sandbox: Sandbox, tmp_path: Path
) -> None:
    settings = settings_at(place, "MUTUALSCRAM", scram(place))
    env = sandbox.env
    await command(settings, "topics", "create", **env)
    file = tmp_path / "objects.json"
    file.write_text(json.dumps(sandbox.objects()))
    await command(settings, "apply", "-f", str(file), **env)
    with (
        worker("detector", settings, tmp_path, **env) as detector,
        worker("notifier", settings, tmp_path, **env) as notifier,
    ):
        await detector.ready()
        await notifier.ready()
        await command(settings, "sample", "--topic", "events.hits", "--count", "5", **env)
        await sandbox.received(1)
        for args in (("status",), ("topics", "check"), ("validate", "events.hits"), ("get",)):
            kinds = ("triggers",) if args == ("get",) else ()
            await command(settings, *args, *kinds, **env)
        # The password changes on the broker. Connections that stand go on; a new one is refused.
        await set_password(place.addresses["PLAINTEXT"], "scram", NEW_PASSWORD)
        assert (detector.stop(), notifier.stop()) == (0, 0)
    for process in (detector, notifier):
        assert connection_problems(process) == []
        assert SCRAM_PASSWORD not in process.text
    await set_password(place.addresses["PLAINTEXT"], "scram", SCRAM_PASSWORD)


@pytest.mark.long
@pytest.mark.parametrize("way", ["password", "token"])
async def test_nothing_happens_when_sessions_end(
    place: Place, tmp_path: Path, sandbox: Sandbox, way: str
) -> None:
    """Sessions of three seconds, by the listener's setting or by the token's life."""
    if way == "token":
        place.tokens.life_seconds = 10
        settings = settings_at(place, "BEARER", bearer(place))
    else:
        settings = settings_at(place, "SHORT", plain())
    place.tokens.tokens.clear()
    await create_topics(settings)
    file = tmp_path / "objects.json"
    file.write_text(json.dumps(sandbox.objects()))
    await command(settings, "apply", "-f", str(file), **sandbox.env)
    with (
        worker("detector", settings, tmp_path, **sandbox.env) as detector,
        worker("notifier", settings, tmp_path, **sandbox.env) as notifier,
    ):
        await detector.ready()
        await notifier.ready()
        for second in range(10):
            await hit(place, settings, second)
            await asyncio.sleep(1)
        await sandbox.received(10)
        assert (detector.stop(), notifier.stop()) == (0, 0)
    place.tokens.life_seconds = 3600
    assert len({request.alias for request in sandbox.server.requests}) == 10
    assert [connection_problems(process) for process in (detector, notifier)] == [[], []]
    if way == "token":
        assert len(place.tokens.tokens) > 2
        assert not any(token in detector.text for token in place.tokens.tokens)
