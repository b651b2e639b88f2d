"""Times in other units than seconds, told by their size."""

from __future__ import annotations

#: From so many seconds on (the year 5138) a time is in another unit, up to a thousand of each.
_UNITS = ((10**17, "nanoseconds"), (10**14, "microseconds"), (10**11, "milliseconds"))
_MOST = 10**20


def unit_hint(seconds: float) -> str:
    """Return what to say of a time that looks like one in a smaller unit; empty: it does not."""
    unit = next((name for least, name in _UNITS if least <= seconds < _MOST), "")
    return f"; it looks like {unit}: send seconds" if unit else ""
