"""Containers without an engine: a root, a user and process ids of its own, by `unshare`.

`enter.sh` tells what they are made of. Only root can make them: for others the tests fail.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

ENTER = Path(__file__).with_name("enter.sh")


@dataclass(frozen=True)
class Container:
    """What a command sees: the folders of an image's layers over a base, and mounted files.

    Args:
        layers: what the image has beside its base, as a folder.
        environment: the command's, and no other.
        user: `uid:gid`.
        folder: where the command starts.
        mounts: place inside -> this machine's file or folder that is seen there.
        mode: whether the layers can be written; all else never can.
    """

    layers: Path
    environment: Mapping[str, str]
    user: str = "0:0"
    folder: str = "/"
    mounts: Mapping[str, Path] = field(default_factory=dict)
    mode: Literal["ro", "rw"] = "ro"

    @contextmanager
    def command(self, args: Sequence[str]) -> Iterator[list[str]]:
        """Give the command of this machine that runs `args` inside, as process 1."""
        assert os.geteuid() == 0, "containers of tests are made by root: run this test as root"
        with tempfile.TemporaryDirectory() as root:
            # Who is not root must be able to go through it.
            yield [
                *("unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", str(ENTER)),
                *(root, str(self.layers), self.mode, sys.base_prefix, self.user, self.folder),
                *(f"{outside}={inside}" for inside, outside in self.mounts.items()),
                "--",
                *(f"{name}={value}" for name, value in self.environment.items()),
                "--",
                *args,
            ]

    def run(self, args: Sequence[str], timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        with self.command(args) as command:
            return subprocess.run(
                command, capture_output=True, text=True, timeout=timeout, check=False
            )
