"""The wheel in an environment that has nothing else, in a folder far from this one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from stream_app import __version__
from stream_app.settings import Settings
from tests.conftest import ROOT
from tests.deploy.containers.image import WHEELS
from tests.integration.harness import WorkerProcess, environment
from tests.unit.project.test_distribution import build

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
#: An error of a record that breaks the schema of hits.
BROKEN = '{"client_id": 1, "sampled": "no"}'


def install(folder: Path, wheel: Path) -> Path:
    """Make an environment of what production pins, and the wheel; return its command."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pins = ("--find-links", WHEELS, "--require-hashes", "-r", ROOT / "deploy" / "constraints.txt")
    for args in (("install", *pins), ("install", "--no-deps", wheel), ("check",)):
        quick = ("--no-index", "--no-compile") if args[0] == "install" else ()
        done = subprocess.run(
            [*PIP, "--python", folder, *args, *quick], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "bin" / "stream-app"


class InstalledWorker(WorkerProcess):
    """A worker that is started by the installed command."""

    @staticmethod
    def program(
        args: tuple[str, ...], env: Mapping[str, str], stdout: Path, stderr: Path
    ) -> subprocess.Popen[bytes]:
        with stdout.open("ab") as out, stderr.open("ab") as errors:
            return subprocess.Popen(args, env=env, stdout=out, stderr=errors, cwd=stdout.parent)


@pytest.mark.long
async def test_the_wheel_runs_a_worker_and_finds_its_schemas(
    tmp_path: Path, settings: Settings
) -> None:
    (wheel,) = build(tmp_path / "dist", "--wheel").glob("*.whl")
    command = install(tmp_path / "environment", wheel)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def run(*args: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [command, *args],
            cwd=elsewhere,
            env=environment(settings),
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )

    assert run("--version").stdout == f"stream-app, version {__version__}\n"
    validated = run("validate", "-f", "-", "--schema", "hit", text=BROKEN)
    assert validated.returncode == 1, validated.stderr
    assert 'stdin:1: sampled: "no": must be boolean or null' in validated.stdout
    created = run("topics", "create")
    assert created.returncode == 0, created.stderr
    with InstalledWorker(
        "detector", settings, elsewhere / "log", command=(str(command),)
    ) as worker:
        await worker.ready()
        assert f'"version":"{__version__}"' in worker.text.replace(": ", ":")
        assert worker.stop() == 0
