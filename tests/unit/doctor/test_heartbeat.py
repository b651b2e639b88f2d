"""The doctor tries the heartbeat's host: it connects, and sends nothing that could be a ping."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from stream_app.doctor import configuration
from stream_app.doctor.check import CheckStatus, Finding
from stream_app.domain.configuration.kinds import Kind
from stream_app.heartbeat_settings import HeartbeatSettings
from stream_app.setting_groups import DeliverySettings
from stream_app.settings import Settings
from tests.tls.self_signed import self_signed
from tests.unit.opsgenie.proxies import proxy
from tests.unit.opsgenie.servers import answer, answers, serve
from tests.unit.opsgenie.test_network import IN_URL, PASSWORD, TOKEN, port_of, service, settings

SECRET = "7f-secret"
PONG = answers(answer("200 OK", b"OK"))


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[int, asyncio.Future[bytes]]]:
    """Yield a port, and what its first connection sends until it ends."""
    sent: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent.set_result(await reader.read())
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as listener:
        yield listener.sockets[0].getsockname()[1], sent


def at(url: str, delivery: DeliverySettings | None = None) -> Settings:
    heartbeat = HeartbeatSettings(target="url", url=SecretStr(url), url_hosts=("127.0.0.1",))
    return Settings(delivery=delivery or DeliverySettings(), heartbeat=heartbeat)


async def test_a_host_that_takes_connections_is_sent_nothing() -> None:
    async with listening() as (port, sent):
        (found,) = await configuration.heartbeat(
            at(f"http://127.0.0.1:{port}/{SECRET}?key={SECRET}")
        )
        assert await sent == b""
    assert (found.check, found.verdict) == ("heartbeat", CheckStatus.OK)
    assert found.text.startswith("127.0.0.1 takes connections: connection is well; ")
    assert SECRET not in str(found)


async def test_tls_is_tried_and_the_certificate_must_be_trusted(tmp_path: Path) -> None:
    context, certificate = self_signed(tmp_path)
    async with serve(PONG, context) as server:
        url = f"https://127.0.0.1:{port_of(server.endpoint)}/{SECRET}"
        (refused,) = await configuration.heartbeat(at(url))
        trusting = DeliverySettings(ca_file=Path(certificate))
        (trusted,) = await configuration.heartbeat(at(url, trusting))
    assert refused.verdict is CheckStatus.FAIL
    assert "127.0.0.1 is there and takes connections, but TLS fails" in refused.text
    assert trusted.verdict is CheckStatus.OK
    assert "name, connection and TLS are well" in trusted.text
    assert server.requests == []
    assert SECRET not in str((refused, trusted))


async def test_a_host_that_takes_no_connection_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    (found,) = await configuration.heartbeat(at(f"http://127.0.0.1:{port}/{SECRET}"))
    assert found.verdict is CheckStatus.FAIL
    assert "127.0.0.1 has an address, but takes no connection" in found.text
    assert found.next_step
    assert SECRET not in str(found)


JSM: dict[str, Any] = {"target": "jsm", "name": "pager", "cloud_id": "c", "team_id": "t"}


async def test_the_real_host_is_reached_through_the_proxy(tmp_path: Path) -> None:
    heartbeat = HeartbeatSettings(**JSM, email="a@b.example", api_token=SecretStr(SECRET))
    async with (
        service(tmp_path, PONG) as (server, ca_file),
        proxy(port_of(server.endpoint)) as way,
    ):
        delivery = settings(way.port, auth=IN_URL, ca_file=ca_file)
        (found,) = await configuration.heartbeat(Settings(delivery=delivery, heartbeat=heartbeat))
    assert found.verdict is CheckStatus.OK
    assert found.text.startswith(
        "api.atlassian.com takes connections: name, connection and TLS are well, through the proxy"
    )
    assert [head.split()[1] for head in way.heads] == [b"api.atlassian.com:443"]
    assert server.requests == []
    for hidden in (SECRET, PASSWORD, TOKEN.decode()):
        assert hidden not in str(found)


async def of_opsgenie(monkeypatch: pytest.MonkeyPatch, port: int, **changes: Any) -> Finding:
    sandbox = f"http://127.0.0.1:{port}"
    record = {"id": 521, "client_id": 1111, "name": "On-call", "type": "opsgenie"}
    record |= {
        "active": True,
        "target": {"api": sandbox, "token": "env:STREAM_APP_KEY_1111_ACME"},
        "events": [],
    }
    stored = {Kind.INTEGRATION: {521: record | changes}}

    async def read(_settings: object) -> Any:
        return stored

    async def statuses(_settings: object) -> Any:
        return {}

    monkeypatch.setattr(configuration, "read_stored", read)
    monkeypatch.setattr(configuration, "read_statuses", statuses)
    heartbeat = HeartbeatSettings(target="opsgenie", name="pager", integration_id=521)
    delivery = DeliverySettings(sandbox_url=sandbox)
    (found,) = await configuration.heartbeat(Settings(delivery=delivery, heartbeat=heartbeat))
    return found


async def test_the_host_of_opsgenie_is_that_of_the_integration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with listening() as (port, sent):
        found = await of_opsgenie(monkeypatch, port)
        assert await sent == b""
    assert found.verdict is CheckStatus.OK, found


async def test_an_integration_that_is_turned_off_pings_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = await of_opsgenie(monkeypatch, 9, active=False)
    assert found.verdict is CheckStatus.FAIL
    assert "nothing is pinged: integration 521 cannot be used: its owner has turned" in found.text


async def test_without_a_heartbeat_nothing_is_tried() -> None:
    (found,) = await configuration.heartbeat(Settings())
    assert found.verdict is CheckStatus.OK
    assert "none is set" in found.text
