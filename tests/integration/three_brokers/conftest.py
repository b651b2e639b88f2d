"""The cluster that the tests of this folder run on; each has its own, whose nodes it may kill."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.three_brokers.nodes import NODES, ThreeBrokers


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[ThreeBrokers]:
    found = ThreeBrokers(tmp_path)
    try:
        found.format()
        await found.start(*NODES)
        yield found
    finally:
        found.end()
