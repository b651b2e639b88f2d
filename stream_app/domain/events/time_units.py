"""Recognises times in other units than seconds by their size."""

from __future__ import annotations

from decimal import Decimal

#: Least number -> the unit that it must be in: as seconds it would be after the year 5138.
_UNITS = ((10**17, "nanoseconds"), (10**14, "microseconds"), (10**11, "milliseconds"))
_MOST = 10**20
#: The years 2001 to 2100 in Unix seconds. As milliseconds they are days of January 1970.
_LEAST_SECONDS, _MOST_SECONDS = 10**9, 4_102_444_800
#: Most digits of a number in a message.
_DIGITS = 20


def shown_number(number: int) -> str:
    """Return a whole number for a message, shortened if it is very long."""
    return str(number) if abs(number) < 10**_DIGITS else f"{Decimal(number):.3e}"


def timestamp_hint(timestamp_ms: int) -> str:
    """Return a hint on a record's timestamp that looks like one in seconds, else an empty text."""
    if _LEAST_SECONDS <= timestamp_ms < _MOST_SECONDS:
        return "; the record's own timestamp looks like seconds: Kafka's are milliseconds"
    return ""


def unit_hint(seconds: float) -> str:
    """Return a hint on a time that looks like one in a smaller unit, else an empty text."""
    unit = next((name for least, name in _UNITS if least <= seconds < _MOST), "")
    return f"; it looks like {unit}: send seconds" if unit else ""
