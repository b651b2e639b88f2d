"""A real proxy and a real certificate authority on loopback, for tests of the client."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.unit.opsgenie.servers import Respond

DAY = dt.timedelta(days=1)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class Authority:
    """An authority of a test's own; `path` is its certificate in PEM."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder, self._name = folder, _name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.path = folder / f"{name}.pem"
        certificate = self._sign(
            self._name,
            self._key.public_key(),
            dt.datetime.now(dt.UTC) + DAY,
            x509.BasicConstraints(ca=True, path_length=0),
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
        )
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(
        self,
        subject: x509.Name,
        public_key: ec.EllipticCurvePublicKey,
        until: dt.datetime,
        *extensions: x509.ExtensionType,
    ) -> x509.Certificate:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(until - 3 * DAY)
            .not_valid_after(until)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(issuer, critical=False)
        )
        for extension in extensions:
            critical = isinstance(extension, x509.BasicConstraints | x509.KeyUsage)
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self._key, hashes.SHA256())

    def context(self, *hosts: str, is_expired: bool = False) -> ssl.SSLContext:
        """Return the TLS context of a server that has a certificate for these hosts."""
        key = ec.generate_private_key(ec.SECP256R1())
        until = dt.datetime.now(dt.UTC) + (-DAY if is_expired else DAY)
        certificate = self._sign(
            _name(hosts[0]),
            key.public_key(),
            until,
            x509.BasicConstraints(ca=False, path_length=None),
            x509.SubjectAlternativeName([_alternative(host) for host in hosts]),
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
        )
        path = self._folder / f"{x509.random_serial_number()}.pem"
        path.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


@dataclass
class Proxy:
    """A proxy, and all bytes that clients sent it: heads as they are, tunnels as ciphertext."""

    port: int
    heads: list[bytes] = field(default_factory=list)
    tunnelled: bytearray = field(default_factory=bytearray)


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: bytearray
) -> None:
    with suppress(OSError), closing(writer):
        while chunk := await reader.read(65536):
            seen += chunk
            writer.write(chunk)
            await writer.drain()


@asynccontextmanager
async def proxy(
    target_port: int,
    *,
    refuse: Respond | None = None,
    tls: ssl.SSLContext | None = None,
    established: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n",
) -> AsyncIterator[Proxy]:
    """Tunnel every CONNECT to a port of loopback, whatever host it names.

    `refuse` answers in its place.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(OSError, EOFError, asyncio.CancelledError), closing(writer):
            found.heads.append(await reader.readuntil(b"\r\n\r\n"))
            if refuse is not None:
                await refuse(reader, writer)
                await writer.drain()
                return
            assert found.heads[-1].startswith(b"CONNECT ")
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", target_port)
            writer.write(established)
            await asyncio.gather(
                _pump(reader, inner_writer, found.tunnelled),
                _pump(inner_reader, writer, bytearray()),
            )

    listener = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    found = Proxy(listener.sockets[0].getsockname()[1])
    try:
        yield found
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
