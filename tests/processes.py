"""Python programs in processes of their own, forked from one that has their modules loaded.

A new interpreter spends more than a second of a core on what a worker or a command imports, and
the tests start hundreds. All else is the process's own: environment, folder, files, signals,
memory and exit code. Some faults show only in a new interpreter, such as a missing import. Tests
that use `subprocess` find these: with workers in `test_pages.py` and `test_demo.py`, with commands
there and in `test_embedded_kafka.py`.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from multiprocessing import connection
from pathlib import Path

STREAM_APP = ("-m", "stream_app")

_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(["tests.preloaded"])
#: The library reads an exit code once: two threads must not ask at the same time.
_ASKING = threading.Lock()


class Program:
    """A program that runs: what `subprocess.Popen` is for a new interpreter.

    Args:
        args: `-m`, a module and its arguments, or a script and its arguments.
        env: its environment, and no other.
        stdout: the file that its output is added to.
        stderr: the same for errors.
        stdin: the file that it reads.
        cwd: its folder.
    """

    def __init__(
        self,
        args: Sequence[str],
        env: Mapping[str, str],
        stdout: Path,
        stderr: Path,
        stdin: Path | None = None,
        cwd: Path | None = None,
    ) -> None:
        files = (str(stdin or os.devnull), str(stdout), str(stderr))
        asked = (tuple(args), dict(env), files, str(cwd or Path.cwd()))
        # What a failed test leaves running ends with the tests.
        self._process = _FORKING.Process(target=_become, args=asked, daemon=True)
        with _ASKING:
            self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        """Return its exit code, a signal's number as a negative one; None while it runs."""
        with _ASKING:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return its exit code."""
        connection.wait([self._process.sentinel], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(
    args: Sequence[str],
    env: Mapping[str, str],
    stdin: str = "",
    cwd: Path | None = None,
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, as `subprocess.run` does with text."""
    with tempfile.TemporaryDirectory() as folder:
        given, out, err = (Path(folder) / name for name in ("in", "out", "err"))
        given.write_text(stdin)
        program = Program(args, env, out, err, given, cwd)
        try:
            code = program.wait(timeout)
        finally:
            program.kill()
        return subprocess.CompletedProcess([*args], code, out.read_text(), err.read_text())


def _become(args: Sequence[str], env: Mapping[str, str], files: Sequence[str], cwd: str) -> None:
    """Become the program, in the process that was forked for it."""
    written = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    for number, file in enumerate(files):
        opened = os.open(file, written if number else os.O_RDONLY, 0o666)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - it lasts as long as the process
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    try:
        if args[0] == "-m":
            sys.argv = list(args[1:])
            runpy.run_module(args[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = list(args)
            runpy.run_path(args[0], run_name="__main__")
    except Exception:  # noqa: BLE001 - as the interpreter does it
        sys.excepthook(*sys.exc_info())
        sys.exit(1)
