"""Records that are written and acknowledged, but hidden from readers by an open transaction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from aiokafka.client import AIOKafkaClient

from stream_app.domain.errors import HiddenWriteError
from stream_app.kafka.cluster.connection import resolve_bootstrap
from stream_app.kafka.cluster.topic_metadata import PartitionId, stable_ends, topic_metadata
from stream_app.settings import Settings

#: Longest time that a command waits until its records can be read.
SEEN_SECONDS = 10.0
_POLL_SECONDS = 0.2


async def wait_until_seen(
    settings: Settings, client: AIOKafkaClient, written: Mapping[PartitionId, int]
) -> None:
    """Wait until readers of committed records can see what has been written.

    Args:
        settings: those of the installation.
        client: a connected client.
        written: the last written offset of each partition.

    Raises:
        HiddenWriteError: a transaction that stays open hides a record.
    """
    deadline = time.monotonic() + SEEN_SECONDS
    while True:
        facts = await topic_metadata(client, sorted({topic for topic, _ in written}))
        ends = await stable_ends(client, written, facts)
        hidden = [at for at, offset in sorted(written.items()) if ends.get(at, 0) <= offset]
        if not hidden:
            return
        if time.monotonic() >= deadline:
            break
        await asyncio.sleep(_POLL_SECONDS)
    place = hidden[0]
    topic, partition = place
    if place not in ends:
        raise HiddenWriteError(
            f"it is written, but nobody knows whether it is in force: {topic} partition "
            f"{partition} does not tell its end. Run `stream-app status`"
        )
    raise HiddenWriteError(
        f"it is written, but not in force: a transaction that is open at offset {ends[place]} of "
        f"{topic} partition {partition} hides what comes behind it from all workers. It is in "
        f"force as soon as that ends: {how_to_end(settings, place, ends[place])}"
    )


def how_to_end(settings: Settings, place: PartitionId, offset: int) -> str:
    """Return what to do about a transaction that is open from this offset on."""
    tool = f"kafka-transactions.sh --bootstrap-server {resolve_bootstrap(settings)}"
    where = "--topic {} --partition {}".format(*place)
    return (
        f"wait until its producer ends it, or it times out; if the producer is gone: {tool} abort "
        f"{where} --start-offset {offset}"
    )
