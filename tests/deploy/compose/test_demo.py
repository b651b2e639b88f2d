"""The services of `deploy/compose.yaml` that are ours, run with their commands and variables."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from stream_app.settings import Settings
from tests.deploy.compose.test_files import DEPLOY, services
from tests.deploy.containers.contained import Contained
from tests.deploy.containers.container import Container
from tests.deploy.containers.image import image
from tests.integration.harness import START_SECONDS

SANDBOX = "127.0.0.1:8480"


class Demo:
    """The services in containers, which share this machine's network.

    Of the file's own text only what is this test's is another: the address of Kafka, the prefix of
    the topics, and the ports.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._sandbox = f"127.0.0.1:{free.getsockname()[1]}"
        self._stack = ExitStack()

    def container(self, name: str) -> tuple[Container, list[str]]:
        service, built = services()[name], image()
        given = {k: v.replace(SANDBOX, self._sandbox) for k, v in service["environment"].items()}
        given["STREAM_APP_KAFKA__BOOTSTRAP_SERVERS"] = self._settings.kafka.bootstrap_servers or ""
        given["STREAM_APP_TOPIC_PREFIX"] = self._settings.topic_prefix
        given["STREAM_APP_HTTP__PORT"] = "0"
        mounts = {}
        for volume in service.get("volumes", []):
            source, inside, _ = volume.split(":")
            copy = self._folder / Path(inside).name
            copy.write_text((DEPLOY / source).read_text().replace(SANDBOX, self._sandbox))
            mounts[inside] = copy
        found = Container(built.layers, built.environment | given, built.user, mounts=mounts)
        return found, [*built.stage.the("ENTRYPOINT").words(), *service["command"]]

    async def once(self, name: str) -> None:
        """Run a service that ends."""
        container, args = self.container(name)
        done = await asyncio.to_thread(container.run, args)
        assert done.returncode == 0, done.stderr

    def start(self, name: str) -> Path:
        """Start a service, and return the file of what it prints."""
        container, args = self.container(name)
        out = self._folder / f"{name}.out"
        command = self._stack.enter_context(container.command(args))
        with out.open("wb") as file:
            running = Contained(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        self._stack.callback(running.wait, START_SECONDS)
        self._stack.callback(running.send_signal, signal.SIGKILL)
        return out

    def stop(self) -> None:
        self._stack.close()


@pytest.mark.long
async def test_the_demo_shows_the_alerts_of_its_sample_events(
    settings: Settings, tmp_path: Path
) -> None:
    demo = Demo(settings, tmp_path)
    try:
        for name in ("topics", "configuration"):
            await demo.once(name)
        started = {name: demo.start(name) for name in ("sandbox", "detector", "notifier", "events")}
        async with asyncio.timeout(2 * START_SECONDS):
            while "[Wallarm] Trigger: " not in started["sandbox"].read_text():  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    finally:
        demo.stop()
