"""The doctor reports clients that share a name."""

from __future__ import annotations

import pytest

from stream_app.doctor import configuration
from stream_app.doctor.check import CheckStatus
from stream_app.domain.configuration.kinds import Kind, Stored
from stream_app.settings import Settings


@pytest.mark.parametrize(
    ("names", "verdict", "text"),
    [
        ({1111: "Acme", 2222: "Bolt"}, CheckStatus.OK, "2, each its own"),
        (
            {2222: " ACME", 1111: "Acme"},
            CheckStatus.FAIL,
            "client 2222 has the name of client 1111",
        ),
    ],
)
async def test_clients_that_share_a_name_are_named(
    monkeypatch: pytest.MonkeyPatch, names: dict[int, str], verdict: CheckStatus, text: str
) -> None:
    stored: Stored = {kind: {} for kind in Kind}
    for number, name in names.items():
        stored[Kind.CLIENT][number] = {"client_id": number, "name": name, "cloud": "EU"}
    stored[Kind.CLIENT][5] = {"client_id": 5, "name": 7}

    async def read(_settings: object) -> Stored:
        return stored

    monkeypatch.setattr(configuration, "read_stored", read)
    (finding,) = await configuration.client_names(Settings())
    assert (finding.verdict, finding.text) == (verdict, text)
