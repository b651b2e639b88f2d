"""The largest number that a record takes."""

from __future__ import annotations

#: Largest number of an object: what deliveries and other records take.
MAX_INTEGER = 2**63 - 1
TOO_LARGE = f"must be at most {MAX_INTEGER}: no record takes a larger number"
