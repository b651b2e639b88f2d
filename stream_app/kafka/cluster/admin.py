"""Administration: the topics of the installation, created and listed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import (
    InvalidConfigurationError,
    InvalidReplicationFactorError,
    InvalidRequestError,
    KafkaConnectionError,
    KafkaError,
    NoError,
    PolicyViolationError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from stream_app.domain.errors import (
    ConfigurationError,
    KafkaRefusedError,
    KafkaUnreachableError,
    StreamAppError,
)
from stream_app.domain.reports.problems import amount
from stream_app.kafka.brokers.admin_client import ClusterAdminClient
from stream_app.kafka.brokers.cluster_client import ask_any, ask_each
from stream_app.kafka.cluster.connection import (
    connection_options,
    kafka_error,
    resolve_bootstrap,
)
from stream_app.kafka.cluster.requests import DescribeTopics
from stream_app.kafka.cluster.topics import (
    Topic,
    TopicNames,
    TopicSpec,
    copies_config,
    dry_run_mark,
    topic_specs,
)
from stream_app.kafka.sign_in.rights import PAGE
from stream_app.logs import get_logger
from stream_app.settings import Settings

log = get_logger(__name__)

PROBE_SECONDS = 10.0
#: The brokers may take this long to tell each other of new topics.
NEW_TOPICS_SECONDS = 30.0
POLL_SECONDS = 0.05
#: How clusters refuse a setting of a topic that only their owner may choose.
FORBIDDEN = (InvalidConfigurationError, PolicyViolationError, InvalidRequestError)
NO_ERROR = NoError, ""


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
        KafkaUnreachableError: no broker answers within `PROBE_SECONDS`, or no more.
        KafkaRefusedError: one refuses the sign-in, or the user has no right.
        StreamAppError: a broker refuses.
    """

    def __init__(self, settings: Settings) -> None:
        self._options = connection_options(settings)
        self._client: AIOKafkaAdminClient | None = None

    async def __aenter__(self) -> AIOKafkaAdminClient:
        """Connect."""
        client = ClusterAdminClient(**self._options, request_timeout_ms=round(PROBE_SECONDS * 1000))
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await client.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await client.close()
            raise self._error(error) from None
        except BaseException:
            await client.close()
            raise
        self._client = client
        return client

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Disconnect."""
        if self._client is not None:
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


async def partition_counts(client: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, int]:
    """Return the partition counts of those topics that exist.

    It asks for no others: to read what a cluster has of thousands of topics takes seconds. Its
    request creates none, where brokers create topics automatically. If a topic is missing, all
    brokers are asked: one learns of a new topic a moment after another.
    """
    rows = await _describe(client, names)
    return {row["topic"]: len(row["partitions"]) for row in rows if row["partitions"]}


async def require_visible(client: AIOKafkaAdminClient, missing: Iterable[str]) -> None:
    """Check that topics that were not found are really not there: the user may not see them.

    Raises:
        TopicAuthorizationFailedError: it may not see one; `Admin` makes it a KafkaRefusedError.
    """
    for row in await _describe(client, missing):
        if row["error_code"] == TopicAuthorizationFailedError.errno:
            raise TopicAuthorizationFailedError(row["topic"])


async def _describe(client: AIOKafkaAdminClient, names: Iterable[str]) -> list[dict[str, Any]]:
    """Return what is told of topics; if one is missing, by the broker that knows it."""
    cluster = client._client  # noqa: SLF001 - sends our own request
    asked = list(dict.fromkeys(names))
    rows: list[dict[str, Any]] = (await ask_any(cluster, DescribeTopics(asked))).to_object()[
        "topics"
    ]
    if all(row["partitions"] for row in rows):
        return rows
    known = {row["topic"]: row for row in rows}
    for answer in await ask_each(cluster, DescribeTopics(asked)):
        known |= {row["topic"]: row for row in answer.to_object()["topics"] if row["partitions"]}
    return list(known.values())


async def contract_counts(
    client: AIOKafkaAdminClient, settings: Settings, *others: str
) -> dict[str, int]:
    """Return the partition counts of an installation's topics, a dry run's mark, and `others`."""
    names = [spec.name for spec in topic_specs(settings)]
    return await partition_counts(client, [*names, dry_run_mark(settings.topic_prefix), *others])


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


async def make_topics(
    client: AIOKafkaAdminClient, specs: Sequence[TopicSpec], copies: int
) -> list[TopicSpec]:
    """Make topics and wait for their leaders; return those that no other process made first.

    A cluster may forbid to say how many copies a write needs. Then the topics have its own setting.

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
    await _wait_for_topics(client, [spec.name for spec in specs])
    return [spec for spec in specs if spec.name not in known]


