"""The cluster's topics held against the contract."""

from __future__ import annotations

from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from stream_app.kafka.admin import Admin, equal_pair, partition_counts, resolve_bootstrap
from stream_app.kafka.topics import CONFIG_TOPICS, Topic, TopicNames, topic_specs
from stream_app.settings import Settings

#: One partition, compacted: every worker reads them whole, in one order.
SINGLE_TOPICS = (*CONFIG_TOPICS, Topic.STATUS)


@dataclass(frozen=True)
class TopicProblem:
    """A topic that is not as it must be, and the command that mends it."""

    topic: str
    problem: str
    remedy: str


async def check_topics(settings: Settings) -> list[TopicProblem]:
    """Compare the cluster with the contract.

    Owners of event topics may choose other partition counts; what must hold is what the workers
    rely on.
    """
    names = TopicNames(settings.topic_prefix)
    single = [names(topic) for topic in SINGLE_TOPICS]
    async with Admin(settings) as client:
        counts = await partition_counts(client)
        policies = await _policies(client, [name for name in single if name in counts])
    servers = f"--bootstrap-server {resolve_bootstrap(settings)}"
    problems = [
        TopicProblem(spec.name, "does not exist", "stream-app topics create")
        for spec in topic_specs(settings)
        if spec.name not in counts
    ]
    problems += [
        TopicProblem(
            name,
            f"has {counts[name]} partitions, must have 1",
            f"kafka-topics {servers} --delete --topic {name}; stream-app topics create",
        )
        for name in single
        if counts.get(name, 1) != 1
    ]
    problems += _pair_problem(equal_pair(settings), counts, servers)
    problems += [
        TopicProblem(
            name,
            f"cleanup.policy is {policy}, must be compact",
            f"kafka-configs {servers} --alter --topic {name} --add-config cleanup.policy=compact",
        )
        for name, policy in policies.items()
        if policy != "compact"
    ]
    return problems


def _pair_problem(
    pair: tuple[str, str], counts: dict[str, int], servers: str
) -> list[TopicProblem]:
    known = sorted((counts[name], name) for name in pair if name in counts)
    if len({count for count, _ in known}) < len(pair):
        return []
    (fewer, name), (more, other) = known
    return [
        TopicProblem(
            name,
            f"has {fewer} partitions, {other} has {more}: must be equal",
            f"kafka-topics {servers} --alter --topic {name} --partitions {more}",
        )
    ]


async def _policies(client: AIOKafkaAdminClient, names: list[str]) -> dict[str, str]:
    if not names:
        return {}
    responses = await client.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, name, {"cleanup.policy": None}) for name in names]
    )
    found: dict[str, str] = {}
    for response in responses:
        for code, message, _, name, entries in response.resources:
            if code:
                raise for_code(code)(message)
            found[name] = next(entry[1] for entry in entries if entry[0] == "cleanup.policy")
    return found
