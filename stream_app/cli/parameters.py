"""Types of command-line values that click does not have."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from stream_app.domain.foreign_text.printable import quoted

if TYPE_CHECKING:
    from click import Context, Parameter


class PositiveNumber(click.FloatRange):
    """A finite number above zero: click's own range lets `nan` and `inf` through."""

    name = "positive number"

    def __init__(self) -> None:
        super().__init__(0, min_open=True)

    def convert(self, value: Any, param: Parameter | None, ctx: Context | None) -> float:
        """Return the number, or end with a usage error."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{quoted(value)} is not a finite number above 0", param, ctx)
        return number
