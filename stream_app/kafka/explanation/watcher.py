"""What a command shows of a read: how far it is, and where it stopped early."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from stream_app.kafka.history.newest_records import ReportRead


class Watcher(Protocol):
    """Shows a person what is read."""

    def progress(self, what: str) -> AbstractContextManager[ReportRead]:
        """Show a progress line for a read of `what`."""

    def stopped_at(self, what: str, cut_ms: int | None, most: int) -> None:
        """Say that records before a time (Unix ms) were left out; None: none were."""
