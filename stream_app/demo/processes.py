"""The demo's workers: processes that log to files, whose warnings the demo shows."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from asyncio.subprocess import DEVNULL
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil

from stream_app.domain.errors import StreamAppError
from stream_app.kafka.embedded.ports import is_free

READY_SECONDS = 90.0
POLL_SECONDS = 0.2
LEFTOVER_SECONDS = 10.0
SHOWN_LEVELS = ("warning", "error", "critical")
LAST_LINES = 12
MAX_PORT = 65535
#: Fields of a log line that its short form leaves out, or shows at its beginning.
OMITTED_FIELDS = ("event", "level", "logger", "timestamp")


class WorkerProcess:
    """`stream-app worker ROLE`, its health address and its log."""

    def __init__(self, role: str, url: str, log: Path) -> None:
        self.role = role
        self.url = url
        self.log = log
        #: Tells the next run which process is left if this one is killed.
        self._pid_file = log.with_suffix(".pid")
        self._process: asyncio.subprocess.Process | None = None
        self._shown_bytes = 0

    async def start(self, environ: Mapping[str, str]) -> None:
        """Start the process with a new log.

        It is in a process group of its own: Ctrl-C in a terminal reaches only the demo, which ends
        it in its turn.
        """
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "stream_app", "worker", self.role),
                env=environ,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )
        self._pid_file.write_text(str(self._process.pid))

    async def wait_until_ready(self) -> None:
        """Wait until `/readyz` says that the worker is ready.

        Raises:
            StreamAppError: it has ended, or is not ready in time.
        """
        deadline = time.monotonic() + READY_SECONDS
        async with httpx.AsyncClient(trust_env=False, timeout=2) as http:
            while time.monotonic() < deadline:
                self.check()
                with contextlib.suppress(httpx.HTTPError):
                    response = await http.get(f"{self.url}/readyz")
                    if response.is_success:
                        return
                await asyncio.sleep(POLL_SECONDS)
        raise StreamAppError(
            f"the {self.role} is not ready after {READY_SECONDS:.0f} s; {self.last_lines()}"
        )

    def check(self) -> None:
        """Raise StreamAppError if the process has ended."""
        if self._process is not None and self._process.returncode is not None:
            raise StreamAppError(
                f"the {self.role} ended with exit code {self._process.returncode}; "
                f"{self.last_lines()}"
            )

    def new_warnings(self) -> Iterator[str]:
        """Yield the new warnings and errors of the log, in short form."""
        with self.log.open("rb") as log:
            log.seek(self._shown_bytes)
            content = log.read()
        end = content.rfind(b"\n") + 1
        self._shown_bytes += end
        for line in content[:end].splitlines():
            fields = _log_fields(line)
            # What a library says is no news for a person: the worker reports its changes itself.
            is_own = str(fields.get("logger", "")).startswith("stream_app.")
            if is_own and fields.get("level") in SHOWN_LEVELS:
                yield f"{self.role}: {_short(fields)}"

    def last_lines(self) -> str:
        """Return the end of the log."""
        lines = self.log.read_bytes().splitlines()[-LAST_LINES:]
        shown = [_short(_log_fields(line)) or line.decode(errors="replace") for line in lines]
        return "\n  ".join([f"its log {self.log} ends with:", *shown])

    async def stop(self, timeout_seconds: float) -> bool:
        """Send SIGTERM, and SIGKILL at the deadline; tell whether the process ended in time."""
        process = self._process
        if process is None:
            return True
        # The process may have ended already.
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), timeout_seconds)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            return False
        finally:
            self._pid_file.unlink(missing_ok=True)
        return True


def end_leftovers(directory: Path) -> list[str]:
    """End the workers that a killed run has left in this folder; return their roles.

    They would go on working with the settings of that run.
    """
    ended = []
    for file in sorted(directory.glob("*.pid")):
        with contextlib.suppress(OSError, ValueError, psutil.Error):
            left = psutil.Process(int(file.read_text()))
            # Another program may have got the id since.
            if left.cmdline()[-2:] == ["worker", file.stem] and Path(left.cwd()) == Path.cwd():
                left.terminate()
                _, stubborn = psutil.wait_procs([left], timeout=LEFTOVER_SECONDS)
                for process in stubborn:
                    process.kill()
                ended.append(file.stem)
        file.unlink(missing_ok=True)
    return ended


async def watch(workers: Sequence[WorkerProcess], show: Callable[[str], None]) -> None:
    """Show the workers' warnings as long as all of them run.

    Raises:
        StreamAppError: one of them has ended.
    """
    while True:
        for worker in workers:
            for line in worker.new_warnings():
                show(line)
            worker.check()
        await asyncio.sleep(POLL_SECONDS)


def free_ports(host: str, wanted: Iterable[int]) -> list[int]:
    """Return a port for each wanted one: that port, or the next free one.

    Raises:
        StreamAppError: no port is free.
    """
    found: list[int] = []
    for first in wanted:
        port = next(
            (p for p in range(first, MAX_PORT + 1) if p not in found and is_free(p, host)), None
        )
        if port is None:
            raise StreamAppError(f"no port from {first} on is free on {host}")
        found.append(port)
    return found


def _log_fields(line: bytes) -> dict[str, Any]:
    """Return the fields of a log line; none if it is no JSON, as a line of a traceback."""
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _short(fields: Mapping[str, Any]) -> str:
    """Return a log line as `warning event name=value ...`; empty if there are no fields."""
    parts = [str(fields[name]) for name in ("level", "event") if name in fields]
    return " ".join(parts + [f"{n}={v}" for n, v in fields.items() if n not in OMITTED_FIELDS])
