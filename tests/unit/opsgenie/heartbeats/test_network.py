"""A heartbeat takes the way that alerts take: the same TLS, proxy and timeouts, and one attempt."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from stream_app.domain.delivery.reasons import AttemptReason
from stream_app.heartbeat_settings import HeartbeatSettings
from stream_app.logs import CHATTY
from stream_app.opsgenie.destination import Destinations, Endpoint, HeartbeatState, Outcome
from stream_app.setting_groups import DeliverySettings
from tests.tls.self_signed import self_signed
from tests.unit.opsgenie.proxies import proxy
from tests.unit.opsgenie.servers import Respond, answer, answers, serve

SECRET = "7f-secret"
PONG = answers(answer("200 OK", b"OK"))


def port_of(endpoint: Endpoint) -> int:
    port = urlsplit(endpoint.alerts_url).port
    assert port is not None
    return port


async def ping(port: int, delivery: DeliverySettings, scheme: str = "http") -> Outcome:
    """Ping a plain address at a port of loopback; see that nothing shows its path."""
    settings = HeartbeatSettings(
        target="url",
        url=SecretStr(f"{scheme}://127.0.0.1:{port}/ping/{SECRET}"),
        url_hosts=("127.0.0.1",),
    )

    def never(_: int) -> tuple[Endpoint, str]:
        raise AssertionError

    async with Destinations(delivery) as destinations:
        target = destinations.open_heartbeat(settings, never)
        assert target is not None
        outcome = await target.ping()
        assert (await target.read()).state is HeartbeatState.UNREADABLE
    assert SECRET not in f"{outcome} {target!r} {target.label}"
    return outcome


async def test_a_certificate_is_trusted_only_by_its_authority(tmp_path: Path) -> None:
    context, certificate = self_signed(tmp_path)
    async with serve(PONG, context) as server:
        port = port_of(server.endpoint)
        refused = await ping(port, DeliverySettings(), "https")
        trusting = DeliverySettings(ca_file=Path(certificate))
        accepted = await ping(port, trusting, "https")
    assert refused.reason is AttemptReason.TLS_ERROR
    assert "STREAM_APP_DELIVERY__CA_FILE" in refused.message
    assert accepted.accepted
    assert len(server.requests) == 1


async def test_a_proxy_sees_the_host_and_no_path(tmp_path: Path) -> None:
    context, certificate = self_signed(tmp_path)
    async with serve(PONG, context) as server, proxy(port_of(server.endpoint)) as way:
        delivery = DeliverySettings(
            ca_file=Path(certificate), proxy_url=SecretStr(f"http://127.0.0.1:{way.port}")
        )
        outcome = await ping(port_of(server.endpoint), delivery, "https")
    assert outcome.accepted
    (head,) = way.heads
    assert head.startswith(b"CONNECT 127.0.0.1:")
    assert SECRET.encode() not in head + bytes(way.tunnelled)
    assert f"GET /ping/{SECRET} ".encode() in server.requests[0]


async def test_a_proxy_in_the_way_is_nobodys_failure() -> None:
    refuse = answers(answer("403 Forbidden"), then_close=True)
    async with proxy(1, refuse=refuse) as way:
        delivery = DeliverySettings(proxy_url=SecretStr(f"http://127.0.0.1:{way.port}"))
        outcome = await ping(9, delivery, "https")
    assert outcome.reason is AttemptReason.PROXY_ERROR


async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("respond", "reason"),
    [
        (hang, AttemptReason.TIMEOUT),
        (answers(b"", then_close=True), AttemptReason.CONNECTION_LOST),
        (answers(b"garbage\r\n\r\n"), AttemptReason.BAD_ANSWER),
        (answers(answer("500 Internal Server Error")), AttemptReason.SERVER_ERROR),
    ],
)
async def test_what_goes_wrong_is_an_outcome_of_one_attempt(
    respond: Respond, reason: AttemptReason, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in CHATTY:  # as `configure_logs` does: httpx logs whole addresses at info
        caplog.set_level(logging.WARNING, logger=name)
    async with serve(respond) as server:
        outcome = await ping(
            port_of(server.endpoint), DeliverySettings(request_timeout_seconds=0.3)
        )
    assert outcome.reason is reason
    # aiohttp sends a GET once more when the connection breaks before an answer begins.
    assert len(server.requests) == (2 if reason is AttemptReason.CONNECTION_LOST else 1)
    assert SECRET not in "".join(record.getMessage() for record in caplog.records)


async def test_a_lack_of_this_machine_is_no_failure_of_the_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def no_names(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", no_names)
    settings = HeartbeatSettings(
        target="url", url=SecretStr(f"https://hc-ping.com/{SECRET}"), url_hosts=("hc-ping.com",)
    )

    def never(_: int) -> tuple[Endpoint, str]:
        raise AssertionError

    async with Destinations(DeliverySettings()) as destinations:
        target = destinations.open_heartbeat(settings, never)
        assert target is not None
        outcome = await target.ping()
    assert outcome.reason is AttemptReason.LOCAL_ERROR
    assert SECRET not in outcome.message
