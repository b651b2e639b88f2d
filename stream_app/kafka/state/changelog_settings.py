"""Kafka's settings of existing changelogs, which somebody may have made or set differently.

Packed records have no key to compact by. Instead, the owner of a partition deletes what its
snapshots replace, which Kafka allows only with the clean-up policy `delete`; nothing may expire by
time or size.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from stream_app.kafka.cluster.topics import BROKER_CLOCK
from stream_app.kafka.state.packed_table import PACKED_CONFIG
from stream_app.logs import get_logger

log = get_logger(__name__)

#: Kafka's code for a setting that the topic itself has, rather than a default of the broker.
DYNAMIC_TOPIC_CONFIG = 1
#: How often, and at which interval, to look whether the brokers have applied a setting.
LOOKS, LOOK_SECONDS = 20, 0.1


async def ensure_packed(client: AIOKafkaAdminClient, topics: Sequence[str]) -> None:
    """Give the changelogs of packed tables the settings that packed records need."""
    for name, config in (await topic_overrides(client, topics)).items():
        if "delete" not in config.get("cleanup.policy", ""):
            await _override(client, name, config, PACKED_CONFIG)


async def ensure_broker_clock(client: AIOKafkaAdminClient, topics: Sequence[str]) -> None:
    """Have the brokers stamp the records of changelogs from now on."""
    for name, config in (await topic_overrides(client, topics)).items():
        if not BROKER_CLOCK.items() <= config.items():
            await _override(client, name, config, BROKER_CLOCK)
            await _wait_for_broker_clock(client, name)


async def _wait_for_broker_clock(client: AIOKafkaAdminClient, name: str) -> None:
    """Wait until the setting is applied; give up after `LOOKS` looks."""
    for _ in range(LOOKS):
        if BROKER_CLOCK.items() <= (await topic_overrides(client, [name]))[name].items():
            return
        await asyncio.sleep(LOOK_SECONDS)


async def topic_overrides(
    client: AIOKafkaAdminClient, topics: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Return the settings in which each topic differs from the broker's defaults."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in topics]
    found: dict[str, dict[str, str]] = {}
    for response in await client.describe_configs(resources) if resources else ():
        for error, text, _, name, entries in response.resources:
            if error:
                raise for_code(error)(f"{name}: {text or 'its settings are not told'}")
            found[name] = {
                entry[0]: entry[1] for entry in entries if entry[3] == DYNAMIC_TOPIC_CONFIG
            }
    return found


async def _override(
    client: AIOKafkaAdminClient, name: str, config: Mapping[str, str], wanted: Mapping[str, str]
) -> None:
    """Give a topic further settings. The ones it has (`config`) would be lost if not sent again."""
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
