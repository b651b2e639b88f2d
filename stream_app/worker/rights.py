"""Whether a worker may read and write its topics, asked before it begins (KIP-430).

Otherwise a missing right would show only when it is needed: the right to write alerts, for example,
at the first alert. Whether it may join its group shows at once (`group_error` of its consumer).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiokafka.errors import TopicAuthorizationFailedError

from stream_app.domain.errors import KafkaRefusedError
from stream_app.kafka.cluster.admin import Admin
from stream_app.kafka.cluster.connection import resolve_bootstrap
from stream_app.kafka.cluster.topic_metadata import describe_topics
from stream_app.kafka.sign_in.rights import PAGE
from stream_app.settings import Settings

#: Kafka's numbers of operations: the bits of what a broker says a user may do.
READ, WRITE = 3, 4
#: A broker that does not tell says this.
_NOT_TOLD = -(2**31)


async def require_rights(settings: Settings, reads: Sequence[str], writes: Sequence[str]) -> None:
    """Check that a worker may read and write its topics.

    Args:
        settings: those of the installation.
        reads: full names of the topics that it reads; those that do not exist are passed over.
        writes: the same for those that it writes.

    Raises:
        KafkaRefusedError: a right is missing; the error names all of them.
        KafkaUnreachableError: no broker answers.
    """
    async with Admin(settings) as client:
        asked = list(dict.fromkeys((*reads, *writes)))
        told = await describe_topics(client.kafka, asked, with_operations=True)
        rows = {row["topic"]: row for row in told}
        lacking = [
            f"{name} on topic {topic}"
            for name, number, topics in (("Read", READ, reads), ("Write", WRITE, writes))
            for topic in topics
            if _lacks(rows[topic], number)
        ]
    if lacking:
        raise KafkaRefusedError(
            f"Kafka at {resolve_bootstrap(settings)} refuses: the user lacks {', '.join(lacking)}: "
            f"see {PAGE}"
        )


def _lacks(row: dict[str, Any], number: int) -> bool:
    if row["error_code"]:
        return bool(row["error_code"] == TopicAuthorizationFailedError.errno)
    allowed = row.get("authorized_operations", _NOT_TOLD)
    return bool(allowed != _NOT_TOLD and not allowed >> number & 1)
