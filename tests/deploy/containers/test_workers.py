"""Workers and commands in containers of the image, with what Kubernetes gives them."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from stream_app.key_ring import generate_secret_key
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.opsgenie.sandbox.state import AlertView
from stream_app.settings import Settings
from stream_app.worker.roles import WORKER_ROLES
from tests.deploy.chart.pods import container, environment, mounted_files, pods
from tests.deploy.chart.rendering import MINIMAL, merged, renderer
from tests.deploy.containers.contained import Contained, ContainedWorker
from tests.deploy.containers.container import Container
from tests.deploy.containers.image import image
from tests.integration.harness import START_SECONDS, put
from tests.integration.test_end_to_end import KEY, PAGE_EXAMPLE, objects
from tests.unit.settings.test_settings import service

#: Hits of another kind than the triggers', which are read and decoded all the same.
HITS = 100_000
MEMORY = "256Mi"
ACME = "/acme.yaml"


class Release:
    """The chart's pods in containers of this machine, each as its manifest says.

    Args:
        settings: those of the test's installation on its broker.
        folder: for the files that are mounted, and the workers' logs.
        sandbox: where alerts go; the chart has no value for it.
    """

    def __init__(self, settings: Settings, folder: Path, sandbox: str) -> None:
        self._folder = folder
        config = {
            "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
            "STREAM_APP_KAFKA__REPLICATION_FACTOR": 1,
            "STREAM_APP_TOPIC_PREFIX": settings.topic_prefix,
            "STREAM_APP_PARTITIONS": settings.partitions,
        }
        resources = {"resources": {"limits": {"memory": MEMORY}}}
        values = {"config": config} | {str(role): resources for role in WORKER_ROLES}
        with renderer() as chart:
            self.pods = pods(chart.render(merged(MINIMAL, values)))
        # The pods of a machine share its ports, and it has Services with the project's name.
        self._surroundings = service("stream-app") | service("stream-app-detector")
        self._surroundings |= {
            "STREAM_APP_HTTP__PORT": "0",
            "STREAM_APP_DELIVERY__SANDBOX_URL": sandbox,
        }
        self._secrets = {"secret-keys": folder / "secret-keys"}
        self._secrets["secret-keys"].write_text(f"{generate_secret_key()}\n")

    def container(self, component: str) -> Container:
        """Return what a pod's container sees."""
        built, pod = image(), self.pods[component]
        identity = pod["spec"]["securityContext"]
        assert container(pod)["securityContext"]["readOnlyRootFilesystem"] is True
        return Container(
            built.layers,
            built.environment | self._surroundings | environment(pod),
            f"{identity['runAsUser']}:{identity['runAsGroup']}",
            mounts={
                ACME: self._folder / "acme.yaml",
                **{path: self._secrets[key] for path, (_, _, key) in mounted_files(pod).items()},
            },
        )

    def worker(self, role: str) -> ContainedWorker:
        """Return a worker that is not started yet."""
        spec = container(self.pods[role])
        limit = int(spec["resources"]["limits"]["memory"].removesuffix("Mi")) << 20
        log = self._folder / f"{role}.log"
        return ContainedWorker(self.container(role), spec["command"], log, limit)

    async def probe(self, worker: ContainedWorker, role: str) -> list[int]:
        """Return the statuses that the pod's probes get."""
        spec = container(self.pods[role])
        paths = [
            spec[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")
        ]
        return [(await worker.page(path))[0] for path in paths]


@pytest.mark.long
async def test_workers_started_as_the_chart_says_serve_a_full_run_in_256_mebibytes(
    settings: Settings, tmp_path: Path
) -> None:
    arrived: list[AlertView] = []
    sandbox = SandboxOpsgenie(keys={KEY}, on_alert=arrived.append)
    url = await sandbox.start()
    (tmp_path / "acme.yaml").write_text(yaml.safe_dump_all(objects(url)))
    release = Release(settings, tmp_path, url)
    topics = container(release.pods["topics"])["command"]
    for component, args in (("topics", topics), ("operator", ["stream-app", "apply", "-f", ACME])):
        done = await asyncio.to_thread(release.container(component).run, args)
        assert done.returncode == 0, done.stderr
    with ExitStack() as running:
        workers = {role: running.enter_context(release.worker(role)) for role in WORKER_ROLES}
        for worker in workers.values():
            await worker.ready()
        now = int(time.time())
        await put_events(settings, "hits", [hit(now) for _ in range(HITS)])
        await put_events(settings, "incidents", [incident(now)] * 2)
        async with asyncio.timeout(2 * START_SECONDS):
            while not arrived or await counted(workers["detector"]) < HITS + 2:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        (alert,) = arrived
        text = PAGE_EXAMPLE.replace("time_from=XXXXXXXXXX", f"time_from={now}")
        assert f"{alert.message}\n\n{alert.description}" == text.replace(
            "time_to=XXXXXXXXXX", f"time_to={now + 1}"
        )
        for role, worker in workers.items():
            assert await release.probe(worker, role) == [200, 200, 200]
            assert worker.peak_bytes() < 256 << 20
            grace = release.pods[role]["spec"]["terminationGracePeriodSeconds"]
            assert await asyncio.to_thread(worker.stop, grace) == 0, worker.text
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


async def test_sigterm_ends_a_command_that_is_process_1() -> None:
    # It waits for stdin, and handles no signal of its own.
    args = ("stream-app", "validate", "-f", "-", "--schema", "hit")
    built = image()
    pod = Container(built.layers, built.environment, built.user)
    with pod.command(args) as command:
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
