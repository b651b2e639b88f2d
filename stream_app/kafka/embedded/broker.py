"""A real Kafka broker for trying things out and for tests: no Docker, no installed Java.

It is one KRaft node on loopback with a durable data folder. It outlives the command that starts
it. A file beside its data says how to find it, so that another process can use and stop it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from stream_app.domain.errors import EmbeddedKafkaError
from stream_app.kafka.embedded.jars import (
    KAFKA_VERSION,
    SHOW_SECONDS,
    Progress,
    class_path,
    locked,
    require_packages,
)
from stream_app.kafka.embedded.log_recovery import LogRecovery
from stream_app.kafka.embedded.ports import (
    HOST,
    POLL_SECONDS,
    becomes_free,
    becomes_true,
    free_or_new,
    is_free,
)
from stream_app.kafka.embedded.process import (
    DATA,
    answers,
    cluster_id,
    format_data,
    is_broker,
    java_command,
    last_lines,
    launch,
    make_private,
    write_properties,
)
from stream_app.setting_groups import EmbeddedSettings

#: Longest wait for a broker that makes no progress; one that reads its log has more time.
READY_SECONDS = 60.0
KILLED_SECONDS = 10.0
#: How often other ports are tried if another program takes a free one before the broker does.
PORT_ATTEMPTS = 3
#: Java's message about a port that is taken.
PORT_TAKEN = "Address already in use"


@dataclass(frozen=True)
class KafkaStatus:
    """The state of a folder's broker; `started_at` is in Unix seconds."""

    is_running: bool
    pid: int | None
    bootstrap_servers: str | None
    version: str
    directory: Path
    started_at: float | None


@dataclass(frozen=True)
class _State:
    """The broker's last start, kept in the folder so that the next one gets the same ports."""

    pid: int
    port: int
    controller: int
    version: str
    started_at: float


class _PortTakenError(Exception):
    """The broker ended because another program has one of its ports."""


