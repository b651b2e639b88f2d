"""Kafka's settings of topics: what they are, and the command that alters one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAuthorizationFailedError, for_code

from stream_app.kafka.brokers.admin_client import ClusterAdminClient
from stream_app.kafka.cluster.connection import resolve_bootstrap
from stream_app.settings import Settings


async def topic_configs(
    client: ClusterAdminClient, wanted: Mapping[str, Iterable[str]]
) -> dict[str, dict[str, str]]:
    """Return settings of topics.

    Args:
        client: a connected one.
        wanted: full name of each topic -> Kafka's names of its settings that are asked for.

    Raises:
        TopicAuthorizationFailedError: the user may not see them.
        KafkaError: a broker refuses, for example because a topic does not exist.
    """
    found: dict[str, dict[str, str]] = {}
    asked = [
        ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(keys))
        for name, keys in wanted.items()
    ]
    for response in await client.describe_configs(asked) if asked else ():
        for code, message, _, name, entries in response.resources:
            if code == TopicAuthorizationFailedError.errno:
                raise TopicAuthorizationFailedError(name)
            if code:
                raise for_code(code)(message)
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found


def alter_command(settings: Settings, topic: str, key: str, value: str) -> str:
    """Return the command of Kafka that alters a topic's setting."""
    servers = resolve_bootstrap(settings)
    return (
        f"kafka-configs --bootstrap-server {servers} --alter --topic {topic} "
        f"--add-config {key}={value}"
    )
