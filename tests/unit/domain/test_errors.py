"""The text of an error names its class once."""

from __future__ import annotations

import pytest
from aiokafka.errors import CorruptRecordException, KafkaConnectionError, KafkaTimeoutError

from stream_app.domain.errors import StreamAppError, error_text
from stream_app.kafka.cluster.connection import kafka_errors
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KafkaConnectionError("no route"), "KafkaConnectionError: no route"),
        (KafkaTimeoutError(), "KafkaTimeoutError"),
        (CorruptRecordException("x"), "[Error 2] CorruptRecordException: x"),
        (OSError("reset"), "OSError: reset"),
        (TimeoutError(), "TimeoutError"),
        (ValueError(""), "ValueError"),
    ],
)
def test_the_class_of_an_error_is_named_once(error: Exception, text: str) -> None:
    assert error_text(error) == text


async def test_the_message_on_an_unreachable_broker_names_the_error_once() -> None:
    settings = Settings(kafka=KafkaSettings(bootstrap_servers="broker:9092"))
    with pytest.raises(StreamAppError) as caught:
        async with kafka_errors(settings):
            raise KafkaConnectionError("no route")
    assert str(caught.value).startswith(
        "broker:9092: KafkaConnectionError: no route: is the broker"
    )
