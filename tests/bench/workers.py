"""Workers as they run in production: in new interpreters, with a start and memory of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.integration.harness import WorkerProcess


def _start(
    args: Sequence[str], env: Mapping[str, str], stdout: Path, stderr: Path
) -> subprocess.Popen[bytes]:
    with stdout.open("ab") as out, stderr.open("ab") as err:
        return subprocess.Popen([sys.executable, *args], env=env, stdout=out, stderr=err)


class Worker(WorkerProcess):
    """A worker that is measured."""

    program = staticmethod(_start)
