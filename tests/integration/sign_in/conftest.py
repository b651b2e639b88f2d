"""The broker of these tests: one for all of them in a process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from stream_app.kafka.sign_in.refusals import REFUSALS
from tests.integration.sign_in.place import Place, sign_in_place
from tests.integration.sign_in.scram import set_password
from tests.integration.sign_in.settings import SCRAM_PASSWORD


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return a broker with a listener for each way to sign in."""
    with sign_in_place(tmp_path_factory.mktemp("sign-in")) as found:
        asyncio.run(set_password(found.addresses["PLAINTEXT"], "scram", SCRAM_PASSWORD))
        yield found


@pytest.fixture(autouse=True)
def _no_refusals_from_before() -> None:
    for at in REFUSALS.current():
        REFUSALS.clear(at)
