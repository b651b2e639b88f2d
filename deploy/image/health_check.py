"""What Docker's HEALTHCHECK runs in the image: ends with 0 if the worker's event loop answers.

It needs no package, so it starts in 50 ms. The container's first process tells which role it has,
and so its port. A container that runs another command has no health to check. Kubernetes asks the
worker by itself and never runs this.
"""

from __future__ import annotations

import os
import ssl
import sys
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from itertools import pairwise
from pathlib import Path

PORTS = {"detector": 9464, "notifier": 9465}
HOST, PORT, CERTIFICATE = (f"STREAM_APP_HTTP__{name}" for name in ("HOST", "PORT", "TLS_CERTFILE"))
ALL_ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a worker may be bound to
TIMEOUT_SECONDS = 4.0


def role_of(command: bytes) -> str | None:
    """Return the role that a command runs, words ended by zero bytes; None if it is no worker."""
    words = command.decode(errors="replace").split("\0")
    return next(
        (role for word, role in pairwise(words) if word == "worker" and role in PORTS), None
    )


def connection(role: str) -> HTTPConnection:
    """Return the connection to the worker, as its settings say where it answers."""
    bound = os.environ.get(HOST, "127.0.0.1")
    host, port = ALL_ADDRESSES.get(bound, bound), int(os.environ.get(PORT) or PORTS[role])
    if CERTIFICATE not in os.environ:
        return HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    # The certificate need not name this address: the request never leaves the container.
    trusting = ssl._create_unverified_context()  # noqa: S323, SLF001
    return HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=trusting)


def main() -> None:
    """End with 1, and say why, if the worker does not answer."""
    role = role_of(Path("/proc/1/cmdline").read_bytes())
    if role is None:
        return
    worker = connection(role)
    try:
        worker.request("GET", "/livez")
        status = worker.getresponse().status
    except (OSError, HTTPException) as error:
        sys.exit(f"the {role} does not answer: {error}")
    if status != 200:  # noqa: PLR2004 - HTTP
        sys.exit(f"the {role} answers {status}")


if __name__ == "__main__":
    main()
