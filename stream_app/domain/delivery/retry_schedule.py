"""The retry cycles: when a delivery that failed is tried again.

The numbers are the documented ones of the product this project follows, and there is no jitter:
16 waits between 17 requests, 3,068 seconds in all. A wait runs from the end of the failed request.
"""

from __future__ import annotations

import math
from itertools import chain

#: The waits before the resends, by cycle.
CYCLES_SECONDS: tuple[tuple[int, ...], ...] = (
    (1, 3, 5, 10, 10),
    (0, 1, 3, 5, 30),
    (60, 60, 180, 300, 600, 1800),
)
#: The wait before attempt 1, 2, 3 and so on.
WAITS_SECONDS: tuple[int, ...] = (0, *chain.from_iterable(CYCLES_SECONDS))
LAST_ATTEMPT = len(WAITS_SECONDS)
#: No answer and no record may delay a delivery for longer than this.
MAX_RETRY_AFTER_SECONDS = 3600.0
#: How long a delivery waits after a fault of our own side.
OWN_FAULT_WAIT_SECONDS = 10.0


def seconds_before_attempt(attempt: int) -> float | None:
    """Return the documented wait before an attempt; None: there is no such attempt.

    Args:
        attempt: counted from 1, the first request of a delivery.

    Raises:
        ValueError: `attempt` is below 1.
    """
    if attempt < 1:
        raise ValueError(f"attempt {attempt}: attempts count from 1")
    return float(WAITS_SECONDS[attempt - 1]) if attempt <= LAST_ATTEMPT else None


def cycle_of(attempt: int) -> int:
    """Return the cycle, from 1, that an attempt belongs to; the first request counts to cycle 1."""
    left = attempt - 1
    for number, waits in enumerate(CYCLES_SECONDS, 1):
        left -= len(waits)
        if left <= 0:
            return number
    return len(CYCLES_SECONDS)


def last_due_ms(due_ms: int, attempt: int, scale: float) -> int:
    """Return when the last resend is due if all fail at once from an attempt on.

    Args:
        due_ms: when that attempt is due, Unix ms.
        attempt: its number, from 1.
        scale: factor on the documented waits; 1 except in tests.
    """
    return due_ms + math.ceil(round(sum(WAITS_SECONDS[attempt:]) * scale * 1000, 3))


def next_due_ms(
    attempt_finished_at_ms: int,
    attempt: int,
    *,
    scale: float,
    retry_after_seconds: float | None,
) -> int | None:
    """Return when the attempt after a failed one is due; None: it was the last one.

    Args:
        attempt_finished_at_ms: when the failed attempt ended, Unix milliseconds.
        attempt: number of the failed attempt, from 1.
        scale: factor on the documented wait; 1 except in tests.
        retry_after_seconds: the wait that the service asked for. The longer wait counts. `scale`
            does not shorten this one.
    """
    wait = seconds_before_attempt(attempt + 1)
    if wait is None:
        return None
    wait = max(wait * scale, min(retry_after_seconds or 0.0, MAX_RETRY_AFTER_SECONDS))
    # Rounded first, or the binary fraction of a scaled wait would add a millisecond.
    return attempt_finished_at_ms + math.ceil(round(wait * 1000, 3))


def own_fault_wait_ms(scale: float) -> int:
    """Return how long a delivery waits after a fault of our own side."""
    return math.ceil(OWN_FAULT_WAIT_SECONDS * 1000 * scale)
