"""Times as people write and read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from stream_app.domain.errors import UsageError
from stream_app.domain.foreign_text.printable import quoted

HOUR_MS = 3600 * 1000
_UNIT_MS = {"s": 1000, "m": 60 * 1000, "h": HOUR_MS, "d": 24 * HOUR_MS}
_DURATION = re.compile(r"(\d{1,9})([smhd])")
_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?Z?")


def parse_time(text: str, now_ms: int) -> int:
    """Return the Unix ms of a time as people write it.

    It is an ISO-8601 time, a time of day such as `10:05`, which is the last one, a duration before
    now such as `30m`, or `now`. A time without a zone is UTC. A time before 1970 is 0: nothing is
    older.

    Raises:
        UsageError: the text is none of these.
    """
    if text == "now":
        return now_ms
    if (duration := _DURATION.fullmatch(text)) is not None:
        return max(0, now_ms - int(duration[1]) * _UNIT_MS[duration[2]])
    if (time_of_day := _TIME_OF_DAY.fullmatch(text)) is not None:
        hours, minutes, seconds = (int(part or 0) for part in time_of_day.groups())
        into_day_ms = ((hours * 60 + minutes) * 60 + seconds) * 1000
        return max(0, now_ms - (now_ms - into_day_ms) % (24 * HOUR_MS))
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{quoted(text)} is no time: give one as 2026-11-24T08:00:00Z, as 08:00 (the last "
            "one, UTC), or how long ago it is as 30m, 2h or 7d"
        ) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return max(0, round(found.timestamp() * 1000))


def utc_text(seconds: int) -> str:
    """Return Unix seconds as people read them in a text: `2026-11-29 20:31:05 UTC`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def iso_utc(unix_ms: int) -> str:
    """Return Unix ms as an ISO-8601 time in UTC, or the number itself if no calendar has it."""
    try:
        found = datetime.fromtimestamp(unix_ms // 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return str(unix_ms)
    return found.strftime("%Y-%m-%dT%H:%M:%SZ")
