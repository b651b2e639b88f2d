"""What a broker that has just started says about groups."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from stream_app.kafka.cluster.admin import Admin
from stream_app.kafka.cluster.groups import read_group
from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.setting_groups import KafkaSettings
from stream_app.settings import Settings


async def test_a_broker_that_has_never_had_a_group_reports_none(
    own_kafka: Callable[[], EmbeddedKafka],
) -> None:
    """The broker makes the groups' topic at the first request, and refuses requests until then."""
    kafka = await asyncio.to_thread(own_kafka)
    settings = Settings(kafka=KafkaSettings(bootstrap_servers=kafka.status().bootstrap_servers))
    async with Admin(settings) as client:
        found = await read_group(client, "nobody", ["events.hits"])
    assert (found.members, found.committed) == ((), {})
