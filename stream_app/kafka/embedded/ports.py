"""Free ports on loopback for an embedded broker, and waiting for those of its last run."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

HOST = "127.0.0.1"
#: A killed broker holds its ports for a moment; the next one waits to get the same ones.
PORT_SECONDS = 2.0
POLL_SECONDS = 0.05


def free_or_new(wanted: int, taken: set[int]) -> int:
    """Return the wanted port if it becomes free, else any other that is not taken."""
    if wanted and wanted not in taken and becomes_free(wanted):
        return wanted
    while (port := free_port()) in taken:
        pass
    return port


def becomes_free(port: int) -> bool:
    """Tell whether a port is free now, or a moment later."""
    return becomes_true(lambda: is_free(port), PORT_SECONDS)


def becomes_true(check: Callable[[], bool], seconds: float) -> bool:
    """Wait until a check passes; return `False` if it does not in this time."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def is_free(port: int, host: str = HOST) -> bool:
    """Return whether a server could listen on the port now."""
    with socket.socket() as probe:
        # As servers do, so that lingering connections of an earlier one do not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """Return a free port; another program may take it a moment later."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