async def raise_partitions(client: AIOKafkaAdminClient, wanted: Mapping[str, int]) -> None:
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
    await _wait_for_topics(client, list(wanted))


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


async def _make(
    client: AIOKafkaAdminClient, specs: Sequence[TopicSpec], copies: int, more: Mapping[str, str]
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
    client: AIOKafkaAdminClient, name: str, copies: int, error: type[KafkaError], why: str
) -> StreamAppError:
    if error is TopicAuthorizationFailedError:
        return KafkaRefusedError(
            f"topic {name} cannot be made: the user lacks Create on it, or on the cluster: see "
            f"{PAGE}"
        )
    if error is InvalidReplicationFactorError:
        has = amount(len(client._client.cluster.brokers()), "broker")  # noqa: SLF001 - not public
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


def _missing(settings: Settings, counts: dict[str, int]) -> list[TopicSpec]:
    """Return the missing topics; in the pair with equal partitions, one follows the other."""
    pair = equal_pair(settings)
    found = [counts[name] for name in pair if name in counts]
    specs = [spec for spec in topic_specs(settings) if spec.name not in counts]
    mark, known = dry_run_mark(settings.topic_prefix), topic_specs(settings)
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


def equal_pair(settings: Settings) -> tuple[str, str]:
    """Return the names of the two topics that must have the same number of partitions."""
    names = TopicNames(settings.topic_prefix)
    return names(Topic.DELIVERIES), names(Topic.RESULTS)


async def _wait_for_topics(client: AIOKafkaAdminClient, names: list[str]) -> None:
    """Wait until all brokers know the topics, because a send to an unknown one can hang.

    Raises:
        TimeoutError: they do not know them in time; `Admin` makes it a KafkaUnreachableError.
    """
    asked = DescribeTopics(names)
    async with asyncio.timeout(NEW_TOPICS_SECONDS):
        while True:
            answers = await ask_each(client._client, asked)  # noqa: SLF001 - sends our own request
            if all(map(_are_led, answers)):
                return
            await asyncio.sleep(POLL_SECONDS)


def _are_led(answer: Any) -> bool:
    """Tell whether all partitions of the described topics have their leader."""
    return all(
        not row["error_code"]
        and row["partitions"]
        and all(part["leader"] >= 0 for part in row["partitions"])
        for row in answer.to_object()["topics"]
    )


async def delete_topics(client: AIOKafkaAdminClient, names: Sequence[str]) -> None:
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
    asked = DescribeTopics(list(names))
    async with asyncio.timeout(NEW_TOPICS_SECONDS):
        while True:
            answers = await ask_each(client._client, asked)  # noqa: SLF001 - sends our own request
            if not any(row["partitions"] for one in answers for row in one.to_object()["topics"]):
                return
            await asyncio.sleep(POLL_SECONDS)


async def list_topics(settings: Settings) -> list[TopicView]:
    """Return the topics of the contract as the cluster has them."""
    async with Admin(settings) as client:
        counts = await contract_counts(client, settings)
        specs = topic_specs(settings)
        await require_visible(client, [spec.name for spec in specs if spec.name not in counts])
    return [
        TopicView(spec.name, spec.key, counts.get(spec.name, 0), spec.partitions)
        for spec in topic_specs(settings)
    ]
