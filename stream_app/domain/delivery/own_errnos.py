"""Errors of the operating system that are faults of our own side.

The kernel, or the name service that this machine asks, refused before the service was reached. Such
an error says nothing about an integration.
"""

from __future__ import annotations

import errno
import re

#: What this machine lacks: file handles, memory, buffers, a local address or port, a network, or
#: the permission of its own firewall.
OWN_ERRNOS = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOBUFS,
        errno.ENOSPC,
        errno.EADDRNOTAVAIL,
        errno.EADDRINUSE,
        errno.EAFNOSUPPORT,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EACCES,
        errno.EPERM,
    }
)
#: Those that end by themselves when the load does. The others need somebody to mend the machine.
SHORTAGE_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
#: How one error names the errors of several addresses.
ERRNO_IN_TEXT = re.compile(r"\[Errno (-?\d+)\]")


def is_own(number: int | None, text: str) -> bool:
    """Tell whether an error is our own side's.

    Args:
        number: the error's errno. None: each errno in `text` must be our own side's.
        text: the error's message.
    """
    numbers = [number] if number is not None else map(int, ERRNO_IN_TEXT.findall(text))
    found = set(numbers)
    return bool(found) and found <= OWN_ERRNOS
