"""A token endpoint of OAuth 2.0 on loopback, which signs what it gives (RS256)."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

CLIENT, SECRET, SCOPE = "worker", "fake-client-secret", "kafka"
ISSUER, AUDIENCE = "https://login.example", "kafka-brokers"

Answer = tuple[int, bytes]


def _encoded(value: bytes) -> str:
    return urlsafe_b64encode(value).decode().rstrip("=")


@dataclass
class TokenServer:
    """What it gave, and how it answers; `answer` replaces a good answer."""

    life_seconds: int = 3600
    answer: Callable[[], Answer] | None = None
    #: All requests: their form, and the client's name and secret.
    requests: list[Mapping[str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    url: str = ""
    _key: rsa.RSAPrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )

    def write_keys(self, path: Path) -> Path:
        """Write the public key as brokers read it (JWKS)."""
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256"} | {
            name: _encoded(value.to_bytes((value.bit_length() + 7) // 8))
            for name, value in (("n", numbers.n), ("e", numbers.e))
        }
        path.write_text(json.dumps({"keys": [key]}))
        return path

    def signed(self, life_seconds: float, **claims: Any) -> str:
        """Return a token for the client."""
        now = int(time.time())
        body = {"iss": ISSUER, "aud": AUDIENCE, "sub": CLIENT, "scope": SCOPE, "iat": now}
        body |= {"exp": int(now + life_seconds), **claims}
        parts = ({"alg": "RS256", "kid": "one", "typ": "JWT"}, body)
        text = ".".join(_encoded(json.dumps(part).encode()) for part in parts)
        signature = self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{_encoded(signature)}"

    def respond(self, form: Mapping[str, str]) -> Answer:
        """Return the answer to a request."""
        self.requests.append(form)
        if self.answer is not None:
            return self.answer()
        if (form["client"], form["secret"]) != (CLIENT, SECRET):
            return 401, json.dumps(
                {"error": "invalid_client", "error_description": "unknown client or secret"}
            ).encode()
        token = self.signed(self.life_seconds)
        self.tokens.append(token)
        found = {"access_token": token, "token_type": "Bearer", "expires_in": self.life_seconds}
        return 200, json.dumps(found).encode()


@contextmanager
def token_server() -> Iterator[TokenServer]:
    """Run a token endpoint in a thread."""
    server = TokenServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            kind, _, value = self.headers["Authorization"].partition(" ")
            assert kind == "Basic"
            form["client"], _, form["secret"] = b64decode(value).decode().partition(":")
            status, answer = server.respond(form)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            if 300 <= status < 400:
                self.send_header("Location", server.url)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_address[1]}/token"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
