"""Tells faults of this machine, such as a lack of memory, from failures of the service."""

from __future__ import annotations

import socket
import ssl

import aiohttp

from stream_app.domain.delivery.own_errnos import SHORTAGE_ERRNOS, is_own

#: The name service did not answer, or could not be asked. "No such name" would be an answer.
NO_NAME_SERVICE = frozenset(
    {socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_MEMORY, socket.EAI_SYSTEM}
)
NO_THREAD = "can't start new thread"


def own_fault(error: BaseException | None) -> str | None:
    """Return what is wrong on this machine; None: the fault may be elsewhere.

    Args:
        error: aiohttp's error, or one of the operating system.
    """
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    if isinstance(error, MemoryError):
        return "no memory is left"
    if isinstance(error, RuntimeError):
        return "no thread can be started" if str(error) == NO_THREAD else None
    if isinstance(error, socket.gaierror):
        if error.errno in NO_NAME_SERVICE:
            return f"the name service does not answer ({error.strerror})"
        return _no_handle()  # the resolver does not say that it failed for lack of a handle
    # The number of a TLS error is no errno.
    if not isinstance(error, OSError) or isinstance(error, ssl.SSLError):
        return None
    return error.strerror or str(error) if is_own(error.errno, str(error)) else None


def _no_handle() -> str | None:
    """Return why no socket can be opened now; None: one can be."""
    try:
        socket.socket().close()
    except OSError as error:
        return error.strerror if error.errno in SHORTAGE_ERRNOS else None
    return None
