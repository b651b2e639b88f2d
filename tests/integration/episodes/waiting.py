"""Waiting for workers while records keep coming."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.settings import Settings


async def passed(settings: Settings, role: str, topic: str, seconds: float) -> None:
    """Wait until the role's group has committed what a topic held when this was called."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap_servers or "",
        group_id=f"{settings.topic_prefix}stream-app-{role}",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        name = f"{settings.topic_prefix}{topic}"
        partitions = [TopicPartition(name, number) for number in range(settings.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        async with asyncio.timeout(seconds):
            for tp, end in ends.items():
                while (await consumer.committed(tp) or 0) < end:  # noqa: ASYNC110 - of workers
                    await asyncio.sleep(0.2)
    finally:
        await consumer.stop()
