"""The whole system as its users run it: a sandbox, a detector and a notifier, as processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from stream_app.key_ring import generate_secret_key
from stream_app.settings import Settings
from tests.integration.harness import (
    NO_TLS,
    START_SECONDS,
    WorkerProcess,
    environment,
    put,
    read_all,
)
from tests.processes import STREAM_APP, Program, run

Json = dict[str, Any]
SANDBOX_URL = re.compile(r"STREAM_APP_DELIVERY__SANDBOX_URL=(\S+)")
ACTIVE_TRIGGERS = re.compile(r"(?m)^stream_app_triggers_active (\S+)$")
WAIT_SECONDS = 90.0
STEP_SECONDS = 0.05


class System:
    """An installation to `start` and `stop`; requests wait `scale` times the documented waits."""

    def __init__(self, settings: Settings, folder: Path, scale: float) -> None:
        self.settings = settings
        self.scale = scale
        self.folder = folder
        #: Ids of the triggers that tests have applied; all of them are enabled.
        self.triggers: set[int] = set()
        self.url = ""
        self._env: dict[str, str] = {}
        self._http = httpx.Client(verify=NO_TLS)
        self._sandbox: Program | None = None
        self._workers: list[WorkerProcess] = []
        self._tenants = 100

    def start(self) -> Self:
        """Start everything, and return when the workers are ready."""
        self._start_sandbox()
        self._env = {
            "STREAM_APP_SECRET_KEYS": generate_secret_key(),
            "STREAM_APP_DELIVERY__SANDBOX_URL": self.url,
            "STREAM_APP_DELIVERY__RETRY_SCALE": str(self.scale),
        }
        self.run("topics", "create")
        for role in ("detector", "notifier"):
            log = self.folder / f"{role}.log"
            self._workers.append(WorkerProcess(role, self.settings, log, **self._env))
        for worker in self._workers:
            asyncio.run(worker.ready())
        return self

    def stop(self) -> None:
        """Stop the processes that were started."""
        self._http.close()
        for worker in self._workers:
            worker.__exit__()
        if self._sandbox is not None:
            self._sandbox.terminate()
            self._sandbox.wait(10)

    def tenant(self) -> int:
        """Return the number of a client that no other test has."""
        self._tenants += 1
        return self._tenants

    def run(self, *args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run `stream-app` on this installation."""
        done = run((*STREAM_APP, *args), environment(self.settings, **self._env))
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def apply(self, *objects: Json, flags: tuple[str, ...] = (), code: int = 0) -> str:
        """Run `stream-app apply`, wait until the detector counts by it, and return its output."""
        file = self.folder / "objects.json"
        file.write_text(json.dumps(objects))
        done = self.run("apply", "-f", str(file), *flags, code=code)
        triggers = [obj for obj in objects if "template_id" in obj]
        if code == 0 and triggers:
            self.triggers |= {obj["id"] for obj in triggers}
            eventually(lambda: self._active_triggers() == len(self.triggers))
        return done.stdout + done.stderr

    def put(self, topic: str, key: int, records: Iterable[Mapping[str, Any]]) -> None:
        """Send records with one key, which keeps their order, and wait for the broker."""
        rows = [(str(key).encode(), json.dumps(record).encode()) for record in records]
        bootstrap = self.settings.kafka.bootstrap_servers or ""
        asyncio.run(put(bootstrap, f"{self.settings.topic_prefix}{topic}", rows))

    def records(self, topic: str, key: int) -> list[Any]:
        """Return the values of one key on a topic, oldest first; None stands for a tombstone."""
        name = f"{self.settings.topic_prefix}{topic}"
        found = asyncio.run(read_all(self.settings.kafka.bootstrap_servers or "", name))
        rows = [row for partition in found.values() for row in partition]
        rows = [row for row in rows if row.key == str(key).encode()]
        return [row.value and json.loads(row.value) for row in rows]

    def requests(self, key_end: str) -> list[Json]:
        """Return the sandbox's requests whose key ends like this, oldest first."""
        rows: list[Json] = self._http.get(f"{self.url}/sandbox/requests").raise_for_status().json()
        return [row for row in rows if row["key"].endswith(key_end)]

    def alerts(self) -> dict[str, Json]:
        """Return the alerts that the sandbox has, by alias."""
        rows: list[Json] = self._http.get(f"{self.url}/sandbox/alerts").raise_for_status().json()
        return {row["alias"]: row for row in rows}

    def fail(self, key_end: str, **fault: Any) -> None:
        """Let requests whose key ends like this fail, as `stream-app sandbox fail` does."""
        body = {"key_end": key_end, **fault}
        self._http.post(f"{self.url}/sandbox/faults", json=body).raise_for_status()

    def _active_triggers(self) -> int:
        """Return how many enabled triggers the detector knows."""
        page = self._http.get(f"{self._workers[0].url}/metrics").raise_for_status().text
        found = ACTIVE_TRIGGERS.search(page)
        return int(float(found.group(1))) if found else 0

    def _start_sandbox(self) -> None:
        log = self.folder / "sandbox.log"
        log.touch()
        self._sandbox = Program(
            (*STREAM_APP, "sandbox", "--port", "0"),
            environment(self.settings),
            stdout=Path(os.devnull),
            stderr=log,
        )
        eventually(lambda: bool(SANDBOX_URL.search(log.read_text())), START_SECONDS)
        found = SANDBOX_URL.search(log.read_text())
        assert found is not None
        self.url = found.group(1)


def eventually(claim: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
    """Wait until a claim about other processes holds."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(STEP_SECONDS)
