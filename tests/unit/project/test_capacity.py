"""The figures for sizing are those of the bench, and what they name is there."""

from __future__ import annotations

import re

from stream_app.metrics import Metrics
from stream_app.settings import setting_fields
from tests.documentation.pages import PAGES
from tests.promql import known_series

PAGE = PAGES["deploy/capacity.md"]


def rows(text: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]


def test_speeds_and_times_are_those_of_the_bench() -> None:
    (speed,) = re.findall(r"^## Speed\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    recorded = {row[0]: row[1] for row in rows(PAGES["tests/bench/README.md"])}
    named = rows(speed)[1:]
    assert len(named) >= 10
    assert [row for row in named if recorded.get(row[0]) != row[1]] == []


def test_metrics_and_settings_that_it_names_are_there() -> None:
    metrics = set(re.findall(r"\b(?:stream_app|process)_[a-z_]+", PAGE))
    assert len(metrics) > 5
    assert metrics <= known_series().keys() | {row.name for row in Metrics().rows}
    settings = set(re.findall(r"STREAM_APP_[A-Z_]+", PAGE))
    assert settings
    assert settings <= {name for name, _ in setting_fields()}
