"""Prints the time per group of tests (the folders below `tests/`) at the end of a run."""

from __future__ import annotations

from collections import defaultdict
from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Add up set-up, call and tear-down of each group."""
    seconds: dict[str, float] = defaultdict(float)
    tests: dict[str, set[str]] = defaultdict(set)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if hasattr(report, "duration") and hasattr(report, "nodeid"):
                group = "/".join(report.nodeid.split("::")[0].split("/")[:-1])
                seconds[group] += report.duration
                tests[group].add(report.nodeid)
    terminalreporter.section("time per group")
    for group in sorted(seconds, key=lambda name: -seconds[name]):
        terminalreporter.line(f"{seconds[group]:8.1f} s  {len(tests[group]):5} tests  {group}")
