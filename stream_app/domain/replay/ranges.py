"""A range of a topic: from a time or an offset, to a time or an offset."""

from __future__ import annotations

import re
from typing import NamedTuple

from stream_app.domain.errors import UsageError
from stream_app.domain.foreign_text.printable import quoted
from stream_app.domain.times import iso_utc, parse_time

_OFFSET = re.compile(r"\d{1,18}")


class Bound(NamedTuple):
    """One end of a range: a record timestamp (Unix ms), an offset, or neither.

    An offset is the same in every partition. A bound with neither is the beginning or the end of
    the topic itself.
    """

    moment_ms: int | None = None
    offset: int | None = None


class Range(NamedTuple):
    """The records from `start` on and before `end`."""

    start: Bound = Bound()
    end: Bound = Bound()


class Extent(NamedTuple):
    """The time (Unix ms) that was read; None: everything was read up to that end of the log."""

    from_ms: int | None = None
    to_ms: int | None = None

    def misses_part_of(self, from_ms: int, to_ms: int) -> bool:
        """Tell whether a part of a time span was not read."""
        return (self.from_ms is not None and from_ms < self.from_ms) or (
            self.to_ms is not None and to_ms > self.to_ms
        )

    def overlaps(self, from_ms: int, to_ms: int) -> bool:
        """Tell whether a part of a time span was read."""
        return (self.from_ms is None or to_ms > self.from_ms) and (
            self.to_ms is None or from_ms < self.to_ms
        )


def parse_bound(text: str | None, now_ms: int) -> Bound:
    """Parse an end of a range: `2h`, an ISO-8601 time, `now`, or an offset.

    Raises:
        UsageError: it is none of these.
    """
    if text is None:
        return Bound()
    if _OFFSET.fullmatch(text):
        return Bound(offset=int(text))
    try:
        return Bound(moment_ms=parse_time(text, now_ms))
    except UsageError:
        raise UsageError(
            f"{quoted(text)} is neither a time nor an offset: give a time as 2026-11-24T08:00:00Z "
            "or 08:00, how long ago it is as 30m, 2h or 7d, or an offset as 1500"
        ) from None


def parse_range(start: str | None, end: str | None, now_ms: int) -> Range:
    """Parse the two ends of a range.

    Raises:
        UsageError: one of them cannot be parsed, or nothing can lie between them.
    """
    found = Range(parse_bound(start, now_ms), parse_bound(end, now_ms))
    first, last = found
    a, b = first.offset, last.offset
    if a is not None and b is not None and a >= b:
        raise UsageError(f"--from {start} is not before --to {end}: nothing lies between them")
    a, b = first.moment_ms, last.moment_ms
    if a is not None and b is not None and a >= b:
        raise UsageError(
            f"--from {start} ({iso_utc(a)}) is not before --to {end} ({iso_utc(b)}): nothing lies "
            "between them"
        )
    return found
