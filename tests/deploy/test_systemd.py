"""The unit of the workers: what systemd says of it, and that its command runs as it says."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from stream_app.domain.errors import ConfigurationError, NewerFormatError, UsageError
from stream_app.key_ring import generate_secret_key
from stream_app.settings import Settings
from stream_app.worker.roles import WORKER_ROLES
from tests.deploy.containers.contained import ContainedWorker
from tests.deploy.containers.container import Container
from tests.deploy.containers.image import image
from tests.documentation.pages import ROOT
from tests.tools import tool

UNIT = ROOT / "deploy" / "systemd" / "stream-app@.service"
MOST_EXPOSURE = 3.0


def values() -> dict[str, list[str]]:
    """Return the values of each setting of the unit."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, value in re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE):
        found[name].append(value)
    return found


def analyze(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tool("systemd-analyze"), *args],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("role", WORKER_ROLES)
def test_systemd_finds_no_fault(tmp_path: Path, role: str) -> None:
    unit = tmp_path / f"stream-app@{role}.service"
    command = values()["ExecStart"][0].partition(" ")[0]
    # It looks for the program, which is not installed here.
    unit.write_text(UNIT.read_text().replace(command, "/bin/true"))
    done = analyze("verify", str(unit))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_workers_are_exposed_little() -> None:
    done = analyze("security", "--offline=yes", str(UNIT))
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) < MOST_EXPOSURE, done.stdout


def test_it_starts_again_unless_a_person_is_needed_first() -> None:
    unit = values()
    assert unit["Restart"] == ["always"]
    need_a_person = (UsageError, ConfigurationError, NewerFormatError)
    codes = {str(error.exit_code) for error in need_a_person}
    assert set(unit["RestartPreventExitStatus"][0].split()) == codes
    assert float(unit["TimeoutStopSec"][0]) > Settings().shutdown_timeout_seconds


@pytest.mark.parametrize("role", WORKER_ROLES)
async def test_its_command_runs_with_its_variables_where_the_page_installs_it(
    tmp_path: Path, role: str
) -> None:
    keys = tmp_path / "secret-keys"
    keys.write_text(f"{generate_secret_key()}\n")
    credentials = f"/run/credentials/stream-app@{role}.service"
    unit = {name: [v.replace("%i", role) for v in rows] for name, rows in values().items()}
    (loaded,) = unit["LoadCredential"]
    text = unit["Environment"][0].replace("%d", credentials)
    environment = dict(pair.split("=", 1) for pair in text.split())
    # What a person writes into the file of the unit. Nobody answers there.
    environment["STREAM_APP_KAFKA__BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    environment["STREAM_APP_HTTP__PORT"] = "0"
    environment["STREAM_APP_LOG__FORMAT"] = "json"
    container = Container(
        image().layers,
        environment,
        "61184:61184",  # the first of DynamicUser's
        mounts={f"{credentials}/{loaded.partition(':')[0]}": keys},
    )
    args = unit["ExecStart"][0].split()
    with ContainedWorker(container, args, tmp_path / "log", 512 << 20) as worker:
        async with asyncio.timeout(60):
            while worker.url is None:
                assert worker.process.poll() is None, worker.text
                await asyncio.sleep(0.1)
        assert worker.url.startswith("http://127.0.0.1:")
        assert worker.stop() == 0, worker.text
