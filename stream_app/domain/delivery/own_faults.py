"""Faults on our own side: they say nothing about an integration and count as no attempt.

The kernel, or the name service that this machine asks, has refused before anything of the service
was reached. The hosts are a closed list, so a name that cannot be looked up is nobody's mistake.
"""

from __future__ import annotations

import errno
import math
import re

from stream_app.domain.delivery.reasons import AttemptReason

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
#: Of those, what ends with the load, and not when somebody mends a file.
NO_ROOM_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
OWN_REASONS = frozenset({AttemptReason.PROXY_ERROR, AttemptReason.LOCAL_ERROR})
#: How long a delivery waits after a fault of our own.
PAUSE_SECONDS = 10.0
#: How several errors of several addresses are told in one.
ERRNO_IN_TEXT = re.compile(r"\[Errno (-?\d+)\]")


def is_own(number: int | None, text: str) -> bool:
    """Tell whether an error of the system, or every one that a text names, is our own side's."""
    numbers = [number] if number is not None else map(int, ERRNO_IN_TEXT.findall(text))
    found = set(numbers)
    return bool(found) and found <= OWN_ERRNOS


def pause_ms(scale: float) -> int:
    """Return how long to wait; `scale` is 1 except in tests."""
    return math.ceil(PAUSE_SECONDS * 1000 * scale)
