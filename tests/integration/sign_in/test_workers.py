"""Both workers sign in, work, and go on through sessions that end and files that change."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.key_ring import generate_secret_key
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.settings import Settings
from tests.integration.harness import WorkerProcess, put
from tests.integration.sign_in.place import Place
from tests.integration.sign_in.rights import GROUP, TOPIC, allow_all, forbid_reading
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
    folder.mkdir(exist_ok=True)
    return WorkerProcess(role, settings, folder / f"{role}.log", **variables(settings), **more)


async def run(settings: Settings, env: dict[str, str], *commands: tuple[str, ...]) -> None:
    for args in commands:
        done = await asyncio.to_thread(WorkerProcess.command, settings, *args, **env)
        assert done.returncode == 0, done.stdout + done.stderr


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


def replace_link(link: Path, target: Path) -> None:
    """Let a link name another file, as Kubernetes renews what it mounts."""
    new = link.with_suffix(".new")
    new.symlink_to(target)
    new.rename(link)


async def not_ready(process: WorkerProcess) -> str:
    """Return why the sign-in makes a worker not ready."""
    status, page = await process.page("/readyz")
    assert status == 503, page
    return next(line for line in page.splitlines() if line.startswith("sign-in: "))


async def is_ready(process: WorkerProcess) -> bool:
    return (await process.page("/readyz"))[0] == 200


@pytest.mark.long
async def test_workers_go_on_through_ended_sessions_and_a_renewed_certificate_and_password(
    place: Place, sandbox: Sandbox, tmp_path: Path
) -> None:
    """A client certificate, SCRAM, and sessions of three seconds."""
    old, new = place.client_pair(), place.client_pair()
    files: dict[str, Any] = {
        "ssl_certfile": tmp_path / "tls.crt",
        "ssl_keyfile": tmp_path / "tls.key",
    }
    replace_link(files["ssl_certfile"], old.certfile)
    replace_link(files["ssl_keyfile"], old.keyfile)
    settings = settings_at(place, "MUTUALSCRAM", scram(place, **files))
    password = tmp_path / "password"
    password.write_text(SCRAM_PASSWORD)
    env = variables(settings) | sandbox.env
    del env["STREAM_APP_KAFKA__SASL_PASSWORD"]
    env["STREAM_APP_KAFKA__SASL_PASSWORD_FILE"] = str(password)

    objects = tmp_path / "objects.json"
    objects.write_text(json.dumps(sandbox.objects()))
    await run(settings, env, ("topics", "create"), ("apply", "-f", str(objects)))
    workers = [
        WorkerProcess(role, settings, tmp_path / f"{role}.log", **env)
        for role in ("detector", "notifier")
    ]
    with workers[0] as detector, workers[1] as notifier:
        await detector.ready()
        await notifier.ready()
        for second in range(8):
            await hit(place, settings, second)
            await asyncio.sleep(1)
        await sandbox.received(8)
        await run(settings, env, ("status",), ("validate", "events.hits"))
        for process in workers:
            assert connection_problems(process) == []
        # The key follows its certificate a moment later, as half-written renewals do.
        replace_link(files["ssl_certfile"], new.certfile)
        await set_password(place.addresses["PLAINTEXT"], "scram", NEW_PASSWORD)
        try:
            for process in workers:
                await logged(process, "kafka_refuses")
                assert "SASL_PASSWORD" in await not_ready(process)
                await logged(process, "files_not_read_again")
            await hit(place, settings, 8)
            replace_link(files["ssl_keyfile"], new.keyfile)
            password.write_text(NEW_PASSWORD)
            for process in workers:
                await logged(process, "kafka_accepts_again")
                await logged(process, "files_read_again")
                await until(lambda process=process: is_ready(process))  # type: ignore[misc]
            await sandbox.received(9)
            assert (detector.stop(), notifier.stop()) == (0, 0)
        finally:
            await set_password(place.addresses["PLAINTEXT"], "scram", SCRAM_PASSWORD)
    assert len({request.alias for request in sandbox.server.requests}) == 9
    for process in workers:
        assert process.text.count("kafka_refuses") == 1
        assert SCRAM_PASSWORD not in process.text
        assert NEW_PASSWORD not in process.text


@pytest.mark.long
async def test_workers_go_on_when_their_tokens_end(
    place: Place, sandbox: Sandbox, tmp_path: Path
) -> None:
    place.tokens.life_seconds = 10
    place.tokens.tokens.clear()
    settings = settings_at(place, "BEARER", bearer(place))
    await create_topics(settings)
    file = tmp_path / "objects.json"
    file.write_text(json.dumps(sandbox.objects()))
    await run(settings, variables(settings) | sandbox.env, ("apply", "-f", str(file)))
    with (
        worker("detector", settings, tmp_path, **sandbox.env) as detector,
        worker("notifier", settings, tmp_path, **sandbox.env) as notifier,
    ):
        await detector.ready()
        await notifier.ready()
        given = len(place.tokens.tokens)
        for second in range(10):
            await hit(place, settings, second)
            await asyncio.sleep(1)
        await sandbox.received(10)
        assert len(place.tokens.tokens) > given
        for process in (detector, notifier):
            assert connection_problems(process) == []
        place.tokens.answer = lambda: (503, b"")
        try:
            for process in (detector, notifier):
                await logged(process, "token_not_renewed")
                await logged(process, "kafka_refuses")
                assert "OAUTH_TOKEN_URL" in await not_ready(process)
        finally:
            place.tokens.answer = None
        for process in (detector, notifier):
            await logged(process, "kafka_accepts_again")
        await hit(place, settings, 10)
        await sandbox.received(11)
        assert (detector.stop(), notifier.stop()) == (0, 0)
    place.tokens.life_seconds = 3600
    for process in (detector, notifier):
        assert process.text.count("token_not_renewed") == 1
        assert not any(token in process.text for token in place.tokens.tokens)


@pytest.mark.long
async def test_a_right_that_is_withdrawn_ends_a_worker_and_the_next_one_at_its_start(
    place: Place, tmp_path: Path
) -> None:
    settings = settings_at(place, "PLAIN", plain("limited"))
    everybody, prefix = place.addresses["PLAINTEXT"], settings.topic_prefix
    await allow_all(everybody, prefix)
    await create_topics(settings)
    key = {"STREAM_APP_SECRET_KEYS": generate_secret_key()}
    with (
        worker("detector", settings, tmp_path, **key) as detector,
        worker("notifier", settings, tmp_path, **key) as notifier,
    ):
        await detector.ready()
        await notifier.ready()
        await forbid_reading(everybody, TOPIC, f"{prefix}events.hits")
        await forbid_reading(everybody, GROUP, f"{prefix}stream-app-notifier")
        assert (await ended(detector), await ended(notifier)) == (4, 4)
    folder = tmp_path / "again"
    with (
        worker("detector", settings, folder, **key) as next_detector,
        worker("notifier", settings, folder, **key) as next_notifier,
    ):
        assert (await ended(next_detector), await ended(next_notifier)) == (4, 4)
    topic = f"the user lacks Read on topic {prefix}events.hits: see deploy/acls.md"
    group = f"the user lacks Read on group {prefix}stream-app-notifier: see deploy/acls.md"
    for process in (detector, next_detector):
        assert process.text.splitlines()[-1].endswith(f"refuses: {topic}")
    for process in (notifier, next_notifier):
        assert process.text.splitlines()[-1].endswith(f"refuses: {group}")
    assert "Traceback" not in next_detector.text
