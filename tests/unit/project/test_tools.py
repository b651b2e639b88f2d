"""The programs that tests run are there, and run."""

from __future__ import annotations

import subprocess

import pytest

from tests.tools import tool


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("promtool", "--version"),
        ("prometheus", "--version"),
        ("kcat", "-V"),
        ("systemd-analyze", "--version"),
        ("chromium-headless-shell", "--version"),
    ],
)
def test_a_tool_runs(name: str, option: str) -> None:
    """`make tools` has unpacked it with the libraries that it needs."""
    done = subprocess.run([tool(name), option], capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
