"""What `make` says while it installs."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.documentation.pages import ROOT

PINNED = sum("==" in line for line in (ROOT / "constraints.txt").read_text().splitlines())
PIP = """#!/bin/sh
case "$*" in *constraints*) ;; *) exit 0 ;; esac
for n in $(seq {found}); do echo "Collecting p$n==1 (from x)"; echo "  Downloading p$n.whl"; done
[ {found} = {pinned} ] || {{ echo "ERROR: no such version" >&2; exit 1; }}
echo "Installing collected packages: p1, p2"
"""


def command(folder: Path, found: int) -> list[str]:
    """Return the command that installs with a pip that finds so many of the packages."""
    (folder / "pip").write_text(PIP.format(found=found, pinned=PINNED))
    (folder / "pip").chmod(0o755)
    (folder / "venv").mkdir()
    named = [f"VENV={folder}/venv", f"PIP={folder}/pip", "PYTHON=true"]
    return ["make", "--no-print-directory", "-C", str(ROOT), *named, f"{folder}/venv/.installed"]


def test_it_says_how_far_it_is_in_a_few_lines(tmp_path: Path) -> None:
    done = subprocess.run(command(tmp_path, PINNED), capture_output=True, text=True, check=True)
    steps = [f"  {n} of {PINNED}: p{n}==1" for n in range(20, PINNED + 1, 20)]
    assert done.stdout.splitlines()[1:] == [
        f"installing the {PINNED} packages of constraints.txt",
        *steps,
        "  all are there, unpacking them",
        "installing stream_app itself",
    ]
    assert (tmp_path / "venv/.installed").exists()


def test_on_a_terminal_it_paints_over_one_line(tmp_path: Path) -> None:
    ours, terminal = pty.openpty()
    with subprocess.Popen(command(tmp_path, PINNED), stdout=terminal) as process:
        os.close(terminal)
        seen = b""
        while chunk := _read(ours):
            seen += chunk
    os.close(ours)
    assert process.returncode == 0
    assert f"  {PINNED} of {PINNED}: p{PINNED}==1\r" in seen.decode()
    assert seen.count(b"\n") == 3


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other side has ended
        return b""


@pytest.mark.parametrize("found", [0, 7])
def test_a_failure_of_pip_is_one_of_make_and_is_shown(tmp_path: Path, found: int) -> None:
    done = subprocess.run(command(tmp_path, found), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "ERROR: no such version" in done.stderr
    assert not (tmp_path / "venv/.installed").exists()
