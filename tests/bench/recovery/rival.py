"""The same restart beside Bytewax: both with the same hits, and 100,000 windows open.

Bytewax is installed in an environment of its own below `.local/bench`. Where it does not install
(it has no wheels for every Python), its figures are None. Its seconds go from the start of the
process to the first hit that comes through the counting. It joins no group, so ten of our seconds,
in which the broker waits for the dead worker, have no counterpart there.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

from stream_app.settings import Settings
from tests.bench import data
from tests.bench.programs import say
from tests.bench.recovery import load, windows

VERSION = "bytewax[kafka]==0.21.1"
MINUTES = 100
FLOW = Path(__file__).with_name("bytewax_flow.py")
SNAPSHOT_SECONDS = 10
LIMIT_SECONDS = 300.0


async def measure(bootstrap: str, logs: Path) -> dict[str, Any]:
    """Return the seconds of both, and how many times as long ours takes."""
    settings = await load.installation(bootstrap)
    with load.detector(settings, logs / "rival-ours.log") as worker:
        await worker.ready()
        await windows.fill(settings, MINUTES)
        worker.kill()
    began = time.monotonic()
    with load.detector(settings, logs / "rival-ours-again.log") as worker:
        ours = await load.seconds_to_ready(worker, began)
        worker.stop(60)
    theirs = await _bytewax(settings, logs)
    return load.rounded(
        recovery_100000_windows_s=ours,
        bytewax_recovery_100000_windows_s=theirs,
        recovery_vs_bytewax=None if theirs is None else ours / theirs,
    )


async def _bytewax(settings: Settings, logs: Path) -> float | None:
    python = await asyncio.to_thread(_installed)
    if python is None:
        return None
    state = await asyncio.to_thread(_counted_and_killed, python, settings, logs)
    sending = asyncio.create_task(_send(settings))
    try:
        return await asyncio.to_thread(_again, python, settings, state, logs / "bytewax-again.log")
    finally:
        sending.cancel()


def _counted_and_killed(python: str, settings: Settings, logs: Path) -> Path:
    """Have Bytewax count all hits and save its state, and kill it; return where the state is."""
    state = (logs / "bytewax-state").absolute()
    state.mkdir()
    subprocess.run([python, "-m", "bytewax.recovery", state, "1"], check=True)
    process = _start(python, settings, state, logs / "bytewax.log")
    try:
        _said(process, logs / "bytewax.log")
        # It reads 100,000 updates in a second or two; the snapshots after that hold all of them.
        time.sleep(4 * SNAPSHOT_SECONDS)
    finally:
        process.kill()
        process.wait(10)
    return state


def _again(python: str, settings: Settings, state: Path, log: Path) -> float:
    began = time.monotonic()
    process = _start(python, settings, state, log)
    try:
        _said(process, log)
        return time.monotonic() - began
    finally:
        process.kill()
        process.wait(10)


def _installed() -> str | None:
    folder = Path(".local/bench/bytewax").absolute()
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    result = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", VERSION],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        say(f"  Bytewax is left out: it does not install on Python {sys.version.split()[0]}")
        return None
    return str(python)


def _start(python: str, settings: Settings, state: Path, log: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "BROKER": settings.kafka.bootstrap_servers or "",
        "TOPIC": f"{settings.topic_prefix}events.hits",
    }
    command = [python, "-m", "bytewax.run", f"{FLOW}:flow", "-r", str(state)]
    command += ["-s", str(SNAPSHOT_SECONDS), "-b", "0"]
    with log.open("wb") as out:
        return subprocess.Popen(command, env=environment, stdout=out, stderr=out)


def _said(process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the program says that it counts."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while b"counting" not in log.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Bytewax does not count: {log.read_text()[-2000:]}")
        time.sleep(0.02)


async def _send(settings: Settings) -> None:
    """Send a hit to each partition again and again: one of them is the first to come through."""
    topic = f"{settings.topic_prefix}events.hits"
    while True:
        rows = [(n, load.hit(n + 1, int(time.time()))) for n in range(data.PARTITIONS)]
        await load.put_at_once(settings.kafka.bootstrap_servers or "", topic, rows)
        await asyncio.sleep(0.05)
