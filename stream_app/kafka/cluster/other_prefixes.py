"""Missing topics, and the prefixes of other installations, for whoever has set a wrong one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream_app.domain.errors import TopicMismatchError
from stream_app.domain.reports.problems import no_topics_problem
from stream_app.domain.topics import prefixes_of
from stream_app.kafka.cluster.admin import Admin, contract_counts, partition_counts, require_visible
from stream_app.kafka.cluster.topics import topic_specs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stream_app.settings import Settings


async def other_prefixes(settings: Settings) -> list[str]:
    """Return the prefixes of the installations that this user may see; it lists all topics.

    One that lacks only a dot, or has one too many, comes first: it is probably the one meant.
    """
    async with Admin(settings) as client:
        found = prefixes_of(await client.list_topics())
    own = settings.topic_prefix.rstrip(".")
    others = [prefix for prefix in found if prefix != settings.topic_prefix]
    return sorted(others, key=lambda prefix: prefix.rstrip(".") != own)


async def require_topics(settings: Settings, topics: Sequence[str]) -> dict[str, int]:
    """Return how many partitions each topic has; the names are full ones.

    Raises:
        TopicMismatchError: one does not exist.
        KafkaRefusedError: the user may not see one of them.
    """
    async with Admin(settings) as client:
        found = await partition_counts(client, topics)
    if missing := [topic for topic in topics if topic not in found]:
        raise await missing_topics_error(settings, missing)
    return found


async def missing_topics_error(settings: Settings, missing: Sequence[str]) -> TopicMismatchError:
    """Return the error for topics that were not found.

    If the installation has none at all, it is probably not the one that is meant: to make its
    topics would then be wrong.

    Args:
        settings: those of the installation.
        missing: full names, one or more.

    Raises:
        KafkaRefusedError: the user may not see one of them.
    """
    async with Admin(settings) as client:
        await require_visible(client, missing)
        counts = await contract_counts(client, settings)
    names = [spec.name for spec in topic_specs(settings)]
    if not any(name in counts for name in names):
        others = [name for name in names if name != missing[0]]
        problem = no_topics_problem([missing[0], *others], await other_prefixes(settings))
        return TopicMismatchError(f"{problem.what}: {problem.next_step}")
    are = "topic {} is" if len(missing) == 1 else "topics {} are"
    return TopicMismatchError(
        f"{are.format(', '.join(missing))} missing: make what is missing with `stream-app topics "
        "create`"
    )
