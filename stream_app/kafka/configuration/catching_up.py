"""Waits until the whole configuration is read, however long that takes.

All agents wait here. While the view is behind, an object that it lacks may be among the records
that are not read yet, and no event may be skipped because of that. The wait has no limit: while
Kafka is away no flush could end either, and slow reading ends at some point.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from stream_app.domain.errors import KafkaUnreachableError
from stream_app.kafka.configuration.view import Configuration
from stream_app.logs import get_logger

log = get_logger(__name__)

#: Longest wait before the ends of the topics are asked for again.
WAIT_SECONDS = 5.0
RETRY_SECONDS = 0.5
#: How often the log says that an agent still waits.
REMIND_SECONDS = 60.0


class ConfigurationSource(Protocol):
    """Where an agent gets the configuration from: in a worker, its `ConfigurationReader`."""

    @property
    def configuration(self) -> Configuration:
        """What has been read so far."""

    async def catch_up(self, timeout_seconds: float) -> bool:
        """Wait until everything that the topics hold now has been read; tell whether it has."""


async def catch_up(source: ConfigurationSource) -> None:
    """Wait until everything that the configuration topics hold now is read."""
    started = time.monotonic()
    warned_at: float | None = None
    while True:
        why = "it is read more slowly than it was written"
        try:
            if await source.catch_up(WAIT_SECONDS):
                break
        except KafkaUnreachableError as error:
            why = str(error)
        now = time.monotonic()
        if warned_at is None or now - warned_at >= REMIND_SECONDS:
            warned_at = now
            log.warning(
                "configuration_behind",
                why=why,
                waited_seconds=round(now - started, 1),
                then="waiting for it",
            )
        await asyncio.sleep(RETRY_SECONDS)
    if warned_at is not None:
        waited = round(time.monotonic() - started, 1)
        log.info("configuration_caught_up", waited_seconds=waited)
