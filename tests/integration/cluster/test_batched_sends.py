"""Batches that a real broker takes, and those that it refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import MessageSizeTooLargeError

from stream_app.kafka.cluster.connection import connection_options
from stream_app.kafka.engine.batched_sends import send_batches
from stream_app.kafka.state.send import Send
from stream_app.settings import Settings


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """Return a producer with the bounds of the workers' own, and an empty topic `small`."""
    options = connection_options(settings)
    admin = AIOKafkaAdminClient(**options)
    await admin.start()
    small = {"max.message.bytes": "100000"}
    topic = NewTopic(f"{settings.topic_prefix}small", 1, 1, topic_configs=small)
    await admin.create_topics([topic])
    await admin.close()
    found = AIOKafkaProducer(**options, max_batch_size=256 * 1024, max_request_size=1_000_000)
    await found.start()
    yield found
    await found.stop()


async def test_what_is_too_large_is_named_and_what_is_not_gets_its_offsets(
    producer: AIOKafkaProducer, settings: Settings
) -> None:
    topic = f"{settings.topic_prefix}small"
    with pytest.raises(MessageSizeTooLargeError) as error:
        await send_batches(producer, [Send(topic, b"k", b"y" * 1_200_000, 0)])
    assert f"{topic}[0]: a batch of 1 record, 12000" in str(error.value)
    assert "is more than the producer's max_request_size of 1000000" in str(error.value)

    with pytest.raises(MessageSizeTooLargeError) as error:
        await send_batches(producer, [Send(topic, b"k", b"z" * 150_000, 0)])
    assert f"{topic}[0]: a batch of 1 record, 15" in str(error.value)
    assert "was not taken by the broker" in str(error.value)

    found = await send_batches(producer, [Send(topic, b"k", b"z" * 5000, 0)] * 10)
    assert found == {(topic, 0): list(range(10))}
    # More than the topic takes at once.
    found = await send_batches(producer, [Send(topic, b"k", b"z" * 5000, 0)] * 50)
    assert sorted(found[topic, 0]) == list(range(10, 60))