class EmbeddedKafka:
    """The broker of one folder."""

    def __init__(self, settings: EmbeddedSettings) -> None:
        self._settings = settings
        self._directory = settings.directory.absolute()
        self._state_file = self._directory / "broker.json"
        self._version_file = self._directory / "version"
        self._log = self._directory / "broker.log"
        # The broker, if this object has started it: an ended child process must be waited for.
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, progress: Progress = lambda _text: None) -> str:
        """Start the broker unless it runs; return its address once it answers.

        Raises:
            EmbeddedKafkaError: its packages are not installed, or it cannot be downloaded or
                started.
        """
        require_packages()
        with self._alone():
            running = self._running()
            # After an interrupted start it may not be ready yet; a killed one may not be gone yet.
            ends = "'stream-app kafka stop' ends it"
            if running is not None and self._becomes_ready(running, progress, ends):
                return f"{HOST}:{running.port}"
            self._check_version()
            java = java_command(class_path(self._settings.jars_directory, progress))
            if not (self._directory / DATA).exists():
                self._version_file.write_text(KAFKA_VERSION)
                format_data(java, self._directory)
            for _ in range(PORT_ATTEMPTS):
                with contextlib.suppress(_PortTakenError):
                    return self._run(java, progress)
            raise EmbeddedKafkaError(
                f"Kafka found its port taken {PORT_ATTEMPTS} times:\n{last_lines(self._log)}"
            )

    def stop(self, timeout_seconds: float = 10.0) -> bool:
        """End the broker in order, by force at the deadline; return whether it ran.

        It waits for a start or stop by another process.
        """
        return self._end(signal.SIGTERM, timeout_seconds)

    def kill(self) -> bool:
        """End the broker without warning, as a crash would; return whether it ran."""
        return self._end(signal.SIGKILL, KILLED_SECONDS)

    def status(self) -> KafkaStatus:
        """Return the state of the broker; a state file that a crash has left does not count."""
        state = self._running()
        if state is None:
            return KafkaStatus(False, None, None, KAFKA_VERSION, self._directory, None)
        address = f"{HOST}:{state.port}"
        return KafkaStatus(
            True, state.pid, address, state.version, self._directory, state.started_at
        )

    # -- steps of a start

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one start or stop at a time work on the folder, and turn I/O errors into ours."""
        try:
            make_private(self._directory)
            with locked(self._directory / "start.lock"):
                yield
        except OSError as error:
            raise EmbeddedKafkaError(
                f"the embedded Kafka in {self._directory}: {error}: mend that, or set "
                "STREAM_APP_EMBEDDED__DIRECTORY to another folder"
            ) from error

    def _check_version(self) -> None:
        if not (self._directory / DATA).exists():
            return
        known = self._version_file.exists()
        found = self._version_file.read_text().strip() if known else "of an unknown version"
        if found != KAFKA_VERSION:
            raise EmbeddedKafkaError(
                f"the data in {self._directory} was written by Kafka {found}, this is Kafka "
                f"{KAFKA_VERSION}: move the folder away or remove it (its topics go with it), or "
                "set STREAM_APP_EMBEDDED__DIRECTORY to another one"
            )

    def _run(self, java: list[str], progress: Progress) -> str:
        """Start the process and wait for its answer; end it if that fails."""
        self._reap()
        port, controller = self._ports()
        address = f"{HOST}:{port}"
        properties = write_properties(self._directory, port, controller)
        progress(f"starting Kafka {KAFKA_VERSION} on {address}")
        process = launch(java, properties, self._log, self._settings.heap_mb)
        self._process = process
        try:
            state = _State(process.pid, port, controller, KAFKA_VERSION, time.time())
            self._write_state(state)
            ended = "it is ended now, its data stays: look into the log, and start it again"
            if not self._becomes_ready(state, progress, ended):
                self._explain_end(state)
        except BaseException:
            process.kill()
            process.wait(KILLED_SECONDS)
            raise
        return address

    def _ports(self) -> tuple[int, int]:
        """Return the broker's and the controller's port: those of the last run if they are free."""
        last = self._read_state()
        configured = self._settings.port
        if configured and not becomes_free(configured):
            raise self._configured_port_taken()
        port = configured or free_or_new(last.port if last else 0, set())
        return port, free_or_new(last.controller if last else 0, {port})

    def _configured_port_taken(self) -> EmbeddedKafkaError:
        return EmbeddedKafkaError(
            f"port {self._settings.port} of {HOST} is taken by another program: set "
            "STREAM_APP_EMBEDDED__PORT to another one, or to 0 for any"
        )

    def _becomes_ready(self, state: _State, progress: Progress, then: str) -> bool:
        """Wait until the broker answers; return `False` if it ends before that.

        It may take any time to read its log, as long as it makes progress. `then` says in the
        error what happens to a broker that makes none.
        """
        cluster = cluster_id(self._directory)
        recovery = LogRecovery(self._log, self._directory / DATA)
        moved = shown = time.monotonic()
        while time.monotonic() < moved + READY_SECONDS:
            if not self._lives(state):
                return False
            if answers(state.port, cluster):
                return True
            if recovery.has_moved():
                moved = time.monotonic()
                if moved >= shown + SHOW_SECONDS:
                    shown = moved
                    progress(str(recovery))
            time.sleep(POLL_SECONDS)
        raise EmbeddedKafkaError(
            f"Kafka (process {state.pid}) does not answer on {HOST}:{state.port}, and has not "
            f"moved for {READY_SECONDS:.0f} s: {then}\n{last_lines(self._log)}"
        )

    def _explain_end(self, state: _State) -> NoReturn:
        log = last_lines(self._log)
        if PORT_TAKEN in log:
            if state.port == self._settings.port and not is_free(state.port):
                raise self._configured_port_taken()
            raise _PortTakenError
        raise EmbeddedKafkaError(f"Kafka ended at its start:\n{log}")

    # -- the process and its state file

    def _running(self) -> _State | None:
        state = self._read_state()
        return state if state is not None and self._lives(state) else None

    def _lives(self, state: _State) -> bool:
        # The system knows it for a child process. A command line is empty while a process starts
        # or ends.
        if self._process is not None and self._process.pid == state.pid:
            return self._process.poll() is None
        return is_broker(state.pid, self._directory / "server.properties")

    def _read_state(self) -> _State | None:
        try:
            return _State(**json.loads(self._state_file.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def _write_state(self, state: _State) -> None:
        partial = self._state_file.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(state)))
        partial.replace(self._state_file)

    def _end(self, number: signal.Signals, timeout_seconds: float) -> bool:
        if not self._directory.exists():
            return False
        with self._alone():
            state = self._running()
            if state is None:
                self._reap()
                return False
            with contextlib.suppress(ProcessLookupError):
                os.kill(state.pid, number)
                if not self._has_ended(state, timeout_seconds):
                    os.kill(state.pid, signal.SIGKILL)
            if not self._has_ended(state, KILLED_SECONDS):
                raise EmbeddedKafkaError(f"Kafka (process {state.pid}) does not end: try again")
            self._reap()
            return True

    def _reap(self) -> None:
        """Wait for the end of a broker that is a child of this process."""
        if self._process is not None:
            self._process.wait(KILLED_SECONDS)

    def _has_ended(self, state: _State, timeout_seconds: float) -> bool:
        return becomes_true(lambda: not self._lives(state), timeout_seconds)
