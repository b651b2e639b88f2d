"""The copies of topics: how many there are, how many are in step, how many a write needs.

An acknowledged write is on all copies that are in step, and on at least `min.insync.replicas` of
them. With one, it may be on a single broker, and lost with it. With as many as there are copies, no
write is taken while one broker is restarted. The workers' own topics (changelogs, snapshots) are as
important as those of the contract: what they hold decides whether an alert is sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from stream_app.domain.reports.problems import amount
from stream_app.domain.topics import ROLE_SOURCES
from stream_app.kafka.brokers.admin_client import ClusterAdminClient
from stream_app.kafka.brokers.cluster_client import ask_any
from stream_app.kafka.cluster.admin import Admin
from stream_app.kafka.cluster.connection import resolve_bootstrap
from stream_app.kafka.cluster.requests import DescribeTopics
from stream_app.kafka.cluster.topic_configs import alter_command, topic_configs
from stream_app.kafka.cluster.topics import (
    COPIES_OF_A_WRITE,
    ENOUGH_COPIES,
    MIN_INSYNC,
    TopicProblem,
    topic_specs,
)
from stream_app.settings import Settings

#: In the text of a problem that stops all work with a topic.
NO_LEADER = "no leader: nothing is read or written there"
NO_WRITES = "no write is ever taken"


@dataclass(frozen=True)
class Copies:
    """What is wrong with the copies of topics, and the ids of the brokers.

    `away` are those that have copies and are not in the cluster now.
    """

    problems: Sequence[TopicProblem]
    brokers: AbstractSet[int]
    away: AbstractSet[int]


async def check_copies(settings: Settings) -> Sequence[TopicProblem]:
    """Return what is wrong with the copies of the installation's topics that exist."""
    async with Admin(settings) as client:
        return (await read_copies(settings, client)).problems


async def read_copies(settings: Settings, client: ClusterAdminClient) -> Copies:
    """Return the state of the copies of the installation's existing topics."""
    names = await _names(settings, client)
    answer = await ask_any(client.kafka, DescribeTopics(names))
    rows = {row["topic"]: row["partitions"] for row in answer.to_object()["topics"]}
    topics = {name: parts for name, parts in rows.items() if parts}
    brokers = {row[0] for row in answer.brokers}
    configs = await topic_configs(client, dict.fromkeys(topics, (MIN_INSYNC,)))
    problems: list[TopicProblem] = []
    for name, parts in topics.items():
        problems += _out_of_step(name, parts)
        problems += _too_few(settings, name, parts, sorted(brokers))
        problems += _needs_wrong(settings, name, parts, int(configs[name][MIN_INSYNC]))
    having = {node for parts in topics.values() for part in parts for node in part["replicas"]}
    return Copies(problems, brokers, having - brokers)


async def _names(settings: Settings, client: ClusterAdminClient) -> list[str]:
    """Return the names of the contract's topics, and of the workers' own."""
    apps = tuple(f"{settings.names.group(role)}-" for role in ROLE_SOURCES)
    own = [name for name in await client.list_topics() if name.startswith(apps)]
    return [*(spec.name for spec in topic_specs(settings)), *sorted(own)]


def _out_of_step(name: str, parts: Iterable[Mapping[str, Any]]) -> list[TopicProblem]:
    """Return the partitions without a leader, and those with copies that are behind."""
    leaderless, behind, missing = [], [], set[int]()
    for part in parts:
        away = set(part["replicas"]) - set(part["isr"])
        if part["leader"] < 0:
            leaderless.append(part["partition"])
            missing |= set(part["replicas"])
        elif away:
            behind.append(part["partition"])
            missing |= away
    found = []
    who = f"broker {', '.join(map(str, sorted(missing)))}"
    if leaderless:
        text = f"{_partitions(leaderless)} {NO_LEADER}"
        found.append(TopicProblem(name, text, f"start {who} again, or look into its log"))
    if behind:
        text = f"{_partitions(behind)} copies that are not in step, on {who}"
        found.append(TopicProblem(name, text, f"start {who} again, or look into its log"))
    return found


def _partitions(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, sorted(numbers)))
    return f"partition {shown} has" if len(numbers) == 1 else f"partitions {shown} have"


def _too_few(
    settings: Settings,
    name: str,
    parts: Sequence[Mapping[str, Any]],
    brokers: Sequence[int],
) -> list[TopicProblem]:
    """Return whether a topic has fewer copies than the setting asks for."""
    wanted, copies = settings.kafka.replication_factor, _copies(parts)
    if copies >= wanted:
        return []
    text = (
        f"has {amount(copies, 'copy', 'copies')}, STREAM_APP_KAFKA__REPLICATION_FACTOR is {wanted}"
    )
    if wanted > len(brokers):
        return [TopicProblem(name, text, f"add brokers, or lower it: {len(brokers)} answer")]
    plan = {"version": 1, "partitions": [_with_more(name, one, wanted, brokers) for one in parts]}
    encoded = json.dumps(plan, separators=(",", ":"))
    remedy = (
        f"kafka-reassign-partitions --bootstrap-server {resolve_bootstrap(settings)} --execute "
        f"--reassignment-json-file <(echo '{encoded}')"
    )
    return [TopicProblem(name, text, remedy)]


def _with_more(
    name: str, part: Mapping[str, Any], wanted: int, brokers: Sequence[int]
) -> dict[str, Any]:
    """Return a partition with its brokers and the next ones, in turn, so that none gets all."""
    number, has = part["partition"], list(part["replicas"])
    turned = [*brokers[number % len(brokers) :], *brokers[: number % len(brokers)]]
    replicas = (has + [broker for broker in turned if broker not in has])[:wanted]
    return {"topic": name, "partition": number, "replicas": replicas}


def _needs_wrong(
    settings: Settings, name: str, parts: Sequence[Mapping[str, Any]], needed: int
) -> list[TopicProblem]:
    """Return whether a write needs so few copies that it may be lost, or too many to be taken."""
    copies = _copies(parts)
    right = COPIES_OF_A_WRITE if copies >= ENOUGH_COPIES else 1
    told = f"{MIN_INSYNC} is {needed} with {amount(copies, 'copy', 'copies')}: "
    if needed > copies:
        told += NO_WRITES
    elif needed == copies > 1:
        told += "no write is taken while one of their brokers restarts"
    elif needed < right:
        told += "what one broker has acknowledged alone is lost with it"
    else:
        return []
    return [TopicProblem(name, told, alter_command(settings, name, MIN_INSYNC, str(right)))]


def _copies(parts: Iterable[Mapping[str, Any]]) -> int:
    return min(len(part["replicas"]) for part in parts)
