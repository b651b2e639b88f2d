"""What the settings of topics are on the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAuthorizationFailedError, for_code

from stream_app.kafka.brokers.admin_client import ClusterAdminClient


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
