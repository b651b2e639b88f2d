"""Waiting until all of the configuration is read, however long Kafka is away."""

from __future__ import annotations

import asyncio
import contextlib

from stream_app.domain.errors import KafkaUnreachableError
from stream_app.kafka.configuration import ConfigurationReader
from stream_app.logs import get_logger

log = get_logger(__name__)

#: Longest wait for the configuration before it is asked again how far it goes.
WAIT_SECONDS = 5.0
RETRY_SECONDS = 0.5


async def catch_up(reader: ConfigurationReader) -> None:
    """Read all that the configuration topics hold now. It says once that it has to wait."""
    said = False
    while True:
        with contextlib.suppress(KafkaUnreachableError):
            if await reader.catch_up(WAIT_SECONDS):
                return
        if not said:
            said = True
            log.warning("configuration_behind", then="waiting for it")
        await asyncio.sleep(RETRY_SECONDS)
