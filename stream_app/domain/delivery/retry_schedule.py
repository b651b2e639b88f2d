"""The retry cycles: when a delivery that failed is tried again.

The numbers are the documented ones of the product this project follows, and there is no jitter:
16 waits between 17 requests, 3,068 seconds in all. A wait runs from the end of the failed request.
"""

from __future__ import annotations

import math
from itertools import chain

#: Seconds to wait before each resend, by cycle.
CYCLES: tuple[tuple[int, ...], ...] = (
    (1, 3, 5, 10, 10),
    (0, 1, 3, 5, 30),
    (60, 60, 180, 300, 600, 1800),
)
#: The wait before attempt 1, 2, 3 and so on.
WAITS: tuple[int, ...] = (0, *chain.from_iterable(CYCLES))
LAST_ATTEMPT = len(WAITS)
#: Nobody may stop us for longer than this, whatever an answer, or a record, says.
LONGEST_ASKED_SECONDS = 3600.0


def wait_before_attempt(attempt: int) -> float | None:
    """Return the documented wait in seconds before an attempt; None: there is no such attempt.

    Args:
        attempt: counted from 1, the first request of a delivery.

    Raises:
        ValueError: `attempt` is below 1.
    """
    if attempt < 1:
        raise ValueError(f"attempt {attempt}: attempts count from 1")
    return float(WAITS[attempt - 1]) if attempt <= LAST_ATTEMPT else None


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
        retry_after_seconds: what the service asked for. The longer of both waits counts, and
            `scale` does not shorten this one: it is not ours to shorten.
    """
    wait = wait_before_attempt(attempt + 1)
    if wait is None:
        return None
    wait = max(wait * scale, min(retry_after_seconds or 0.0, LONGEST_ASKED_SECONDS))
    # Rounded first, or the binary fraction of a scaled wait would add a millisecond.
    return attempt_finished_at_ms + math.ceil(round(wait * 1000, 3))
