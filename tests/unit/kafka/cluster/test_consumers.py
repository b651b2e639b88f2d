"""A consumer that is closed leaves no connection open, whatever its own stop does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from stream_app.kafka.cluster.consumers import close


class Consumer:
    """A consumer whose stop ends with an error, before it closes its client."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
        self._client = self
        self.closed = 0

    async def stop(self) -> None:
        if self.error is not None:
            raise self.error

    async def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("error", [None, asyncio.CancelledError(), KafkaConnectionError()])
async def test_its_client_is_closed_although_its_stop_has_failed(
    error: BaseException | None,
) -> None:
    consumer: Any = Consumer(error)
    if isinstance(error, KafkaConnectionError):
        with pytest.raises(KafkaConnectionError):
            await close(consumer)
    else:
        await close(consumer)
    assert consumer.closed == 1


async def test_a_cancelled_caller_stays_cancelled() -> None:
    consumer: Any = Consumer(None)
    consumer.stop = lambda: asyncio.sleep(60)
    task = asyncio.create_task(close(consumer))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert consumer.closed == 1
