"""The workers' endpoints over TLS, on real connections, against strangers too."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from stream_app import watched_files
from stream_app.domain.errors import ConfigurationError
from stream_app.metrics import Metrics
from stream_app.setting_groups import HttpSettings
from stream_app.worker import http_server
from stream_app.worker.health import Health, HealthServer
from stream_app.worker.http_server import MAX_CONNECTIONS
from stream_app.worker.tls_stream import CERTFILE, KEYFILE, TlsStream, tls_contexts
from tests.examples import examples
from tests.tls.authority import Authority, Pair
from tests.unit.worker.test_http_server import HOST, REQUESTS, send, status

REQUEST = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass
class Site:
    """A server, and what a client needs to trust it."""

    authority: Authority
    url: str
    #: Its settings name copies of the files of a pair.
    http: HttpSettings

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def install(self, pair: Pair) -> None:
        """Put other files where the settings look for them, as one that renews them does."""
        assert self.http.tls_certfile is not None
        assert self.http.tls_keyfile is not None
        for new, place in (
            (pair.certfile, self.http.tls_certfile),
            (pair.keyfile, self.http.tls_keyfile),
        ):
            shutil.copy(new, partial := place.with_suffix(".new"))
            partial.replace(place)

    def trusting(self, authority: Authority | None = None) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str((authority or self.authority).path))

    async def livez(self, authority: Authority | None = None) -> str:
        async with httpx.AsyncClient(verify=self.trusting(authority), trust_env=False) as client:
            return (await client.get(f"{self.url}/livez")).text


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Site]:
    authority = Authority(folder)
    http = HttpSettings(tls_certfile=folder / "tls.crt", tls_keyfile=folder / "tls.key")
    site = Site(authority, "", http)
    site.install(authority.pair(HOST))
    metrics = Metrics("detector")
    server = HealthServer(Health(metrics), metrics, HOST, 0, tls=tls_contexts(http))
    site.url = await server.start()
    try:
        yield site
    finally:
        await server.stop()


async def test_a_client_that_checks_the_certificate_gets_its_answer(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        assert site.url.startswith("https://")
        async with httpx.AsyncClient(verify=site.trusting(), trust_env=False) as client:
            answers = [
                await client.get(f"{site.url}{p}") for p in ("/livez", "/readyz", "/metrics")
            ]
            assert [answer.status_code for answer in answers] == [200, 200, 200]
            assert "stream_app_build_info" in answers[2].text
        stranger = Authority(tmp_path, "stranger")
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await site.livez(stranger)


@pytest.mark.parametrize(("request_bytes", "expected"), REQUESTS)
async def test_every_request_gets_the_answer_that_it_gets_without_tls(
    tmp_path: Path, request_bytes: bytes, expected: int
) -> None:
    async with serving(tmp_path) as site:
        with capture_logs() as logs:
            answer = await send(site.port, request_bytes, tls=site.trusting())
    assert status(answer) == expected
    assert b"\r\nConnection: close\r\n" in answer
    assert logs == []


async def test_a_request_in_small_pieces_is_one_request(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        pieces = [REQUEST[n : n + 3] for n in range(0, len(REQUEST), 3)]
        assert status(await send(site.port, *pieces, tls=site.trusting())) == 200


async def test_plain_http_is_told_to_use_tls(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        for method in (b"GET", b"POST", b"HEAD"):
            answer = await send(site.port, REQUEST.replace(b"GET", method))
            assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
            assert answer.endswith(b"this port speaks TLS: use https://\n")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_an_old_version_of_tls_is_refused(tmp_path: Path, version: ssl.TLSVersion) -> None:
    async with serving(tmp_path) as site:
        context = site.trusting()
        context.set_ciphers("DEFAULT@SECLEVEL=0")  # otherwise the client refuses by itself
        context.minimum_version = context.maximum_version = version
        with pytest.raises(ssl.SSLError, match="TLSV1_ALERT_PROTOCOL_VERSION"):
            await asyncio.open_connection(HOST, site.port, ssl=context)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        assert status(await send(site.port, REQUEST, tls=context)) == 200


async def test_any_name_that_a_client_asks_for_gets_the_certificate(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        context = site.trusting()
        context.check_hostname = False
        for name in ("nobody.example", "x" * 63, ""):
            answer = await send(site.port, REQUEST, tls=context, server_hostname=name)
            assert status(answer) == 200


def client_hello(context: ssl.SSLContext) -> bytes:
    received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(received, to_send, server_hostname=HOST)
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return to_send.read()


async def test_probes_get_through_while_strangers_never_end_their_handshakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "HEAD_SECONDS", 3600)  # it is their number that ends them
    async with asyncio.timeout(240), serving(tmp_path) as site:
        context = site.trusting()
        hello = client_hello(context)
        held: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        for number in range(10 * MAX_CONNECTIONS):
            if number % 4 == 3:  # one that ends its handshake, and asks for nothing
                held.append(await asyncio.open_connection(HOST, site.port, ssl=context))
                continue
            held.append(await asyncio.open_connection(HOST, site.port))
            held[-1][1].write((b"", hello[:50], hello)[number % 4])
            if number % 50 == 0:
                assert await site.livez() == "ok\n"
        for path in (b"/livez", b"/readyz", b"/metrics"):
            answer = await send(site.port, REQUEST.replace(b"/livez", path), tls=context)
            assert status(answer) == 200
        lasting = {asyncio.create_task(_end(reader)) for reader, _ in held}
        while len(lasting) > MAX_CONNECTIONS:
            _, lasting = await asyncio.wait(lasting, return_when=asyncio.FIRST_COMPLETED)
        for end in lasting:
            end.cancel()
        for _, writer in held:
            writer.close()


async def _end(reader: asyncio.StreamReader) -> None:
    """Return once the other side has closed."""
    with suppress(OSError):
        while await reader.read(65536):
            pass


@pytest.mark.parametrize("sent", ["nothing", "half", "all"])
async def test_a_handshake_that_never_ends_meets_its_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: str
) -> None:
    monkeypatch.setattr(http_server, "HEAD_SECONDS", 0.2)
    async with asyncio.timeout(60), serving(tmp_path) as site:
        hello = client_hello(site.trusting())
        reader, writer = await asyncio.open_connection(HOST, site.port)
        writer.write({"nothing": b"", "half": hello[:100], "all": hello}[sent])
        with suppress(ConnectionError):
            while await reader.read(65536):
                pass
        writer.close()


async def test_a_client_that_ends_its_side_early_is_forgotten(tmp_path: Path) -> None:
    async with asyncio.timeout(60), serving(tmp_path) as site:
        hello = client_hello(site.trusting())
        for part in (b"", hello[:100], hello):
            reader, writer = await asyncio.open_connection(HOST, site.port)
            writer.write(part)
            writer.write_eof()
            with suppress(ConnectionError):
                while await reader.read(65536):
                    pass
            writer.close()
        assert await site.livez() == "ok\n"


async def test_no_bytes_in_place_of_a_handshake_do_harm(tmp_path: Path) -> None:
    """A bounded fuzz with a seed that is shown."""
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    async with serving(tmp_path) as site:
        hello = client_hello(site.trusting())
        with capture_logs() as logs:
            for _ in range(examples(200)):
                sent = bytearray(hello)
                for _ in range(rng.randrange(1, 6)):
                    sent[rng.randrange(len(sent))] = rng.randrange(256)
                sent += rng.randbytes(rng.choice([0, 0, 10, 70_000]))
                await send_and_end(site.port, bytes(sent))
            assert await site.livez() == "ok\n", f"seed {seed}"
    assert logs == [], f"seed {seed}"


async def send_and_end(port: int, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    with suppress(ConnectionError):
        writer.write(sent)
        writer.write_eof()
        await reader.read(-1)
    writer.close()


async def test_a_new_certificate_is_used_for_new_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched_files, "LOOK_SECONDS", 0)
    monkeypatch.setattr(http_server, "HEAD_SECONDS", 60)
    async with serving(tmp_path) as site:
        assert await site.livez() == "ok\n"
        old = await asyncio.open_connection(HOST, site.port, ssl=site.trusting())
        renewed = Authority(tmp_path, "renewed")
        site.install(renewed.pair(HOST))
        assert await site.livez(renewed) == "ok\n"
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await site.livez()
        old[1].write(REQUEST)
        assert status(await old[0].read(-1)) == 200
        old[1].close()


async def test_a_broken_pair_keeps_the_old_one_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched_files, "LOOK_SECONDS", 0)
    async with serving(tmp_path) as site:
        one, two = (site.authority.pair(HOST) for _ in range(2))
        with capture_logs() as logs:
            site.install(Pair(one.certfile, two.keyfile))
            assert await site.livez() == "ok\n"
            assert await site.livez() == "ok\n"
            site.install(one)
            assert await site.livez() == "ok\n"
        assert [line["event"] for line in logs] == ["files_not_read_again", "files_read_again"]
        assert logs[0]["settings"] == f"{CERTFILE}, {KEYFILE}"
        assert logs[0]["why"].startswith(f"{KEYFILE}: {site.http.tls_keyfile}: is not the key of")


async def test_a_client_that_never_fetches_the_answer_is_disconnected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "ANSWER_SECONDS", 0.2)
    async with asyncio.timeout(60), serving(tmp_path) as site:
        reader, writer = await asyncio.open_connection(HOST, site.port, ssl=site.trusting())
        writer.write(REQUEST)
        with suppress(ConnectionError):
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)
        assert status(await reader.read(-1)) == 200


async def test_a_stop_does_not_wait_for_a_handshake(tmp_path: Path) -> None:
    async with asyncio.timeout(60):
        async with serving(tmp_path) as site:
            reader, writer = await asyncio.open_connection(HOST, site.port)
            writer.write(client_hello(site.trusting())[:100])
            await writer.drain()
        with suppress(ConnectionError):
            assert await reader.read(-1) == b""
        writer.close()


def test_an_answer_longer_than_a_record_arrives_whole(tmp_path: Path) -> None:
    """Without sockets: a page may be larger than what OpenSSL takes at once."""
    pair = Authority(tmp_path).pair(HOST)
    http = HttpSettings(tls_certfile=pair.certfile, tls_keyfile=pair.keyfile)
    contexts = tls_contexts(http)
    assert contexts is not None
    server = TlsStream(contexts())
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(received, to_send, server_hostname=HOST)
    for _ in range(3):
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
        server.receive(to_send.read())
        received.write(server.to_send())
    body = os.urandom(1_000_000)
    server.send(body)
    server.close()
    received.write(server.to_send())
    found = bytearray()
    with suppress(ssl.SSLZeroReturnError):
        while chunk := client.read(65536):
            found += chunk
    assert found == body


def test_without_files_there_is_no_tls() -> None:
    assert tls_contexts(HttpSettings()) is None


@pytest.mark.parametrize(
    ("given", "missing"), [("tls_certfile", KEYFILE), ("tls_keyfile", CERTFILE)]
)
def test_one_file_alone_is_an_error(given: str, missing: str) -> None:
    with pytest.raises(ConfigurationError, match=f"is set and {missing} is not: set both"):
        tls_contexts(HttpSettings.model_validate({given: "x.pem"}))


def test_files_that_cannot_be_used_are_an_error_at_the_start(tmp_path: Path) -> None:
    http = HttpSettings(tls_certfile=tmp_path / "no.crt", tls_keyfile=tmp_path / "no.key")
    with pytest.raises(ConfigurationError, match=f"{CERTFILE}: .*no.crt: No such file"):
        tls_contexts(http)
