"""The version before this one, from the history of this repository, and its workers."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

from tests.conftest import ROOT
from tests.integration.harness import WorkerProcess

#: The last commit of the version before this one. Raise it when a version is released, to the
#: commit of that release: an upgrade that skips versions is promised in no text.
PREVIOUS_COMMIT = "502deb5bcaeda61fc85d57fa252620ec10059919"
FOLDER = ROOT / ".local" / "previous-version"


class HistoryMissingError(AssertionError):
    """The history of this repository does not reach back to the version before."""


def previous_version(commit: str = PREVIOUS_COMMIT, repository: Path = ROOT) -> Path:
    """Return the folder with the code of a commit; it is unpacked once for all tests.

    The code runs with the packages of this environment: its own are the same, or older.

    Raises:
        HistoryMissingError: the commit is not in this clone.
    """
    found = FOLDER / commit
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several processes of a run may ask at the same time
        if not found.exists():
            unpacked = tempfile.mkdtemp(dir=FOLDER)
            with tarfile.open(fileobj=BytesIO(_archive(commit, repository))) as archive:
                archive.extractall(unpacked, filter="data")
            Path(unpacked).rename(found)
    return found


def _archive(commit: str, repository: Path) -> bytes:
    done = subprocess.run(
        ["git", "-C", str(repository), "archive", commit, "stream_app"],  # noqa: S607 - whichever git is there
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise HistoryMissingError(
            f"the version before, commit {commit[:12]}, is not in the history of {repository}: "
            f"{done.stderr.decode().strip()}. Clone the repository with its whole history, or run "
            f"'git fetch --unshallow'"
        )
    return done.stdout


def _start(
    args: Sequence[str], env: Mapping[str, str], stdout: Path, stderr: Path
) -> subprocess.Popen[bytes]:
    """Start a program of the version before in a new interpreter: others have loaded this one."""
    folder = previous_version()
    with stdout.open("ab") as out, stderr.open("ab") as err:
        return subprocess.Popen(
            [sys.executable, *args], env=_own(env, folder), cwd=folder, stdout=out, stderr=err
        )


def _own(env: Mapping[str, str], folder: Path) -> dict[str, str]:
    return {**env, "PYTHONPATH": str(folder), "PATH": os.environ["PATH"]}


class PreviousWorker(WorkerProcess):
    """A worker of the version before."""

    program = staticmethod(_start)
