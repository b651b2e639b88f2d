"""How far a reading is, on a line of its own that is written over; only where a person looks."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from typing import Self

import click

_EVERY_SECONDS = 0.2


class ReadingProgress(AbstractContextManager["ReadingProgress"]):
    """Shows `what: 5,000 of 20,000 records` on a terminal's stderr, and nothing elsewhere."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._is_shown = sys.stderr.isatty()
        self._last = time.monotonic()
        self._width = 0

    def __enter__(self) -> Self:
        return self

    def __call__(self, read: int, total: int) -> None:
        """Take note of how far it is; the first fifth of a second shows nothing."""
        now = time.monotonic()
        if not self._is_shown or now - self._last < _EVERY_SECONDS:
            return
        self._last = now
        text = f"{self._what}: {read:,} of {total:,} records"
        self._width = max(self._width, len(text))
        click.echo("\r" + text.ljust(self._width), nl=False, err=True)

    def __exit__(self, *_: object) -> None:
        if self._width:
            click.echo("\r" + " " * self._width + "\r", nl=False, err=True)
