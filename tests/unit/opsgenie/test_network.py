"""The client through a real proxy, to real TLS servers under the names of the real hosts."""

from __future__ import annotations

import asyncio
import base64
import logging
import socket
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from stream_app.domain.errors import ConfigurationError
from stream_app.opsgenie.client import OpsgenieClient
from stream_app.opsgenie.destination import Destination
from stream_app.opsgenie.endpoints import Endpoint, resolve_endpoint
from stream_app.opsgenie.network import read_proxy
from stream_app.opsgenie.outcome import Outcome
from stream_app.setting_groups import DeliverySettings
from stream_app.settings import load_settings
from tests.tls.authority import Authority
from tests.unit.opsgenie.proxies import Proxy, proxy
from tests.unit.opsgenie.servers import Respond, Server, answer, answers, serve

KEY = "00000000-1111-2222-3333-444444444444"
PASSWORD = "pass:wo@rd"
IN_URL = "bo:pass%3Awo%40rd"
TOKEN = base64.b64encode(f"bo:{PASSWORD}".encode())
BODY = b'{"alias":"a","message":"m"}'
ACCEPTED = answer("202 Accepted", b'{"requestId":"r-1"}')
US = "https://api.opsgenie.com/v2/alerts"
EU = "https://api.eu.opsgenie.com/v2/alerts"
DRIPPING = [bytes([byte]) for byte in b"HTTP/1.1 200 Connection established\r\n\r\n"]
JSM = "https://api.atlassian.com/jsm/ops/integration/v2/alerts"
HOSTS = ("api.opsgenie.com", "api.eu.opsgenie.com", "api.atlassian.com")


def settings(
    port: int, *, scheme: str = "http", auth: str = "", **changes: Any
) -> DeliverySettings:
    url = f"{scheme}://{auth}{'@' if auth else ''}127.0.0.1:{port}"
    fields: dict[str, Any] = {"connect_timeout_seconds": 1, "request_timeout_seconds": 3}
    return DeliverySettings(**fields | changes, proxy_url=SecretStr(url))


@asynccontextmanager
async def service(folder: Path, respond: Respond) -> AsyncIterator[tuple[Server, Path]]:
    """Serve under the names of the real hosts; yield the server and its authority's file."""
    authority = Authority(folder)
    async with serve(respond, authority.context(*HOSTS)) as server:
        yield server, authority.path


def port_of(endpoint: Endpoint) -> int:
    return int(endpoint.alerts_url.split(":")[2].split("/")[0])


async def post(
    folder: Path, refuse: Respond | None = None, **changes: Any
) -> tuple[Outcome, Proxy]:
    """Post to Opsgenie (US) through a proxy."""
    async with (
        service(folder, answers(ACCEPTED)) as (server, ca_file),
        proxy(port_of(server.endpoint), refuse=refuse) as way,
        OpsgenieClient(settings(way.port, ca_file=ca_file, **changes)) as client,
    ):
        return await Destination(resolve_endpoint(US, None), KEY, client).post(BODY), way


