"""Runs commands of stream-app on a terminal of their own, one after the other.

It reads a JSON list of {"name", "args", "env"} from stdin. As each command ends, it writes a line
to stdout: the exit code, and in base64 all that the command has written to the terminal. Commands
are forked from a process that has imported them, since imports would take most of the time.
"""

from __future__ import annotations

import base64
import fcntl
import importlib
import json
import os
import pty
import struct
import sys
import termios
from typing import Any

from stream_app.cli import main

#: So wide that a table wraps only the longest name.
ROWS, COLUMNS = 50, 2000


def run(case: dict[str, Any]) -> None:
    child, terminal = pty.fork()
    if child == 0:
        # Some test runners set these, and they win over the size of the terminal.
        os.environ.update(case["env"] | {"LINES": str(ROWS), "COLUMNS": str(COLUMNS)})
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        try:
            main([os.fsdecode(os.fsencode(arg)) for arg in case["args"]])
        except SystemExit as end:
            sys.stdout.flush()
            os._exit(end.code if isinstance(end.code, int) else 1)
        except BaseException as error:  # noqa: BLE001 - uncaught errors are shown, too
            sys.excepthook(type(error), error, error.__traceback__)
            os._exit(99)
    written = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            break
        if not part:
            break
        written += part
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    code = os.waitstatus_to_exitcode(status)
    print(json.dumps([case["name"], code, base64.b64encode(written).decode()]), flush=True)


if __name__ == "__main__":
    importlib.import_module("tests.preloaded")
    for case in json.load(sys.stdin):
        run(case)
