"""Check of the clients: each must have its own name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stream_app.doctor.check import Finding, fail, ok
from stream_app.domain.configuration.client_names import normal_name, shared_names
from stream_app.domain.configuration.clients import read_client
from stream_app.domain.configuration.kinds import Kind
from stream_app.kafka.configuration.records import read_stored

if TYPE_CHECKING:
    from stream_app.settings import Settings


async def names(settings: Settings) -> Sequence[Finding]:
    """Check whether clients share a name: events that name a client then belong to only one."""
    name = "client names"
    records = (await read_stored(settings))[Kind.CLIENT].values()
    clients = [client for client, problems in map(read_client, records) if not problems]
    found = shared_names({client.client_id: normal_name(client.name) for client in clients})
    if not found:
        return [ok(name, f"{len(clients)}, each its own")]
    step = "apply it with another name, and let producers send client_id"
    return [
        fail(name, f"client {number} has the name of client {keeper}", step)
        for number, keeper in found.items()
    ]