@pytest.mark.parametrize("api", [US, EU, JSM])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_an_alert_goes_through_the_proxy_unseen(
    api: str, scheme: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tls = Authority(tmp_path, "ca-of-proxy").context("127.0.0.1") if scheme == "https" else None
    async with (
        service(tmp_path, answers(ACCEPTED)) as (server, ca_file),
        proxy(port_of(server.endpoint), tls=tls) as way,
    ):
        if tls is not None:
            ca_file.write_bytes(ca_file.read_bytes() + (tmp_path / "ca-of-proxy.pem").read_bytes())
        delivery = settings(way.port, scheme=scheme, auth=IN_URL, ca_file=ca_file)
        async with OpsgenieClient(delivery) as client:
            endpoint = resolve_endpoint(api, None)
            outcomes = [await Destination(endpoint, KEY, client).post(BODY) for _ in range(3)]
    assert [outcome.request_id for outcome in outcomes] == ["r-1"] * 3
    (head,) = way.heads
    host, path = api.removeprefix("https://").split("/", 1)
    assert head.startswith(f"CONNECT {host}:443 HTTP/1.1\r\n".encode())
    assert b"proxy-authorization: basic " + TOKEN.lower() in head.lower()
    assert TOKEN in head
    seen = head + bytes(way.tunnelled)
    assert KEY.encode() not in seen
    assert b"geniekey" not in seen.lower()
    assert BODY not in seen
    request = server.requests[0]
    assert request.startswith(f"POST /{path} HTTP/1.1\r\n".encode())
    assert f"GenieKey {KEY}".encode() in request
    assert b"proxy-authorization" not in request.lower()
    assert TOKEN not in request
    for hidden in (KEY, PASSWORD, IN_URL, TOKEN.decode()):
        assert hidden not in caplog.text + repr((outcomes, delivery, client._proxy))


async def test_the_sandbox_is_not_asked_for_through_the_proxy() -> None:
    async with (
        serve(answers(ACCEPTED)) as server,
        proxy(9, refuse=answers(answer("502 x"))) as way,
        OpsgenieClient(settings(way.port)) as client,
    ):
        outcome = await Destination(server.endpoint, KEY, client).post(BODY)
    assert outcome.accepted
    assert way.heads == []


async def test_a_sandbox_that_is_away_is_not_the_proxys_fault() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    async with OpsgenieClient(settings(9)) as client:
        outcome = await Destination(resolve_endpoint(url, url), KEY, client).post(BODY)
    assert outcome.reason == "connect_error"


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
async def test_a_redirect_through_the_proxy_is_not_followed(status: str, tmp_path: Path) -> None:
    redirect = answer(status, b"", f"Location: {EU}")
    async with (
        service(tmp_path, answers(redirect)) as (server, ca_file),
        proxy(port_of(server.endpoint)) as way,
        OpsgenieClient(settings(way.port, ca_file=ca_file)) as client,
    ):
        outcome = await Destination(resolve_endpoint(US, None), KEY, client).post(BODY)
    assert outcome.reason == "redirect"
    assert (len(way.heads), len(server.requests)) == (1, 1)


@pytest.mark.parametrize(
    ("refuse", "words"),
    [
        (answers(answer("407 x", b"", 'Proxy-Authenticate: Basic realm="r"')), "wants a user and"),
        (answers(answer("403 x")), "does not allow connections to api.opsgenie.com (HTTP 403)"),
        (answers(answer("502 x")), "it answers HTTP 502 and does not connect to api.opsgenie"),
        (answers(answer("302 x", b"", f"Location: {EU}")), "it answers HTTP 302"),
        (answers(answer(f"407 {PASSWORD} {KEY}", KEY.encode())), "(HTTP 407)"),
        (answers(b"HTTP/1.1 502 x\r\nContent-Length: 9999\r\n\r\n"), "it answers HTTP 502"),
        (answers(b"", b"late", pause_seconds=30), "no way through it to api.opsgenie.com within"),
        (answers(*DRIPPING, pause_seconds=0.05), "no way through it to api.opsgenie.com within"),
        (answers(b"HTTP/1.1 200 x\r\n\r\n", b"x", pause_seconds=30), "no way through it to"),
        (answers(b"", then_close=True), "it broke the connection to api.opsgenie.com off"),
        (answers(b"SSH-2.0-OpenSSH_9.9\r\n" + TOKEN), "its answer is not HTTP"),
        (answers(b"\x00\xff" * 20_000), "its answer is not HTTP"),
        (answers(b"HTTP/1.1 407 x\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n"), "wants a user"),
        (answers(b"HTTP/1.1 407 x\r\nno colon\r\n\r\n"), "wants a user"),
    ],
)
async def test_a_proxy_in_the_way_is_named(refuse: Respond, words: str, tmp_path: Path) -> None:
    outcome, way = await post(tmp_path, refuse, auth=IN_URL, connect_timeout_seconds=0.4)
    assert (outcome.reason, outcome.status, outcome.accepted) == ("proxy_error", None, False)
    assert outcome.message.startswith("the proxy of STREAM_APP_DELIVERY__PROXY_URL is in the way: ")
    assert words in outcome.message
    assert outcome.duration_seconds < 2
    assert len(way.heads) == 1
    for hidden in (KEY, PASSWORD, IN_URL, TOKEN.decode()):
        assert hidden not in outcome.message


async def test_a_proxy_that_breaks_off_within_the_handshake_is_named(tmp_path: Path) -> None:
    established = answers(b"HTTP/1.1 200 x\r\n\r\n", then_close=True)
    outcome, _ = await post(tmp_path, established)
    assert outcome.reason == "proxy_error"


async def test_a_proxy_that_is_away_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    async with OpsgenieClient(settings(port, auth=IN_URL)) as client:
        outcome = await Destination(resolve_endpoint(US, None), KEY, client).post(BODY)
    assert outcome.reason == "proxy_error"
    assert "no connection to it" in outcome.message


async def test_a_proxy_of_a_foreign_authority_is_named(tmp_path: Path) -> None:
    tls = Authority(tmp_path).context("127.0.0.1")
    async with (
        proxy(9, tls=tls) as way,
        OpsgenieClient(settings(way.port, scheme="https")) as client,
    ):
        outcome = await Destination(resolve_endpoint(US, None), KEY, client).post(BODY)
    assert outcome.reason == "proxy_error"
    assert "its certificate or encryption is not trusted" in outcome.message
    assert way.heads == []


async def test_a_service_that_hangs_behind_the_proxy_is_not_the_proxys_fault(
    tmp_path: Path,
) -> None:
    async with (
        service(tmp_path, answers(b"", ACCEPTED, pause_seconds=30)) as (server, ca_file),
        proxy(port_of(server.endpoint)) as way,
        OpsgenieClient(settings(way.port, ca_file=ca_file, request_timeout_seconds=0.5)) as client,
    ):
        outcome = await Destination(resolve_endpoint(US, None), KEY, client).post(BODY)
    assert (outcome.reason, len(server.requests)) == ("timeout", 1)


@pytest.mark.parametrize("with_proxy", [False, True])
@pytest.mark.parametrize(
    ("trusted", "host", "is_expired", "words"),
    [
        (True, HOSTS[0], False, ""),
        (False, HOSTS[0], False, "self-signed certificate|local issuer"),
        (True, HOSTS[0], True, "expired"),
        (True, HOSTS[1], False, "not valid for"),
    ],
)
async def test_only_a_certificate_of_a_trusted_authority_for_this_host_is_accepted(
    trusted: object,
    host: str,
    is_expired: object,
    words: str,
    with_proxy: object,
    tmp_path: Path,
) -> None:
    signing = Authority(tmp_path)
    ca_file = signing.path if trusted else Authority(tmp_path, "other").path
    names = ("127.0.0.1", host) if host == HOSTS[0] else ("127.0.0.2", host)
    async with serve(
        answers(ACCEPTED), signing.context(*names, is_expired=bool(is_expired))
    ) as server:
        port = port_of(server.endpoint)
        async with proxy(port) as way:
            delivery = settings(way.port, ca_file=ca_file)
            endpoint = resolve_endpoint(US, None)
            if not with_proxy:
                delivery = delivery.model_copy(update={"proxy_url": None})
                endpoint = server.endpoint
            async with OpsgenieClient(delivery) as client:
                outcome = await Destination(endpoint, KEY, client).post(BODY)
    assert len(way.heads) == with_proxy
    if not words:
        assert outcome.accepted
        return
    assert outcome.reason == "tls_error"
    assert "STREAM_APP_DELIVERY__CA_FILE" in outcome.message
    assert any(word in outcome.message for word in words.split("|"))
    assert server.requests == []


async def test_the_usual_authorities_stay_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, own = Authority(tmp_path, "usual"), Authority(tmp_path, "own")
    monkeypatch.setenv("SSL_CERT_FILE", str(usual.path))
    delivery = DeliverySettings(ca_file=own.path)
    for authority in (usual, own):
        async with (
            serve(answers(ACCEPTED), authority.context("127.0.0.1")) as server,
            OpsgenieClient(delivery) as client,
        ):
            assert (await Destination(server.endpoint, KEY, client).post(BODY)).accepted


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"\x00\xff", "folder"])
def test_a_file_that_holds_no_authority_is_named(
    content: bytes | str | None, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        path.mkdir()
    with pytest.raises(
        ConfigurationError, match=r"STREAM_APP_DELIVERY__CA_FILE: .*ca\.pem: "
    ) as told:
        OpsgenieClient(DeliverySettings(ca_file=path))
    assert told.value.exit_code == 3


@pytest.mark.parametrize(
    "url",
    [
        f"socks5://bo:{KEY}@127.0.0.1:1080",
        f"bo:{KEY}@127.0.0.1:3128",
        f"http://bo:{KEY}/x@127.0.0.1:3128",
        f"http://bo:{KEY}@127.0.0.1:port",
        f"http://bo:{KEY}@127.0.0.1:99999",
        f"http://bo:{KEY}@:3128",
        f"http://127.0.0.1:3128/{KEY}",
        f"http://127.0.0.1:3128?{KEY}",
        f"http://127.0.0.1:3128#{KEY}",
        f"http://a%3Ab:{KEY}@127.0.0.1:3128",
        f"http://bo:{KEY}@[bad",
        f"http://bo:{KEY}\udcff@127.0.0.1:3128",
        f"http://bo:{KEY}@..:3128",
        KEY,
    ],
)
def test_a_wrong_proxy_url_is_refused_and_no_part_of_it_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match="STREAM_APP_DELIVERY__PROXY_URL: ") as told:
        OpsgenieClient(DeliverySettings(proxy_url=SecretStr(url)))
    assert told.value.exit_code == 3
    assert KEY not in "".join(traceback.format_exception(told.value))
    assert told.value.__context__ is None
    assert "127.0.0.1" not in str(told.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://proxy.acme.example:3128", "http://proxy.acme.example:3128"),
        (" https://bo@proxy.acme.example/ ", "https://proxy.acme.example"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_a_proxy_is_read(url: str, expected: str) -> None:
    found = read_proxy(SecretStr(url))
    assert found is not None
    assert str(found.url) == expected


@pytest.mark.parametrize("url", [None, "", " "])
def test_no_proxy_is_none(url: str | None) -> None:
    assert read_proxy(None if url is None else SecretStr(url)) is None


def test_no_error_of_the_settings_shows_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_APP_DELIVERY__PROXY_URL", f"http://{IN_URL}@127.0.0.1:3128")
    assert IN_URL not in repr(load_settings())
    monkeypatch.setenv("STREAM_APP_DELIVERY__MAX_IN_FLIGHT", "none")
    with pytest.raises(ConfigurationError, match="MAX_IN_FLIGHT") as told:
        load_settings()
    assert IN_URL not in "".join(traceback.format_exception(told.value))
    with pytest.raises(ValueError, match="proxy_url") as wrong:
        DeliverySettings.model_validate({"proxy_url": [IN_URL]})
    assert IN_URL not in str(wrong.value)


async def test_connections_through_the_proxy_are_shared_and_bounded(tmp_path: Path) -> None:
    # The last three wait longer for a free connection than a tunnel may take.
    slow = answers(b"", ACCEPTED, pause_seconds=0.3)
    changes: dict[str, Any] = {"max_in_flight": 3, "connect_timeout_seconds": 0.5}
    async with (
        service(tmp_path, slow) as (server, ca_file),
        proxy(port_of(server.endpoint)) as way,
        OpsgenieClient(settings(way.port, ca_file=ca_file, **changes)) as client,
    ):
        endpoint = resolve_endpoint(JSM, None)
        outcomes = await asyncio.gather(
            *(Destination(endpoint, KEY, client).post(BODY) for _ in range(9))
        )
    assert all(outcome.accepted for outcome in outcomes)
    assert len(way.heads) == 3
