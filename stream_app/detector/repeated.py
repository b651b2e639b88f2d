"""Warnings that may come by the thousand: each is logged once in a while."""

from __future__ import annotations

import time
from typing import Any

#: A warning about late events or dead letters comes at most once in this time.
REPEAT_SECONDS = 60.0


class RepeatedWarnings:
    """Logs a warning at most once per `REPEAT_SECONDS`; the metrics count the others.

    Args:
        log: where to.
    """

    def __init__(self, log: Any) -> None:
        self._log = log
        self._said: dict[str, float] = {}

    def warn(self, event: str, key: str = "", **facts: Any) -> None:
        """Log a warning, if none of the same event and `key` has been logged a moment ago."""
        now, name = time.monotonic(), f"{event} {key}"
        if now - self._said.get(name, -REPEAT_SECONDS) >= REPEAT_SECONDS:
            self._said[name] = now
            self._log.warning(event, **facts)
