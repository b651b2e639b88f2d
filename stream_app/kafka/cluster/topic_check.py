"""Comparing the cluster's topics with the contract."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from stream_app.domain.errors import TopicMismatchError
from stream_app.kafka.brokers.admin_client import ClusterAdminClient
from stream_app.kafka.cluster.admin import Admin, visible_counts
from stream_app.kafka.cluster.connection import resolve_bootstrap
from stream_app.kafka.cluster.topic_configs import alter_command, topic_configs
from stream_app.kafka.cluster.topics import (
    BROKER_CLOCK,
    CONFIG_TOPICS,
    EVENT_TOPICS,
    LARGE_RECORDS,
    Topic,
    TopicProblem,
    TopicSpec,
    equal_pair,
    topic_specs,
)
from stream_app.settings import Settings

#: These have one partition and are compacted: every worker reads all of them, in one order.
SINGLE_TOPICS = (*CONFIG_TOPICS, Topic.STATUS)
#: Topics of other producers, which may have the producers' times if a setting accepts that.
ACCEPTABLE = (*EVENT_TOPICS, Topic.ACCOUNT)
ACCEPT_SETTING = "STREAM_APP_ACCEPT_PRODUCER_TIME"
#: The further steps after a configuration topic has been made anew.
_AS_CONFIGURED = "; stream-app state reset detector --yes; stream-app apply -f … (all its objects)"

#: The problem of a topic that is not there.
MISSING = "does not exist"


async def check_topics(settings: Settings) -> list[TopicProblem]:
    """Compare the cluster with the contract.

    It checks only what the workers rely on. Owners of event topics may choose other partition
    counts.
    """
    specs = topic_specs(settings)
    async with Admin(settings) as client:
        counts = await visible_counts(client, settings)
        wanted = {spec.name: _relied_on(settings, spec) for spec in specs if spec.name in counts}
        wrong = await _wrong_configs(client, wanted)
    problems = [
        TopicProblem(spec.name, MISSING, "stream-app topics create")
        for spec in specs
        if spec.name not in counts
    ]
    problems += partition_problems(settings, counts)
    problems += [
        TopicProblem(
            name,
            f"{key} is {found}, must be {'at least ' * (key in LARGE_RECORDS)}{must}",
            alter_command(settings, name, key, must),
        )
        for name, key, found, must in wrong
    ]
    return problems


def partition_problems(settings: Settings, counts: Mapping[str, int]) -> list[TopicProblem]:
    """Return what is wrong with the partition counts that owners may not choose."""
    names, servers = settings.names, resolve_bootstrap(settings)
    problems = [
        TopicProblem(
            name,
            f"has {counts[name]} partitions, must have 1",
            f"stop the workers; kafka-topics --bootstrap-server {servers} --delete --topic {name}; "
            "stream-app topics create" + (_AS_CONFIGURED if topic in CONFIG_TOPICS else ""),
        )
        for topic in SINGLE_TOPICS
        if counts.get(name := names(topic), 1) != 1
    ]
    pair = sorted((counts[name], name) for name in equal_pair(settings) if name in counts)
    if len({count for count, _ in pair}) > 1:
        (fewer, name), (more, other) = pair
        text = f"has {fewer} partitions, {other} has {more}: must be equal"
        problems.append(TopicProblem(name, text, "stream-app topics create"))
    return problems


async def producers_clocks(
    settings: Settings, client: ClusterAdminClient, topics: Collection[str]
) -> list[TopicProblem]:
    """Return the topics whose records have their producers' times although they must not.

    Such a time (CreateTime) is only a claim. One two days ahead would close all clients' windows
    and expire states. It would also confirm itself when the event's time is compared with it.
    """
    acceptable = [settings.names(topic) for topic in ACCEPTABLE]
    wanted = {
        spec.name: {k: v for k, v in _relied_on(settings, spec).items() if k in BROKER_CLOCK}
        for spec in topic_specs(settings)
        if spec.name in topics
    }
    return [
        TopicProblem(
            name,
            f"{key} is {found}: the times of its records are what producers claim, and a wrong "
            "one would close everybody's windows",
            alter_command(settings, name, key, must)
            + (f"; or accept it: {ACCEPT_SETTING}=true" if name in acceptable else ""),
        )
        for name, key, found, must in await _wrong_configs(client, wanted)
    ]


async def require_brokers_clocks(settings: Settings, topics: Collection[str]) -> None:
    """Check that the source topics of a worker have the brokers' times, before it starts.

    Raises:
        TopicMismatchError: the records of a topic have their producers' times.
        KafkaRefusedError: the worker has no right to see that.
    """
    async with Admin(settings) as client:
        problems = await producers_clocks(settings, client, topics)
    if problems:
        told = [f"topic {one.topic}: {one.problem}. Run {one.remedy}" for one in problems]
        raise TopicMismatchError("\n".join(told))


def _relied_on(settings: Settings, spec: TopicSpec) -> dict[str, str]:
    """Return the settings of a topic that the workers rely on."""
    names = settings.names
    keys: Collection[str] = (*BROKER_CLOCK, *LARGE_RECORDS)
    if spec.name in map(names, SINGLE_TOPICS):
        keys = ("cleanup.policy", "delete.retention.ms")
    elif settings.accept_producer_time and spec.name in map(names, ACCEPTABLE):
        keys = LARGE_RECORDS
    return {key: value for key, value in spec.config.items() if key in keys}


async def _wrong_configs(
    client: ClusterAdminClient, wanted: Mapping[str, Mapping[str, str]]
) -> list[tuple[str, str, str, str]]:
    """Return (topic, setting, its value, the right value) of all settings that are wrong."""
    configs = await topic_configs(client, {name: keys for name, keys in wanted.items() if keys})
    return [
        (name, key, found[key], must)
        for name, found in configs.items()
        for key, must in wanted[name].items()
        if not _fits(key, found[key], must)
    ]


def _fits(key: str, found: str, must: str) -> bool:
    return int(found) >= int(must) if key in LARGE_RECORDS else found == must
