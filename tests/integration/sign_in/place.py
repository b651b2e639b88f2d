"""A broker with a listener for each way to sign in, and what its clients need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.integration.listeners import AUTHORIZER, Listener, listening_kafka, plain_users
from tests.integration.sign_in.token_server import (
    AUDIENCE,
    CLIENT,
    ISSUER,
    TokenServer,
    token_server,
)
from tests.java_cache import java_options
from tests.tls.authority import Authority, Pair

HOST = "127.0.0.1"
USERS = {"alice": "fake-plain-word", "limited": "fake-limited-word"}
_MODULES = "org.apache.kafka.common.security"
_BEARER = f"{_MODULES}.oauthbearer"
#: How long a session by SCRAM-SHA-512 lasts.
SESSION_MS = "3000"
SCRAM_LOGIN = f"{_MODULES}.scram.ScramLoginModule required;"


@dataclass(frozen=True)
class Place:
    """A running broker: addresses by listener, certificates, and the token endpoint."""

    addresses: Mapping[str, str]
    folder: Path
    authority: Authority
    tokens: TokenServer

    def client_pair(self, name: str = "worker", *, is_expired: bool = False) -> Pair:
        """Return a client certificate that the broker trusts, and its key."""
        usage = ExtendedKeyUsageOID.CLIENT_AUTH
        return self.authority.pair(name, is_expired=is_expired, usage=usage)


def _server_file(authority: Authority, host: str, *, is_expired: bool = False) -> Path:
    """Return a file with a key and its certificate, as brokers read them."""
    pair = authority.pair(host, is_expired=is_expired)
    file = pair.certfile.with_suffix(".pem")
    file.write_bytes(pair.keyfile.read_bytes() + pair.certfile.read_bytes())
    return file


def _store(file: Path, trust: Path | None = None) -> dict[str, str]:
    lines = {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(file)}
    if trust is not None:
        lines |= {
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(trust),
            "ssl.client.auth": "required",
        }
    return lines


def _listeners(authority: Authority, keys: Path) -> list[Listener]:
    good = _server_file(authority, HOST)
    plain = plain_users(USERS)
    scram = {
        "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512",
        "scram-sha-256.sasl.jaas.config": SCRAM_LOGIN,
        "scram-sha-512.sasl.jaas.config": SCRAM_LOGIN,
        "scram-sha-512.connections.max.reauth.ms": SESSION_MS,
    }
    bearer = {
        "sasl.enabled.mechanisms": "OAUTHBEARER",
        "oauthbearer.sasl.jaas.config": f"{_BEARER}.OAuthBearerLoginModule required;",
        "oauthbearer.sasl.server.callback.handler.class": (
            f"{_BEARER}.OAuthBearerValidatorCallbackHandler"
        ),
        "oauthbearer.sasl.oauthbearer.jwks.endpoint.url": keys.as_uri(),
        "oauthbearer.sasl.oauthbearer.expected.audience": AUDIENCE,
        "oauthbearer.sasl.oauthbearer.expected.issuer": ISSUER,
    }
    return [
        Listener("TLS", "SSL", _store(good)),
        Listener("EXPIRED", "SSL", _store(_server_file(authority, HOST, is_expired=True))),
        Listener("OTHERNAME", "SSL", _store(_server_file(authority, "broker.example"))),
        # It sends its clients to a name that its certificate does not have.
        Listener("MOVED", "SSL", _store(good), "localhost"),
        Listener("MUTUAL", "SSL", _store(good, authority.path)),
        Listener("MUTUALSCRAM", "SASL_SSL", _store(good, authority.path) | scram),
        Listener("PLAIN", "SASL_PLAINTEXT", plain),
        Listener("BEARER", "SASL_SSL", _store(good) | bearer),
    ]


@contextmanager
def sign_in_place(folder: Path) -> Iterator[Place]:
    """Run the broker and the token endpoint."""
    authority = Authority(folder)
    names = "ANONYMOUS", "alice", "scram", CLIENT, "CN=worker"
    more = AUTHORIZER | {"super.users": ";".join(f"User:{name}" for name in names)}
    with pytest.MonkeyPatch.context() as patch, token_server() as tokens:
        keys = tokens.write_keys(folder / "keys.json")
        options = java_options().get("JDK_JAVA_OPTIONS", "")
        allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={keys.as_uri()}"
        patch.setenv("JDK_JAVA_OPTIONS", f"{options} {allowed}".strip())
        with listening_kafka(folder / "kafka", _listeners(authority, keys), more) as found:
            yield Place(found.addresses, folder, authority, tokens)
