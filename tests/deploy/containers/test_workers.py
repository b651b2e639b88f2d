"""Workers and commands in containers of the image, with what Kubernetes gives them."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from stream_app.key_ring import generate_secret_key
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.opsgenie.sandbox.state import AlertView
from stream_app.settings import Settings
from tests.deploy.containers.contained import Contained, ContainedWorker
from tests.deploy.containers.container import Container
from tests.deploy.containers.image import image
from tests.integration.harness import START_SECONDS, put
from tests.integration.test_end_to_end import KEY, PAGE_EXAMPLE, objects
from tests.unit.test_settings import service

MEMORY_BYTES = 256 << 20
SECRETS = "/var/run/secrets/stream-app/files"
#: Other people's hits, which match no trigger's filters but are read and decoded all the same.
HITS = 100_000


def container(settings: Settings, mounts: Mapping[str, Path], **environment: str) -> Container:
    """Return a container on the test's broker, as a pod among Services of the project's name."""
    built = image()
    given = {
        "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers or "",
        "STREAM_APP_TOPIC_PREFIX": settings.topic_prefix,
        "STREAM_APP_PARTITIONS": str(settings.partitions),
        # Several workers share this machine's ports.
        "STREAM_APP_HTTP__PORT": "0",
        "STREAM_APP_LOG__FORMAT": "json",
    }
    services = service("stream-app") | service("stream-app-detector") | service("stream-app-http")
    return Container(
        built.layers, built.environment | services | given | environment, built.user, mounts=mounts
    )


@pytest.mark.long
async def test_workers_in_containers_serve_a_full_run_in_256_mebibytes(
    settings: Settings, tmp_path: Path
) -> None:
    arrived: list[AlertView] = []
    sandbox = SandboxOpsgenie(keys={KEY}, on_alert=arrived.append)
    url = await sandbox.start()
    files = {"secret-keys": generate_secret_key(), "acme.yaml": yaml.safe_dump_all(objects(url))}
    for name, text in files.items():
        (tmp_path / name).write_text(f"{text}\n")
    place = f"{SECRETS}/STREAM_APP_SECRET_KEYS"
    pod = container(
        settings,
        {place: tmp_path / "secret-keys", "/acme.yaml": tmp_path / "acme.yaml"},
        STREAM_APP_SECRET_KEYS_FILE=place,
        STREAM_APP_DELIVERY__SANDBOX_URL=url,
    )
    for args in (("topics", "create"), ("apply", "-f", "/acme.yaml")):
        done = await asyncio.to_thread(pod.run, ("stream-app", *args))
        assert done.returncode == 0, done.stderr
    with ExitStack() as running:
        workers = [
            running.enter_context(
                ContainedWorker(
                    pod, ("stream-app", "worker", role), tmp_path / f"{role}.log", MEMORY_BYTES
                )
            )
            for role in ("detector", "notifier")
        ]
        for worker in workers:
            await worker.ready()
            assert (await worker.page("/livez"))[0] == 200
        now = int(time.time())
        await put_events(settings, "hits", [hit(now) for _ in range(HITS)])
        await put_events(settings, "incidents", [incident(now)] * 2)
        async with asyncio.timeout(START_SECONDS):
            while not arrived:  # noqa: ASYNC110 - of a callback
                await asyncio.sleep(0.1)
            while await counted(workers[0]) < HITS + 2:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.1)
        (alert,) = arrived
        text = PAGE_EXAMPLE.replace("time_from=XXXXXXXXXX", f"time_from={now}")
        assert f"{alert.message}\n\n{alert.description}" == text.replace(
            "time_to=XXXXXXXXXX", f"time_to={now + 1}"
        )
        for worker in workers:
            assert (await worker.page("/readyz"))[0] == 200
            assert worker.peak_bytes() < MEMORY_BYTES
            assert worker.stop() == 0, worker.text
            assert KEY not in worker.text
            assert "Read-only" not in worker.text
    assert len(arrived) == 1
    await sandbox.stop()


async def counted(worker: ContainedWorker) -> float:
    samples = await worker.metrics()
    return sum(v for name, v in samples.items() if name.startswith("stream_app_events_total{"))


def hit(time_: int) -> dict[str, object]:
    return {"client_id": 1, "request_time": time_, "attack_type": "sqli", "request_id": "r" * 200}


def incident(time_: int) -> dict[str, object]:
    return {"client_id": 1, "first_time": time_, "type": "ptrav"}


async def put_events(settings: Settings, kind: str, events: list[dict[str, object]]) -> None:
    rows = [(None, json.dumps(event).encode()) for event in events]
    await put(settings.kafka.bootstrap_servers or "", f"{settings.topic_prefix}events.{kind}", rows)


async def test_sigterm_ends_a_command_that_is_process_1(settings: Settings) -> None:
    # It waits for stdin, and handles no signal of its own.
    args = ("stream-app", "validate", "-f", "-", "--schema", "hit")
    with container(settings, {}).command(args) as command:
        running = Contained(command, stdin=subprocess.PIPE)
        try:
            async with asyncio.timeout(START_SECONDS):
                while not handles_sigterm(running):  # noqa: ASYNC110 - it is another process
                    await asyncio.sleep(0.05)
            running.send_signal(signal.SIGTERM)
            assert running.wait(START_SECONDS) == 128 + signal.SIGTERM
        finally:
            running.send_signal(signal.SIGKILL)
            running.communicate()


def handles_sigterm(running: Contained) -> bool:
    """Tell whether process 1 has a handler: without one, the kernel drops the signal."""
    try:
        status = Path(f"/proc/{running.first.pid}/status").read_text()
    except ValueError:  # it has not been started yet
        return False
    (handled,) = re.findall(r"^SigCgt:\s+(\w+)$", status, re.MULTILINE)
    return bool(int(handled, 16) >> (signal.SIGTERM - 1) & 1)
