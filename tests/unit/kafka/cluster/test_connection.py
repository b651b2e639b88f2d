"""How errors of the driver become ours."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)

from stream_app.domain.errors import StreamAppError
from stream_app.kafka.cluster.connection import kafka_errors
from stream_app.kafka.cluster.consumers import close
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings

SETTINGS = Settings(kafka=KafkaSettings(bootstrap_servers="broker:9092"))


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (KafkaConnectionError(), 4),
        (KafkaTimeoutError(), 4),
        (MessageSizeTooLargeError("1048577 bytes"), 1),
        (TopicAuthorizationFailedError("config.triggers"), 1),
    ],
)
def test_a_refusal_is_told_from_an_absent_broker(error: KafkaError, exit_code: int) -> None:
    with pytest.raises(StreamAppError) as caught, kafka_errors(SETTINGS):
        raise error
    assert caught.value.exit_code == exit_code
    assert "broker:9092" in str(caught.value)
    assert ("is the broker up" in str(caught.value)) is (exit_code == 4)


class Closing:
    """A consumer whose fetch is cancelled by its own closing, or that takes its time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def stop(self) -> None:
        if not self._seconds:
            raise asyncio.CancelledError
        await asyncio.sleep(self._seconds)


async def test_a_fetch_cancelled_by_the_driver_does_not_cancel_the_caller() -> None:
    await close(Closing(0))


async def test_a_cancelled_caller_stays_cancelled() -> None:
    task = asyncio.create_task(close(Closing(60)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
