"""How errors of the driver become ours."""

from __future__ import annotations

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)

from stream_app.domain.errors import KafkaUnreachableError, StreamAppError
from stream_app.kafka.cluster.connection import kafka_errors
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings

SETTINGS = Settings(kafka=KafkaSettings(bootstrap_servers="broker:9092"))


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (KafkaConnectionError(), 4),
        (KafkaTimeoutError(), 4),
        (MessageSizeTooLargeError("1048577 bytes"), 1),
        (TopicAuthorizationFailedError("config.triggers"), 4),
    ],
)
async def test_a_refusal_is_told_from_an_absent_broker(error: KafkaError, exit_code: int) -> None:
    with pytest.raises(StreamAppError) as caught:
        async with kafka_errors(SETTINGS):
            raise error
    assert caught.value.exit_code == exit_code
    assert "broker:9092" in str(caught.value)
    is_absent = isinstance(caught.value, KafkaUnreachableError)
    assert ("is the broker up" in str(caught.value)) is is_absent
    assert is_absent is isinstance(error, KafkaConnectionError | KafkaTimeoutError)
