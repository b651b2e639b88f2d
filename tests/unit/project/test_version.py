"""The version stands in one place, and everything that shows one shows it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

from stream_app import __version__
from stream_app.metrics import Metrics
from tests.documentation.pages import PAGES, ROOT


def test_the_package_takes_it_from_the_code() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(text)
    assert "version" not in project["project"]
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"] == {"path": "stream_app/__init__.py"}


def test_it_has_the_form_that_the_chart_needs() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_no_other_file_of_the_package_holds_one() -> None:
    pattern = re.compile(r"""__version__ *=|["']""" + re.escape(__version__))
    found = [
        file for file in (ROOT / "stream_app").rglob("*.py") if pattern.search(file.read_text())
    ]
    assert found == [ROOT / "stream_app" / "__init__.py"]


def test_the_command_and_the_metrics_show_it() -> None:
    command = [sys.executable, "-m", "stream_app", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"stream-app, version {__version__}\n"
    (sample,) = (s for s in Metrics().registry.collect() if s.name == "stream_app_build_info")
    assert [one.labels for one in sample.samples] == [{"version": __version__}]


def test_the_newest_changes_are_those_of_this_version() -> None:
    changes = PAGES["deploy/README.md"].partition("\n## Changes\n")[2].partition("\n## ")[0]
    versions = re.findall(r"^### (\S+)$", changes, re.MULTILINE)
    assert versions[0] == __version__
    in_order = sorted(versions, key=lambda text: [int(part) for part in text.split(".")])
    assert versions == in_order[::-1]
