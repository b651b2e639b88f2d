"""Groups as a broker tells of them that has only just started."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from stream_app.kafka.cluster.groups import read_groups
from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings


async def test_a_broker_that_has_never_had_a_group_tells_that_there_is_none(
    own_kafka: Callable[[], EmbeddedKafka],
) -> None:
    """It makes the topic of the groups when it is asked first, and refuses until that is there."""
    kafka = await asyncio.to_thread(own_kafka)
    settings = Settings(kafka=KafkaSettings(bootstrap_servers=kafka.status().bootstrap_servers))
    found = await read_groups(settings, {"nobody": ["events.hits"]})
    assert (found["nobody"].members, found["nobody"].committed) == ((), {})
