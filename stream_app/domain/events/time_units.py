"""Times in other units than seconds, told by their size."""

from __future__ import annotations

from decimal import Decimal

#: From so many seconds on (the year 5138) a time is in another unit, up to a thousand of each.
_UNITS = ((10**17, "nanoseconds"), (10**14, "microseconds"), (10**11, "milliseconds"))
_MOST = 10**20
#: Most digits of a number that are told.
_DIGITS = 20


def shown_number(number: int) -> str:
    """Return a whole number for a message: of three hundred digits no person reads all."""
    return str(number) if abs(number) < 10**_DIGITS else f"{Decimal(number):.3e}"


def unit_hint(seconds: float) -> str:
    """Return what to say of a time that looks like one in a smaller unit; empty: it does not."""
    unit = next((name for least, name in _UNITS if least <= seconds < _MOST), "")
    return f"; it looks like {unit}: send seconds" if unit else ""
