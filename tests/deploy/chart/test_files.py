"""What the chart says of the code is so: settings, topics, version, and the files it shares."""

from __future__ import annotations

import yaml

from stream_app import __version__
from tests.conftest import ROOT
from tests.deploy.chart.flips import describe, nodes, resolved
from tests.deploy.chart.written_files import CHART, SCHEMA, TOPICS, schema_text, topics_text

WRITE = "run: python -m tests.deploy.chart.written_files"


def test_the_settings_of_the_values_are_those_of_the_code() -> None:
    assert SCHEMA.read_text() == schema_text(), WRITE


def test_the_topics_are_those_of_the_code() -> None:
    assert TOPICS.read_text() == topics_text(), WRITE


def test_the_version_is_that_of_the_project() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_rules_and_dashboard_are_no_copies() -> None:
    for name, path in (
        ("rules.yaml", "deploy/prometheus/rules.yaml"),
        ("dashboard.json", "deploy/grafana/stream-app.json"),
    ):
        file = CHART / "files" / name
        assert file.is_symlink()
        assert file.resolve() == ROOT / path


def test_each_value_says_what_it_is() -> None:
    found = {describe(path): {**resolved(schema), **schema} for path, schema in nodes() if path}
    assert [path for path, schema in found.items() if not schema.get("description")] == []
