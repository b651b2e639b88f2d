"""How many examples a test takes: all of them, or few for a quick answer."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

_T = TypeVar("_T")

HAS_FEW_EXAMPLES = os.environ.get("EXAMPLES") == "few"


def examples(number: int) -> int:
    """Return the number, or a tenth of it where `EXAMPLES=few` is set (`make test-unit`)."""
    return max(1, number // 10) if HAS_FEW_EXAMPLES else number


def some(cases: Iterable[_T]) -> list[_T]:
    """Return the cases, or every tenth of them where `EXAMPLES=few` is set."""
    return list(cases)[:: 10 if HAS_FEW_EXAMPLES else 1]
