"""Workers as an engine starts them: process 1 of a container of the image, with bounded memory."""

from __future__ import annotations

import re
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import psutil

from tests.deploy.containers.container import Container
from tests.integration.harness import WorkerProcess

#: Control groups with a limit of memory: version 2, or version 1.
GROUPS = Path("/sys/fs/cgroup")
OLD_GROUPS = GROUPS / "memory"


class Contained(subprocess.Popen[bytes]):
    """A container that runs: `unshare` outside, whose only child is process 1 inside."""

    @property
    def first(self) -> psutil.Process:
        """Process 1, as this machine sees it."""
        (found,) = psutil.Process(self.pid).children()
        return found

    def send_signal(self, sig: int) -> None:
        """Send a signal to process 1, as an engine does."""
        # It may end at any time.
        with suppress(ValueError, psutil.NoSuchProcess):
            self.first.send_signal(sig)


class ContainedWorker(WorkerProcess):
    """`stream-app worker ROLE` in a container; its log is a file. Use it as a context manager.

    Args:
        container: what it sees.
        args: the entry point of the image and what comes after it.
        log: where stdout and stderr go.
        memory_bytes: the process is killed when it needs more.
    """

    def __init__(
        self, container: Container, args: Sequence[str], log: Path, memory_bytes: int
    ) -> None:
        self.log = log
        self._container, self._args, self._memory_bytes = container, args, memory_bytes

    def __enter__(self) -> Self:
        self._group = memory_group(self._memory_bytes)
        self._command = self._container.command(self._args)
        join = f'echo $$ > {self._group.__enter__()}/cgroup.procs && exec "$@"'
        with self.log.open("wb") as log:
            self.process = self.contained = Contained(
                ["sh", "-c", join, "sh", *self._command.__enter__()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._command.__exit__(None, None, None)
        self._group.__exit__(None, None, None)

    def peak_bytes(self) -> int:
        """Return the most memory that the process has had, files that it has mapped included."""
        status = Path(f"/proc/{self.contained.first.pid}/status").read_text()
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
        assert found is not None, status
        return int(found[1]) * 1024

    def execute(self, args: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a further command in the running container, as `docker exec` does."""
        uid, gid = self._container.user.split(":")
        entered = ("--mount", "--pid", "--root", "--wd", f"--setuid={uid}", f"--setgid={gid}")
        return subprocess.run(
            ["/usr/bin/env", "nsenter", f"--target={self.contained.first.pid}", *entered, *args],
            env={**self._container.environment, **environment},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


@contextmanager
def memory_group(memory_bytes: int) -> Iterator[Path]:
    """Give a control group whose processes are killed when they need more memory together."""
    is_old = OLD_GROUPS.is_dir()
    if not is_old:
        (GROUPS / "cgroup.subtree_control").write_text("+memory")
    group = (OLD_GROUPS if is_old else GROUPS) / f"stream-app-{uuid.uuid4().hex[:8]}"
    group.mkdir()
    try:
        limit = group / ("memory.limit_in_bytes" if is_old else "memory.max")
        limit.write_text(str(memory_bytes))
        yield group
    finally:
        group.rmdir()
