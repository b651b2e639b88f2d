"""Making topics, giving them more partitions, and deleting them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aiokafka.admin import NewPartitions, NewTopic
from aiokafka.errors import (
    InvalidConfigurationError,
    InvalidReplicationFactorError,
    InvalidRequestError,
    KafkaError,
    NoError,
    PolicyViolationError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from stream_app.domain.errors import ConfigurationError, KafkaRefusedError, StreamAppError
from stream_app.domain.reports.problems import amount
from stream_app.kafka.brokers.admin_client import ClusterAdminClient
from stream_app.kafka.brokers.cluster_client import ask_each
from stream_app.kafka.cluster.admin import Admin, contract_counts, partition_counts, require_visible
from stream_app.kafka.cluster.requests import DescribeTopics
from stream_app.kafka.cluster.topics import (
    TopicSpec,
    copies_config,
    equal_pair,
    topic_specs,
)
from stream_app.kafka.sign_in.rights import PAGE
from stream_app.logs import get_logger
from stream_app.settings import Settings

log = get_logger(__name__)

#: The brokers may take this long to tell each other of new topics.
NEW_TOPICS_SECONDS = 30.0
POLL_SECONDS = 0.05
#: How clusters refuse a setting of a topic that only their owner may choose.
FORBIDDEN = (InvalidConfigurationError, PolicyViolationError, InvalidRequestError)
NO_ERROR = NoError, ""


async def create_topics(settings: Settings, *, dry_run: bool = False) -> list[TopicSpec]:
    """Make the topics that do not exist; return those that were, or would be, made.

    Raises:
        ConfigurationError: a dry run is asked for, but the topics belong to a live installation.
        StreamAppError: a broker refuses one of them.
    """
    async with Admin(settings) as client:
        missing = _missing(settings, await contract_counts(client, settings))
        await require_visible(client, [spec.name for spec in missing])
        if dry_run or not missing:
            return missing
        return await make_topics(client, missing, settings.kafka.replication_factor)


def _missing(settings: Settings, counts: dict[str, int]) -> list[TopicSpec]:
    """Return the missing topics; in the pair with equal partitions, one follows the other."""
    pair = equal_pair(settings)
    found = [counts[name] for name in pair if name in counts]
    specs = [spec for spec in topic_specs(settings) if spec.name not in counts]
    mark, known = settings.names.dry_run_mark, topic_specs(settings)
    if settings.dry_run and mark not in counts and len(specs) < len(known):
        name = next(spec.name for spec in known if spec.name in counts)
        raise ConfigurationError(
            f"STREAM_APP_DRY_RUN is true, but {name} belongs to an installation that sends: set "
            "STREAM_APP_TOPIC_PREFIX to a prefix of the dry run's own"
        )
    return [
        replace(spec, partitions=found[0]) if found and spec.name in pair else spec
        for spec in specs
    ]


async def make_topics(
    client: ClusterAdminClient, specs: Sequence[TopicSpec], copies: int
) -> list[TopicSpec]:
    """Make topics and wait for their leaders; return those that no other process made first.

    A cluster may forbid setting how many copies a write needs. Its own setting then applies.

    Raises:
        StreamAppError: a broker refuses one of them.
    """
    if not specs:
        return []
    refused = await _make(client, specs, copies, copies_config(copies))
    again = [s for s in specs if refused.get(s.name, NO_ERROR)[0] in FORBIDDEN]
    if again and copies_config(copies):
        log.warning(
            "min_insync_refused",
            topics=[spec.name for spec in again],
            why=refused[again[0].name][1],
            then="making them with the cluster's own setting: see `stream-app topics check`",
        )
        first = {spec.name for spec in again}
        refused = {name: why for name, why in refused.items() if name not in first}
        refused |= await _make(client, again, copies, {})
    known = {name for name, (error, _) in refused.items() if error is TopicAlreadyExistsError}
    for name, (error, why) in refused.items():
        if name not in known:
            raise _cannot_be_made(client, name, copies, error, why)
    await _wait_for_topics(client, [spec.name for spec in specs], _is_led)
    return [spec for spec in specs if spec.name not in known]


async def _make(
    client: ClusterAdminClient, specs: Sequence[TopicSpec], copies: int, more: Mapping[str, str]
) -> dict[str, tuple[type[KafkaError], str]]:
    """Make topics; return the error of each that was not made, and what the broker says."""
    response = await client.create_topics(
        [NewTopic(s.name, s.partitions, copies, topic_configs={**s.config, **more}) for s in specs]
    )
    return {
        name: (for_code(code), (text and text[0]) or "")
        for name, code, *text in response.topic_errors
        if code
    }


def _cannot_be_made(
    client: ClusterAdminClient, name: str, copies: int, error: type[KafkaError], why: str
) -> StreamAppError:
    if error is TopicAuthorizationFailedError:
        return KafkaRefusedError(
            f"topic {name} cannot be made: the user lacks Create on it, or on the cluster: see "
            f"{PAGE}"
        )
    if error is InvalidReplicationFactorError:
        has = amount(len(client.kafka.cluster.brokers()), "broker")
        return StreamAppError(
            f"topic {name} cannot be made: STREAM_APP_KAFKA__REPLICATION_FACTOR is {copies}, and "
            f"the cluster has {has} now ({why}): add brokers, start those that are away, or lower "
            "the setting"
        )
    return StreamAppError(
        f"topic {name} ({amount(copies, 'copy', 'copies')}) cannot be made: {error.__name__}: "
        f"{why}: check the cluster's rules, STREAM_APP_KAFKA__REPLICATION_FACTOR and "
        "STREAM_APP_PARTITIONS"
    )


async def raise_partitions(client: ClusterAdminClient, wanted: Mapping[str, int]) -> None:
    """Give topics more partitions, and wait for their leaders.

    Raises:
        KafkaRefusedError: the user lacks the right.
        StreamAppError: a broker refuses one of them.
    """
    if not wanted:
        return
    response = await client.create_partitions({n: NewPartitions(c) for n, c in wanted.items()})
    # Another process may have raised them just now, which the broker calls invalid.
    counts = await partition_counts(client, wanted)
    for name, code, *more in response.topic_errors:
        if not code or counts.get(name, 0) >= wanted[name]:
            continue
        text = f"topic {name} cannot get {wanted[name]} partitions"
        if code == TopicAuthorizationFailedError.errno:
            raise KafkaRefusedError(f"{text}: the user lacks Alter on it: see {PAGE}")
        raise StreamAppError(f"{text}: {for_code(code).__name__}: {more[0] if more else ''}")
    await _wait_for_topics(client, wanted, _is_led)


async def equalize_pair(settings: Settings, *, dry_run: bool = False) -> list[TopicSpec]:
    """Raise the smaller of the two topics that must have equally many partitions.

    Returns:
        The topic that was, or would be, raised, with its new number of partitions; or nothing.
    """
    pair = equal_pair(settings)
    async with Admin(settings) as client:
        counts = await partition_counts(client, pair)
        most = max(counts.values(), default=0)
        raised = {name: most for name, count in counts.items() if count < most}
        if not dry_run:
            await raise_partitions(client, raised)
    return [
        replace(spec, partitions=raised[spec.name])
        for spec in topic_specs(settings)
        if spec.name in raised
    ]


async def delete_topics(client: ClusterAdminClient, names: Sequence[str]) -> None:
    """Delete topics, and wait until no broker knows them any more.

    Raises:
        StreamAppError: the cluster refuses to delete one.
        TimeoutError: a broker still knows one; `Admin` makes it a KafkaUnreachableError.
    """
    response = await client.delete_topics(list(names))
    refused = [(row[0], for_code(row[1])) for row in response.topic_error_codes if row[1]]
    if refused:
        told = ", ".join(f"{name} ({error.__name__})" for name, error in refused)
        raise StreamAppError(
            f"the broker does not delete {told}: what was kept there is still there"
        )
    await _wait_for_topics(client, names, lambda row: not row["partitions"])


async def _wait_for_topics(
    client: ClusterAdminClient, names: Iterable[str], is_done: Callable[[dict[str, Any]], bool]
) -> None:
    """Wait until what every broker says about each topic passes a check.

    Raises:
        TimeoutError: they do not in time; `Admin` makes it a KafkaUnreachableError.
    """
    asked = DescribeTopics(list(names))
    async with asyncio.timeout(NEW_TOPICS_SECONDS):
        while True:
            answers = await ask_each(client.kafka, asked)
            if all(is_done(row) for answer in answers for row in answer.to_object()["topics"]):
                return
            await asyncio.sleep(POLL_SECONDS)


def _is_led(row: dict[str, Any]) -> bool:
    """Tell whether all partitions of a topic have their leader; a send to one without can hang."""
    parts = row["partitions"]
    return not row["error_code"] and bool(parts) and all(part["leader"] >= 0 for part in parts)
