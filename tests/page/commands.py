"""`stream-app` commands, each in a process of its own that has its modules loaded already.

The tests of the page run some eighty commands, and most of the time of each would be its imports.
So one process imports them and forks for each command. What the command does is all its own: its
environment, its logs, its exit code.

    python -m tests.page.commands    reads a JSON line {args, env, out, err}, writes the exit code
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Self

#: Where the commands that the tests run live; each imports what it needs.
COMMANDS = (
    "apply",
    "cloud_ips",
    "delete",
    "get",
    "integration_life",
    "integration_test",
    "topics",
)


class Commands:
    """Runs commands, one at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start the process that forks."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.page.commands"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        return self

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.communicate(timeout=10)

    def run(self, args: Sequence[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run `stream-app` with these arguments in this environment, and no other."""
        out, err = self._folder / "command.out", self._folder / "command.err"
        asked = {"args": args, "env": dict(env), "out": str(out), "err": str(err)}
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return subprocess.CompletedProcess([*args], code, out.read_text(), err.read_text())


def serve() -> None:
    """Fork for each line of stdin."""
    for name in COMMANDS:
        import_module(f"stream_app.cli.{name}")
    for line in sys.stdin.buffer:
        child = os.fork()
        if child == 0:
            _command(json.loads(line))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _command(asked: Mapping[str, object]) -> None:
    """Be the command, and end with its exit code."""
    code = 1
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(str(asked[name]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    os.environ.clear()
    os.environ.update(asked["env"])  # type: ignore[call-overload]
    try:
        import_module("stream_app.cli").main(asked["args"])
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException:  # noqa: BLE001 - as the interpreter does it
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve()
