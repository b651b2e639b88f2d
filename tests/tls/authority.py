"""A real certificate authority of a test's own."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = dt.timedelta(days=1)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


@dataclass(frozen=True)
class Pair:
    """The PEM files of a certificate and its key."""

    certfile: Path
    keyfile: Path


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

    def pair(
        self,
        *hosts: str,
        is_expired: bool = False,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
        password: str | None = None,
    ) -> Pair:
        """Make a certificate for these hosts, and its key, encrypted if there is a password."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(
            _name(hosts[0]),
            key.public_key(),
            dt.datetime.now(dt.UTC) + (-DAY if is_expired else DAY),
            x509.BasicConstraints(ca=False, path_length=None),
            x509.SubjectAlternativeName([_alternative(host) for host in hosts]),
            x509.ExtendedKeyUsage([usage]),
        )
        path = self._folder / f"{x509.random_serial_number()}"
        pair = Pair(path.with_suffix(".crt"), path.with_suffix(".key"))
        pair.certfile.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pair.keyfile.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(password.encode())
                if password
                else serialization.NoEncryption(),
            )
        )
        return pair

    def context(self, *hosts: str, is_expired: bool = False) -> ssl.SSLContext:
        """Return the TLS context of a server that has a certificate for these hosts."""
        pair = self.pair(*hosts, is_expired=is_expired)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certfile, pair.keyfile)
        return context
