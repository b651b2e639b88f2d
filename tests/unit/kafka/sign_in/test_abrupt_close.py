"""A connection that is given up, on a real TLS server that falls silent."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.errors import KafkaError

from stream_app.kafka.sign_in.abrupt_close import AbruptConnection
from stream_app.kafka.sign_in.connection import Connection
from tests.tls.authority import Authority


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[tuple[int, ssl.SSLContext]]:
    """Yield the port of a server that says nothing after the TLS handshake, and a client's TLS."""
    authority = Authority(tmp_path)
    tls = authority.context("127.0.0.1")
    over = threading.Event()

    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            plain, _ = server.accept()
            with contextlib.suppress(OSError), tls.wrap_socket(plain, server_side=True):
                over.wait(60)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            client = ssl.create_default_context(cafile=str(authority.path))
            yield server.getsockname()[1], client
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize("kind", [AbruptConnection, Connection])
async def test_a_connection_that_is_given_up_does_not_wait_for_the_end_of_tls(
    silent: tuple[int, ssl.SSLContext], kind: type[AbruptConnection]
) -> None:
    port, context = silent
    connection = kind(
        "127.0.0.1",
        port,
        ssl_context=context,
        security_protocol="SSL",
        request_timeout_ms=1000,
    )

    with pytest.raises((KafkaError, TimeoutError)):
        await connection.connect()

    # asyncio would wait for the server's part for 30 seconds.
    await asyncio.wait_for(asyncio.shield(connection.close()), 10)
