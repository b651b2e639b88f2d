"""Reading the newest records of topics, up to a bound; the result says what was left out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stream_app.kafka.cluster.connection import CONNECT_SECONDS
from stream_app.kafka.cluster.consumers import (
    end_offsets,
    reading,
    records_to_end,
    seek_to_time,
)

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    from stream_app.settings import Settings

#: Called with the number of records that are read, and the number of all that will be read.
ReportRead = Callable[[int, int], None]
_PROGRESS_EVERY = 5000


@dataclass(frozen=True)
class Reach:
    """How much has been read.

    If there are older records that were left out, `cut_ms` (Unix ms) is the time where the read
    began; None says that everything asked for has been read. `cut_topics` are theirs.
    """

    records: int
    cut_ms: int | None = None
    cut_topics: frozenset[str] = frozenset()


def fair_cap(sizes: Collection[int], most: int) -> int:
    """Return the most records of one partition, so that all together have at most `most`.

    Small partitions are read completely, and leave the rest of their share to the large ones.
    """
    left = most
    for place, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - place)
        if size > share:
            return share
        left -= size
    return max(sizes, default=0)


async def read_newest(
    settings: Settings,
    topics: Sequence[str],
    take: Callable[[Any], None],
    *,
    most: int,
    since_ms: int | None = None,
    progress: ReportRead = lambda _read, _all: None,
) -> Reach:
    """Hand the newest records of topics to `take`, in the order of each partition.

    Args:
        settings: those of the installation.
        topics: their full names.
        take: called with each record.
        most: most records in all; older ones are left out.
        since_ms: only records with this time or a later one, Unix ms.
        progress: called now and then.

    Raises:
        KafkaUnreachableError: no broker answers, or they stop answering.
        TopicMismatchError: a topic is missing.
    """
    async with reading(settings, topics) as consumer:
        total, cut = await _seek_start(consumer, most, since_ms)
        read, oldest = 0, dict.fromkeys(cut, 0)
        progress(0, total)
        async for record in records_to_end(consumer):
            partition = (record.topic, record.partition)
            if oldest.get(partition) == 0:
                oldest[partition] = record.timestamp
            take(record)
            read += 1
            if read % _PROGRESS_EVERY == 0:
                progress(read, total)
        progress(read, max(read, total))
    cut_topics = frozenset(topic for topic, _ in cut)
    return Reach(read, max(oldest.values(), default=None), cut_topics)


async def _seek_start(
    consumer: AIOKafkaConsumer, most: int, since_ms: int | None
) -> tuple[int, set[tuple[str, int]]]:
    """Seek where the read begins; return how many records follow, and the partitions cut short."""
    if since_ms is not None:
        await seek_to_time(consumer, since_ms)
    ends = await end_offsets(consumer, CONNECT_SECONDS)
    starts: dict[TopicPartition, int] = await consumer.beginning_offsets(list(ends))
    if since_ms is not None:
        starts = {partition: await consumer.position(partition) for partition in ends}
    sizes = {partition: max(0, end - starts[partition]) for partition, end in ends.items()}
    cap = fair_cap(sizes.values(), most)
    cut = {partition for partition, size in sizes.items() if size > cap}
    for partition in cut:
        consumer.seek(partition, ends[partition] - cap)
    return sum(min(size, cap) for size in sizes.values()), cut
