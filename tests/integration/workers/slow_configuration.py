"""The worker's command, which takes each batch of configuration records only after 10 s."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer

from stream_app.cli import main
from stream_app.kafka.configuration.reader import ConfigurationReader

SECONDS = 10.0


def read_slowly() -> None:
    follow = ConfigurationReader._follow

    async def slow_follow(self: ConfigurationReader, consumer: AIOKafkaConsumer) -> None:
        getmany = consumer.getmany

        async def slow_getmany(**options: Any) -> Any:
            found = await getmany(**options)
            await asyncio.sleep(SECONDS if found else 0)
            return found

        consumer.getmany = slow_getmany
        await follow(self, consumer)

    ConfigurationReader._follow = slow_follow  # type: ignore[method-assign]


if __name__ == "__main__":
    read_slowly()
    main()
