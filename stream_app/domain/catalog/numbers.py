"""The largest number in a record."""

from __future__ import annotations

#: Largest number in a configured object: records take no larger one.
MAX_INTEGER = 2**63 - 1
TOO_LARGE = f"must be at most {MAX_INTEGER}: no record takes a larger number"
