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

from stream_app.domain.errors import StreamAppError
from stream_app.kafka.config_records import unreachable
from stream_app.settings import KafkaSettings, Settings

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
def test_a_broker_that_refuses_is_not_one_that_is_away(error: KafkaError, exit_code: int) -> None:
    with pytest.raises(StreamAppError) as caught, unreachable(SETTINGS):
        raise error
    assert caught.value.exit_code == exit_code
    assert "broker:9092" in str(caught.value)
    assert ("is the broker up" in str(caught.value)) is (exit_code == 4)
