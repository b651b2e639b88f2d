"""One running system for all tests of the page, and a client of its own for each."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from stream_app.settings import Settings
from tests.conftest import shared_kafka
from tests.page.system import System
from tests.page.tenant import Tenant

#: All three cycles take 15 s of waits.
SCALE = 0.005

StartSystem = Callable[[float], System]


@pytest.fixture(scope="session")
def start_system(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartSystem]:
    """Return a function that starts a system whose waits are a share of the documented ones."""
    systems: list[System] = []

    def start(scale: float) -> System:
        settings = Settings(
            kafka=shared_kafka(kafka),
            topic_prefix=f"p{uuid.uuid4().hex[:10]}.",
            partitions=2,
        )
        systems.append(System(settings, tmp_path_factory.mktemp("page"), scale))
        return systems[-1].start()

    yield start
    for system in systems:
        system.stop()


@pytest.fixture(scope="session")
def system(start_system: StartSystem) -> System:
    """Return the system that the tests share."""
    return start_system(SCALE)


@pytest.fixture
def tenant(system: System) -> Tenant:
    """Return a client that no other test has."""
    return Tenant(system)
