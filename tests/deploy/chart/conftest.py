"""What the tests of the chart share: one renderer in each process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.chart.rendering import Chart, Rendering, renderer


@pytest.fixture(scope="session")
def chart() -> Iterator[Chart]:
    with renderer() as running:
        yield running


@pytest.fixture(scope="session")
def minimal(chart: Chart) -> Rendering:
    """Return what is made of the values that everybody must say."""
    return chart.render()
