"""Kafka's settings of changelogs that are there already, as an older version has made them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from stream_app.kafka.cluster.topics import BROKER_CLOCK
from stream_app.logs import get_logger

log = get_logger(__name__)

#: Where a topic's setting comes from: itself, not a default of the broker's.
OF_THE_TOPIC = 1
#: How often to look whether a setting has come to the brokers.
LOOKS, LOOK_SECONDS = 20, 0.1


async def have_stamped(client: AIOKafkaAdminClient, topics: Sequence[str]) -> None:
    """Have the brokers stamp the records of changelogs, from now on."""
    for name, config in (await own_settings(client, topics)).items():
        if not BROKER_CLOCK.items() <= config.items():
            await change(client, name, config, BROKER_CLOCK)
            await _seen(client, name)


async def _seen(client: AIOKafkaAdminClient, name: str) -> None:
    """Wait until the brokers stamp a topic's records, or do not within the time."""
    for _ in range(LOOKS):
        if BROKER_CLOCK.items() <= (await own_settings(client, [name]))[name].items():
            return
        await asyncio.sleep(LOOK_SECONDS)


async def own_settings(
    client: AIOKafkaAdminClient, topics: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Return the settings that topics have of their own."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in topics]
    found: dict[str, dict[str, str]] = {}
    for response in await client.describe_configs(resources) if resources else ():
        for error, text, _, name, entries in response.resources:
            if error:
                raise for_code(error)(f"{name}: {text or 'its settings are not told'}")
            found[name] = {entry[0]: entry[1] for entry in entries if entry[3] == OF_THE_TOPIC}
    return found


async def change(
    client: AIOKafkaAdminClient, name: str, config: Mapping[str, str], wanted: Mapping[str, str]
) -> None:
    """Give a topic settings beside its own ones (`config`): else those would be lost."""
    resource = ConfigResource(ConfigResourceType.TOPIC, name, {**config, **wanted})
    for response in await client.alter_configs([resource]):
        for error, text, *_ in response.resources:
            if not error:
                log.info("changelog_taken_over", changelog=name)
                continue
            log.warning(
                "changelog_settings_refused",
                changelog=name,
                why=f"{for_code(error).__name__}: {text or ''}",
                then="set " + ", ".join(f"{key}={value}" for key, value in wanted.items()),
            )
