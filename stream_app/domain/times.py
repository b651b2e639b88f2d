"""Moments as people write and read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from stream_app.domain.errors import UsageError
from stream_app.domain.text.printable import quoted

_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d{1,9})([smhd])")


def parse_moment(text: str, now_ms: int) -> int:
    """Return the moment, Unix ms, that an ISO-8601 time or a duration back from now means.

    A time without a zone is UTC. What lies before 1970 is 0: nothing is older.

    Raises:
        UsageError: it is neither.
    """
    if (duration := _DURATION.fullmatch(text)) is not None:
        return max(0, now_ms - int(duration[1]) * _UNIT_MS[duration[2]])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{quoted(text)} is no time: give one as 2026-11-24T08:00:00Z, or how long ago it is "
            "as 30m, 2h or 7d"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0, round(moment.timestamp() * 1000))


def iso_moment(moment_ms: int) -> str:
    """Return a moment, Unix ms, as ISO-8601 in UTC, to the second; one of no calendar as it is."""
    try:
        moment = datetime.fromtimestamp(moment_ms // 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return str(moment_ms)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
