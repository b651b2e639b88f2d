"""Asking the cluster: the admin client, and which topics there are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAuthorizationFailedError

from stream_app.domain.errors import KafkaUnreachableError, StreamAppError
from stream_app.kafka.brokers.admin_client import ClusterAdminClient
from stream_app.kafka.brokers.cluster_client import ask_each
from stream_app.kafka.cluster.connection import (
    connection_options,
    kafka_error,
    resolve_bootstrap,
)
from stream_app.kafka.cluster.requests import DescribeTopics
from stream_app.kafka.cluster.topic_metadata import DescribedTopics, describe_topics
from stream_app.kafka.cluster.topics import topic_specs
from stream_app.settings import Settings

PROBE_SECONDS = 10.0


@dataclass(frozen=True)
class TopicView:
    """A topic of the contract as the cluster has it; it has 0 partitions if it does not exist."""

    topic: str
    key: str
    partitions: int
    wanted_partitions: int


class Admin:
    """An admin client that raises our errors.

    Raises:
        ConfigurationError: a setting of the connection cannot be used.
        KafkaUnreachableError: no broker answers within `PROBE_SECONDS`, or they stop answering.
        KafkaRefusedError: one refuses the sign-in, or the user has no right.
        StreamAppError: a broker refuses.
    """

    def __init__(self, settings: Settings) -> None:
        self._options = connection_options(settings)
        self._client: ClusterAdminClient

    async def __aenter__(self) -> ClusterAdminClient:
        """Connect."""
        timeout_ms = round(PROBE_SECONDS * 1000)
        self._client = ClusterAdminClient(**self._options, request_timeout_ms=timeout_ms)
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self._client.start()
        except BaseException as error:
            await self.__aexit__(None, error, None)
            raise
        return self._client

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Disconnect."""
        await self._client.close()
        if isinstance(error, KafkaError | OSError | TimeoutError):
            raise self._error(error) from error

    def _error(self, error: Exception) -> StreamAppError:
        where = self._options["bootstrap_servers"]
        if (found := kafka_error(where, error)) is not None:
            return found
        # What happened with each address, if the error says so.
        told = "; ".join(map(str, error.args)) if isinstance(error, KafkaConnectionError) else ""
        return KafkaUnreachableError(
            f"no Kafka answers at {where} "
            f"({told or type(error).__name__}): "
            "check that it runs and that STREAM_APP_KAFKA__BOOTSTRAP_SERVERS and "
            "STREAM_APP_KAFKA__SECURITY_PROTOCOL are right"
        )


async def probe(settings: Settings) -> str:
    """Return the brokers' address if one of them answers.

    Raises:
        KafkaUnreachableError: none answers.
    """
    async with Admin(settings):
        return resolve_bootstrap(settings)


async def partition_counts(client: ClusterAdminClient, names: Iterable[str]) -> dict[str, int]:
    """Return the partition counts of those topics that exist.

    It asks for no others: to read about thousands of topics takes seconds. Its
    request creates none, where brokers create topics automatically. If a topic is missing, all
    brokers are asked: one learns of a new topic a moment after another.
    """
    rows = await _describe(client, names)
    return {row["topic"]: len(row["partitions"]) for row in rows if row["partitions"]}


async def require_visible(client: ClusterAdminClient, missing: Iterable[str]) -> None:
    """Check that topics that were not found do not exist: the user may lack the right to see them.

    Raises:
        TopicAuthorizationFailedError: it may not see one; `Admin` makes it a KafkaRefusedError.
    """
    for row in await _describe(client, missing):
        if row["error_code"] == TopicAuthorizationFailedError.errno:
            raise TopicAuthorizationFailedError(row["topic"])


async def _describe(client: ClusterAdminClient, names: Iterable[str]) -> DescribedTopics:
    """Return what the brokers say about topics; if one misses a topic, another may know it."""
    asked = list(dict.fromkeys(names))
    rows = await describe_topics(client.kafka, asked)
    if all(row["partitions"] for row in rows):
        return rows
    known = {row["topic"]: row for row in rows}
    for answer in await ask_each(client.kafka, DescribeTopics(asked)):
        known |= {row["topic"]: row for row in answer.to_object()["topics"] if row["partitions"]}
    return list(known.values())


async def contract_counts(
    client: ClusterAdminClient, settings: Settings, *others: str
) -> dict[str, int]:
    """Return the partition counts of an installation's topics, a dry run's mark, and `others`."""
    names = [spec.name for spec in topic_specs(settings)]
    return await partition_counts(client, [*names, settings.names.dry_run_mark, *others])


async def visible_counts(
    client: ClusterAdminClient, settings: Settings, *others: str
) -> dict[str, int]:
    """Return `contract_counts`; a topic of the contract that has none really does not exist.

    Raises:
        TopicAuthorizationFailedError: as `require_visible`.
    """
    counts = await contract_counts(client, settings, *others)
    await require_visible(client, [s.name for s in topic_specs(settings) if s.name not in counts])
    return counts


async def partition_leaders(
    settings: Settings, topics: Sequence[str]
) -> dict[tuple[str, int], int]:
    """Return the id of the broker that leads each partition of existing topics."""
    async with Admin(settings) as client:
        rows = await client.describe_topics(list(topics))
    return {
        (row["topic"], part["partition"]): part["leader"]
        for row in rows
        for part in row["partitions"]
    }


async def list_topics(settings: Settings) -> list[TopicView]:
    """Return the topics of the contract as the cluster has them."""
    async with Admin(settings) as client:
        counts = await visible_counts(client, settings)
    return [
        TopicView(spec.name, spec.key, counts.get(spec.name, 0), spec.partitions)
        for spec in topic_specs(settings)
    ]
