"""The image's health check: it finds the worker's role, and whether its event loop answers."""

from __future__ import annotations

import asyncio
import json
import runpy
import signal
from pathlib import Path

import pytest

from stream_app.settings import setting_fields
from stream_app.worker.roles import WORKER_ROLES
from tests.deploy.containers.contained import ContainedWorker
from tests.deploy.containers.container import Container
from tests.deploy.containers.image import image
from tests.documentation.pages import ROOT
from tests.tls.authority import Authority

SCRIPT = runpy.run_path(str(ROOT / "deploy" / "image" / "health_check.py"))
LOOPBACK = "127.0.0.1"


def test_its_ports_and_settings_are_those_of_the_code() -> None:
    assert {name: role.default_port for name, role in WORKER_ROLES.items()} == SCRIPT["PORTS"]
    names = [variable for variable, _ in setting_fields()]
    assert {SCRIPT[name] for name in ("HOST", "PORT", "CERTIFICATE")} <= set(names)


@pytest.mark.parametrize(
    ("command", "role"),
    [
        ("/opt/stream-app/bin/python /opt/stream-app/bin/stream-app worker notifier", "notifier"),
        ("/sbin/docker-init -- stream-app worker detector", "detector"),
        ("python -m stream_app topics create", None),
        ("stream-app worker", None),
        ("stream-app worker --help", None),
        ("", None),
    ],
)
def test_the_first_process_tells_the_role(command: str, role: str | None) -> None:
    assert SCRIPT["role_of"](command.replace(" ", "\0").encode() + b"\0") == role


@pytest.mark.parametrize("is_guarded", [False, True])
async def test_a_worker_that_waits_for_kafka_is_healthy_and_one_that_stands_still_is_not(
    tmp_path: Path, *, is_guarded: bool
) -> None:
    built = image()
    check = json.loads(built.stage.the("HEALTHCHECK").value.removeprefix("CMD "))
    args = built.stage.the("ENTRYPOINT").words()
    environment = dict(built.environment)
    mounts = {}
    if is_guarded:
        pair = Authority(tmp_path, "ca").pair("pod.example.com")
        pair.keyfile.chmod(0o644)
        mounts = {"/tls/crt": pair.certfile, "/tls/key": pair.keyfile}
        environment["STREAM_APP_HTTP__TLS_CERTFILE"] = "/tls/crt"
        environment["STREAM_APP_HTTP__TLS_KEYFILE"] = "/tls/key"
    # Nobody answers there.
    environment["STREAM_APP_KAFKA__BOOTSTRAP_SERVERS"] = f"{LOOPBACK}:1"
    environment["STREAM_APP_HTTP__PORT"] = "0"
    environment["STREAM_APP_LOG__FORMAT"] = "json"
    pod = Container(built.layers, environment, built.user, mounts=mounts)
    args += ["worker", "detector"]
    with ContainedWorker(pod, args, tmp_path / "log", 256 << 20) as worker:
        async with asyncio.timeout(60):
            while worker.url is None:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.1)
        assert worker.url.startswith("https:" if is_guarded else "http:")
        at_its_port = {"STREAM_APP_HTTP__PORT": worker.url.rpartition(":")[2]}
        healthy = worker.execute(check, **at_its_port)
        assert healthy.returncode == 0, healthy.stdout + healthy.stderr
        worker.signal(signal.SIGSTOP)
        stopped = worker.execute(check, **at_its_port)
        assert stopped.returncode == 1
        assert stopped.stderr.startswith("the detector does not answer: ")
        worker.signal(signal.SIGCONT)
        assert worker.stop() == 0, worker.text
