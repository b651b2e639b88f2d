"""The server's end of one TLS connection, without a socket: bytes in, bytes out.

Why not asyncio's TLS: a connection reaches its protocol there only when the handshake is done, so
those that never end it would be in nobody's count.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable

from stream_app.domain.errors import ConfigurationError
from stream_app.setting_groups import HttpSettings
from stream_app.tls_files import CertificateFiles
from stream_app.watched_files import WatchedFiles

CERTFILE, KEYFILE = "STREAM_APP_HTTP__TLS_CERTFILE", "STREAM_APP_HTTP__TLS_KEYFILE"
READ_BYTES = 64 * 1024

#: Returns the context for a new connection.
TlsContexts = Callable[[], ssl.SSLContext]


def tls_contexts(http: HttpSettings) -> TlsContexts | None:
    """Return the contexts of the endpoints, made anew when the files change; None without TLS.

    Raises:
        ConfigurationError: only one of the files is named, or they hold no certificate and its key.
    """
    if http.tls_certfile is None and http.tls_keyfile is None:
        return None
    if http.tls_certfile is None or http.tls_keyfile is None:
        named, missing = (CERTFILE, KEYFILE) if http.tls_certfile else (KEYFILE, CERTFILE)
        raise ConfigurationError(
            f"{named} is set and {missing} is not: set both, or none for http://"
        )
    files = CertificateFiles(http.tls_certfile, http.tls_keyfile, CERTFILE, KEYFILE)

    def read() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        files.load_into(context)
        return context

    return WatchedFiles([CERTFILE, KEYFILE], [files.certfile, files.keyfile], read).current


class TlsStream:
    """A TLS connection in memory. What `to_send` returns must go to the other side."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._to_send, server_side=True)
        self._is_open = False

    def receive(self, data: bytes) -> bytes:
        """Take bytes of the other side, and return what they say.

        Raises:
            ssl.SSLError: they are no TLS, or not such as is spoken here.
        """
        self._received.write(data)
        found = bytearray()
        with contextlib.suppress(ssl.SSLWantReadError):
            if not self._is_open:
                self._tls.do_handshake()
                self._is_open = True
            while chunk := self._tls.read(READ_BYTES):
                found += chunk
        return bytes(found)

    def send(self, data: bytes) -> None:
        """Encrypt data for the other side."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest) :]

    def close(self) -> None:
        """Tell the other side that nothing follows."""
        with contextlib.suppress(ssl.SSLError):  # its own end is not waited for
            self._tls.unwrap()

    def to_send(self) -> bytes:
        """Take the bytes for the other side."""
        return self._to_send.read()
