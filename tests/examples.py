"""How many random examples a test takes: all of them, or few for a quick answer."""

from __future__ import annotations

import os

HAS_FEW_EXAMPLES = os.environ.get("EXAMPLES") == "few"


def examples(number: int) -> int:
    """Return the number, or a tenth of it where `EXAMPLES=few` is set (`make test-unit`)."""
    return max(1, number // 10) if HAS_FEW_EXAMPLES else number
