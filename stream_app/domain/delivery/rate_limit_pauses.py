"""Integrations that pause because the service answered 429 (too many requests).

The pauses are stored with the deliveries of their partition: a restart must not end them early.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus

from stream_app.domain.delivery.records import Result
from stream_app.domain.delivery.retry_schedule import MAX_RETRY_AFTER_SECONDS
from stream_app.domain.state.tracked_values import ChangelogValues

#: How long an integration pauses after a 429 that does not say how long: the larger of the two
#: windows that the service counts in.
DEFAULT_PAUSE_SECONDS = 60.0
MAX_PAUSE_MS = int(MAX_RETRY_AFTER_SECONDS * 1000)


def pause_end_ms(result: Result, scale: float) -> int | None:
    """Return until when the integration of a result pauses (Unix ms); None: it does not pause.

    `scale` shortens the default pause only, not one that the service asked for.
    """
    if result.status != HTTPStatus.TOO_MANY_REQUESTS:
        return None
    asked = result.retry_after_seconds
    seconds = DEFAULT_PAUSE_SECONDS * scale if asked is None else asked
    seconds = min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
    return result.finished_at_ms + math.ceil(seconds * 1000)


class Pauses(ChangelogValues[int, int]):
    """The integrations of one partition that pause, and until when (Unix ms)."""

    prefix = b"pause|"

    def __init__(self) -> None:
        super().__init__(lambda until_ms: (until_ms,))

    @property
    def until_ms(self) -> Mapping[int, int]:
        """Until when each integration pauses."""
        return self.values

    def extend(self, integration_id: int, until_ms: int) -> None:
        """Let an integration pause at least until a time (Unix ms)."""
        if until_ms > self.until_ms.get(integration_id, 0):
            self.change(integration_id, until_ms)

    def forget(self, integration_id: int) -> None:
        """End the pause of an integration."""
        if integration_id in self.until_ms:
            self.change(integration_id, None)

    def end_expired(self, now_ms: int) -> None:
        """End the pauses that are over."""
        for integration_id, until_ms in list(self.until_ms.items()):
            if until_ms <= now_ms:
                self.change(integration_id, None)

    def record(self, key: int, value: int | None) -> tuple[bytes, bytes | None]:
        """Return the changelog record of a pause; None: it is over."""
        return self.prefix + str(key).encode(), None if value is None else str(value).encode()

    def restore_record(self, key: bytes, value: bytes | None) -> None:
        """Restore a record of the changelog."""
        number = int(key.removeprefix(self.prefix))
        self.restore(number, None if value is None else int(value))
