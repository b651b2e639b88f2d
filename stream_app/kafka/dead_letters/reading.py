"""Reads dead letters, all of a topic or selected ones, in the order of their time.

There are two passes, so that memory does not grow with the size of the dead letters. `survey` reads
everything and keeps a few numbers for each selected one. Only then is it known which of them are
done, because their marks come later in the topic. `read` reads the others again, one by one.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from typing import TYPE_CHECKING, Any, Self

from aiokafka import TopicPartition

from stream_app.domain.dead_letters.dead_letter import DeadLetter, DeadLetterKind, Log, Place
from stream_app.kafka.cluster.connection import CONNECT_SECONDS, READ_SECONDS, kafka_errors
from stream_app.kafka.cluster.consumers import (
    close,
    open_topics,
    records_to_end,
    seek_to_time,
)
from stream_app.kafka.cluster.topics import DEAD_LETTER_SOURCES, Topic, TopicNames
from stream_app.kafka.dead_letters.writing import (
    REASON_HEADER,
    REDRIVEN_HEADER,
    TARGET_HEADER,
    attempt_of,
    integrations_of,
    number_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from aiokafka import AIOKafkaConsumer

    from stream_app.domain.dead_letters.dead_letter_index import DeadLetterIndex
    from stream_app.settings import Settings

_POLL_MS = 200
#: Records of one partition that are held at a time.
_CHUNK = 500
_KINDS = {Topic.ALERTS: DeadLetterKind.ALERT, Topic.DELIVERIES: DeadLetterKind.DELIVERY}


def sources_of(settings: Settings) -> dict[str, Topic]:
    """Return the source topic of each dead-letter topic, by its full name."""
    names = TopicNames(settings.topic_prefix)
    return {names.dead_letters(topic): topic for topic in DEAD_LETTER_SOURCES}


class DeadLetterLog:
    """The dead letters of some topics, read without a group.

    Raises:
        KafkaUnreachableError: the broker doesn't answer, or no more.
        TopicMismatchError: a topic is missing.
    """

    def __init__(self, settings: Settings, topics: Sequence[str]) -> None:
        self._settings = settings
        self._topics = topics
        self._sources = sources_of(settings)
        #: There is one inside the `async with`.
        self._reader: AIOKafkaConsumer

    async def __aenter__(self) -> Self:
        """Connect."""
        self._reader = await open_topics(self._settings, self._topics)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await close(self._reader)

    async def survey(self, index: DeadLetterIndex) -> None:
        """Read the dead letters and the marks into an index."""
        selection = index.selection
        async with kafka_errors(self._settings):
            if selection.places:
                await self._seek_to_places(selection.places)
            elif selection.since_ms is not None:
                await seek_to_time(self._reader, selection.since_ms)
            async for record in records_to_end(self._reader):
                index_record(index, record, self._sources)
        index.share_targets()

    async def read(self, offsets: Mapping[Log, Sequence[int]]) -> AsyncIterator[DeadLetter]:
        """Yield the dead letters at these offsets of partitions, the oldest first.

        Those of one partition keep their order, whatever their times say.
        """
        streams = []
        for log, wanted in offsets.items():
            self._reader.seek(TopicPartition(*log), wanted[0])
            streams.append(self._of_log(log, wanted))
        heads: list[tuple[int, int, DeadLetter]] = []
        for number, stream in enumerate(streams):
            await _advance(heads, number, stream)
        while heads:
            _, number, dead_letter = heapq.heappop(heads)
            yield dead_letter
            await _advance(heads, number, streams[number])

    async def _of_log(self, log: Log, offsets: Sequence[int]) -> AsyncIterator[DeadLetter]:
        partition, wanted, last = TopicPartition(*log), frozenset(offsets), offsets[-1]
        async with kafka_errors(self._settings), asyncio.timeout(READ_SECONDS) as patience:
            position = -1
            while position <= last:
                fetched = await self._reader.getmany(
                    partition, timeout_ms=_POLL_MS, max_records=_CHUNK
                )
                records = [r for r in fetched.get(partition, ()) if r.offset in wanted]
                for record in records:
                    # The caller may take long with a dead letter.
                    patience.reschedule(None)
                    yield _dead_letter(record, self._sources)
                if fetched:
                    patience.reschedule(asyncio.get_running_loop().time() + READ_SECONDS)
                position = await self._reader.position(partition)

    async def _seek_to_places(self, places: Iterable[Place]) -> None:
        """Seek the first place in each partition, and the end of partitions without one."""
        first: dict[TopicPartition, int] = {}
        for place in sorted(places):
            first.setdefault(TopicPartition(*place.log), place.offset)
        async with asyncio.timeout(CONNECT_SECONDS):
            partitions = self._reader.assignment()
            ends = await self._reader.end_offsets(partitions)
            starts = await self._reader.beginning_offsets(partitions)
        for partition, end in ends.items():
            offset = max(first.get(partition, end), starts[partition])
            self._reader.seek(partition, min(offset, end))


def index_record(index: DeadLetterIndex, record: Any, sources: Mapping[str, Topic]) -> None:
    """Add a record of a dead-letter topic to an index; `sources` are those of `sources_of`."""
    if is_mark(record):
        offset = number_of(record.headers, REDRIVEN_HEADER)
        if offset is not None:
            index.note_mark(_place(record), offset, _text(dict(record.headers), TARGET_HEADER))
    else:
        index.add_if_selected(_dead_letter(record, sources))


def _dead_letter(record: Any, sources: Mapping[str, Topic]) -> DeadLetter:
    return dead_letter_of(record, _KINDS.get(sources[record.topic], DeadLetterKind.EVENT))


async def _advance(
    heads: list[tuple[int, int, DeadLetter]], number: int, stream: AsyncIterator[DeadLetter]
) -> None:
    """Push the next dead letter of a stream onto the heap, if there is one."""
    with contextlib.suppress(StopAsyncIteration):
        dead_letter = await anext(stream)
        heapq.heappush(heads, (dead_letter.timestamp_ms, number, dead_letter))


def is_mark(record: Any) -> bool:
    """Tell whether a record of a dead-letter topic marks a dead letter as done."""
    names = {name for name, _ in record.headers}
    return REDRIVEN_HEADER in names and REASON_HEADER not in names


def dead_letter_of(record: Any, kind: DeadLetterKind) -> DeadLetter:
    """Return a record of a dead-letter topic as a dead letter."""
    headers = record.headers
    texts = dict(headers)
    topic = _text(texts, "x-original-topic")
    partition = number_of(headers, "x-original-partition")
    offset = number_of(headers, "x-original-offset")
    has_place = topic and partition is not None and offset is not None
    return DeadLetter(
        kind=kind,
        place=_place(record),
        timestamp_ms=record.timestamp,
        key=record.key,
        value=record.value,
        headers=headers,
        reason=_text(texts, REASON_HEADER),
        message=_text(texts, "x-error-message"),
        attempt=attempt_of(headers),
        original=Place(topic, partition or 0, offset or 0) if has_place else None,
        original_ms=number_of(headers, "x-original-timestamp") or 0,
        event_index=number_of(headers, "x-event-index"),
        is_cut="x-original-size" in texts,
        still_for=integrations_of(headers),
        timestamp_type=record.timestamp_type,
    )


def _place(record: Any) -> Place:
    return Place(record.topic, record.partition, record.offset)


def _text(texts: Mapping[str, bytes | None], name: str) -> str:
    return (texts.get(name) or b"").decode(errors="backslashreplace")
