"""The installations of these tests: two partitions show what more of them would."""

from __future__ import annotations

import pytest


@pytest.fixture
def partitions() -> int:
    """Return how many partitions the topics have: each costs the broker, and each worker."""
    return 2
