"""Which part of reaching a service is said to fail, with real servers that fail there."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from stream_app.domain.delivery.reasons import IntegrationType
from stream_app.opsgenie.client import OpsgenieClient
from stream_app.opsgenie.destination import Destination
from stream_app.opsgenie.endpoints import Endpoint
from stream_app.opsgenie.outcome import classify
from stream_app.opsgenie.reach import Reached
from stream_app.setting_groups import DeliverySettings
from tests.tls.self_signed import self_signed
from tests.unit.opsgenie.servers import answer, answers, serve

KEY = "00000000-1111-2222-3333-444444444444"
SETTINGS = DeliverySettings(connect_timeout_seconds=0.5, request_timeout_seconds=1)


async def reached(url: str, ssl_context: ssl.SSLContext | None = None) -> Reached:
    endpoint = Endpoint(url, IntegrationType.OPSGENIE, is_sandbox=True)
    async with OpsgenieClient(SETTINGS, ssl_context=ssl_context) as client:
        return await Destination(endpoint, "", client).reach()


@pytest.mark.parametrize("status", ["200 OK", "401 x", "404 x", "500 x"])
async def test_any_answer_says_that_the_service_is_there(status: str) -> None:
    async with serve(answers(answer(status))) as server:
        found = await reached(server.endpoint.alerts_url)
    assert found.is_reached
    assert f"127.0.0.1 answers (HTTP {status[:3]} after" in found.text
    assert "connection is well" in found.text


async def test_with_tls_all_three_parts_are_named(tmp_path: Path) -> None:
    context, certificate = self_signed(tmp_path)
    trusting = ssl.create_default_context(cafile=certificate)
    async with serve(answers(answer("401 x")), context) as server:
        assert (
            "name, connection and TLS are well"
            in (await reached(server.endpoint.alerts_url, trusting)).text
        )
        refused = await reached(server.endpoint.alerts_url)
    assert not refused.is_reached
    assert "takes connections, but TLS fails" in refused.text
    assert "certificate authority" in refused.text


async def test_a_closed_port_is_told_from_a_host_that_does_not_exist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    closed = await reached(f"http://127.0.0.1:{port}/v2/alerts")
    assert "127.0.0.1 has an address, but takes no connection" in closed.text
    assert "proxy" in closed.text

    def find_nothing(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", find_nothing)
    unknown = await reached("http://host.invalid/v2/alerts")
    assert unknown.text.startswith("no such host: host.invalid has no address here")
    assert not closed.is_reached
    assert not unknown.is_reached


async def test_silence_broken_connections_and_nonsense_are_told_apart() -> None:
    async def text(*parts: bytes, **how: float) -> str:
        async with serve(answers(*parts, then_close=not how, **how)) as server:
            return (await reached(server.endpoint.alerts_url)).text

    assert "does not answer" in await text(b"", b"x", pause_seconds=30)
    assert "drops them" in await text(b"")
    assert "what answers is not the service" in await text(b"SSH-2.0-OpenSSH_9.9\r\n")


async def test_the_probe_closes_an_alert_that_cannot_exist() -> None:
    async with serve(answers(answer("202 x"))) as server, OpsgenieClient(SETTINGS) as client:
        outcomes = await asyncio.gather(
            *(Destination(server.endpoint, KEY, client).probe() for _ in range(2))
        )
    assert all(outcome.key_works for outcome in outcomes)
    first, second = (request.split(b" ")[1] for request in server.requests)
    assert first.startswith(b"/v2/alerts/")
    assert first.endswith(b"/close?identifierType=alias")
    assert first != second


@pytest.mark.parametrize(
    ("status", "works"),
    [(200, True), (202, True), (404, True), (401, False), (403, False), (405, False), (422, False)],
)
def test_a_404_says_that_the_key_works_too(status: int, works: bool) -> None:  # noqa: FBT001 - a table
    assert classify(status, {}, b"").key_works is works
