"""Tells an attempt that this machine could not make from one that the service did not take."""

from __future__ import annotations

import socket
import ssl

import aiohttp

from stream_app.domain.delivery.own_errnos import SHORTAGE_ERRNOS, is_own

#: The name service has not answered, or could not be asked. That a name does not exist is an
#: answer.
NO_NAME_SERVICE = frozenset(
    {socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_MEMORY, socket.EAI_SYSTEM}
)
NO_THREAD = "can't start new thread"


def own_fault(error: BaseException | None) -> str | None:
    """Return what is wrong on our side; None: the fault is not known to be ours.

    Args:
        error: aiohttp's own error, or one of the system.
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
        return _no_handle()  # without one the resolver finds no name, and says no more than that
    # The number of an error of TLS is none of the system.
    if not isinstance(error, OSError) or isinstance(error, ssl.SSLError):
        return None
    return error.strerror or str(error) if is_own(error.errno, str(error)) else None


def _no_handle() -> str | None:
    """Return why no socket can be opened now; None: one can."""
    try:
        socket.socket().close()
    except OSError as error:
        return error.strerror if error.errno in SHORTAGE_ERRNOS else None
    return None
