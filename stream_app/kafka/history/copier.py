"""Copying records to another installation: their bytes, in the order of each partition.

The producer is idempotent, and each acknowledged record is known. So an interrupted copy continues
where it stopped: nothing is left out, and nothing is copied twice.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from stream_app.domain.errors import KafkaUnreachableError, error_text
from stream_app.domain.replay.time_shift import TimeShifter
from stream_app.kafka.cluster.connection import connect_producer, connection_options
from stream_app.kafka.cluster.topics import Topic
from stream_app.kafka.history.copy_target import Target
from stream_app.kafka.history.event_log import EventLog
from stream_app.kafka.history.time_order import Placed, in_time_order
from stream_app.settings import Settings

#: Largest batch in bytes, if the topic takes that much.
_BATCH_BYTES = 512 * 1024
#: Most chunks, of one fetch at most each, that may wait for the broker.
_MAX_CHUNKS = 8
#: After an interruption the broker has this long to acknowledge what was sent.
_STOP_SECONDS = 10.0


@dataclass
class Copied:
    """What has been copied and acknowledged.

    `following` is the first offset of each partition that is not copied yet. `too_large` counts
    records that the target's topic does not take, and `untouched` counts, by topic, the parts of
    records that could not be shifted.
    """

    records: Counter[str] = field(default_factory=Counter)
    untouched: Counter[str] = field(default_factory=Counter)
    too_large: int = 0
    following: dict[TopicPartition, int] = field(default_factory=dict)


@dataclass
class _Chunk:
    """Records that were handed to the producer together."""

    records: Counter[str]
    following: dict[TopicPartition, int]
    sent: list[asyncio.Future[Any]]


class Copier:
    """Copies the selected part of a log. Use it with `async with`.

    Args:
        settings: of the installation that is read.
        log: the part of its topics that is copied.
        topics: the topics by their full names.
        target: where the copies go.
        shifters: by full name, for the topics whose events are moved in time.
        seconds: how far they are moved.
    """

    def __init__(
        self,
        settings: Settings,
        log: EventLog,
        topics: Mapping[str, Topic],
        target: Target,
        shifters: Mapping[str, TimeShifter],
        seconds: int,
    ) -> None:
        self.copied = Copied(following={tp: span.start for tp, span in log.spans.items()})
        self._settings = settings
        self._log = log
        self._topics = topics
        self._target = target
        self._shifters = shifters
        self._seconds = seconds
        self._chunks: deque[_Chunk] = deque()
        self._by_key = DefaultPartitioner()
        #: Topics that have the same number of partitions in both installations.
        self._same = {
            name
            for name, topic in topics.items()
            if target.partitions[topic] == log.spans.partition_count(name)
        }
        self._producer = AIOKafkaProducer(
            **connection_options(settings),
            acks="all",
            enable_idempotence=True,
            linger_ms=5,
            # No larger than any topic takes, or small records are refused with their batch.
            max_batch_size=min(*target.largest_bytes.values(), _BATCH_BYTES),
            max_request_size=max(*target.largest_bytes.values(), _BATCH_BYTES),
        )

    async def __aenter__(self) -> Self:
        """Connect."""
        await connect_producer(self._settings, self._producer)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._producer.stop()

    async def copy(self, report: Callable[[int], None]) -> None:
        """Copy everything; if interrupted, wait for the records that are on their way.

        Raises:
            KafkaUnreachableError: the broker has not acknowledged a record.
        """
        try:
            async for chunk in self._in_order(report):
                await self._send(chunk)
                while len(self._chunks) > _MAX_CHUNKS:
                    await self._acknowledged()
            while self._chunks:
                await self._acknowledged()
            self.copied.following = {tp: span.end for tp, span in self._log.spans.items()}
        except asyncio.CancelledError:
            waiting = [sent for chunk in self._chunks for sent in chunk.sent]
            if waiting:
                await asyncio.wait(waiting, timeout=_STOP_SECONDS)
            raise
        except KafkaError as error:
            raise KafkaUnreachableError(
                f"the broker did not acknowledge a record ({error_text(error)}): some "
                "of those behind what is said to be copied may be there, too"
            ) from error
        finally:
            self._settle()

    async def _in_order(self, report: Callable[[int], None]) -> AsyncIterator[Sequence[Placed]]:
        """Yield the records of each partition in order, or all by time if partitions mix."""
        if len(self._same) == len(self._topics):
            async for tp, records, _ in self._log.batches(report):
                yield [(tp, record) for record in records]
            return
        async for placed in in_time_order(self._log, report):
            yield placed

    async def _send(self, chunk: Sequence[Placed]) -> None:
        """Hand records to the producer."""
        if not chunk:
            return
        places: defaultdict[tuple[str, int], list[Any]] = defaultdict(list)
        for tp, record in chunk:
            places[tp.topic, self._partition(tp, record)].append(record)
        sent, counts = [], Counter[str]()
        for (name, partition), records in places.items():
            topic = self._topics[name]
            for batch in self._batches(name, records):
                counts[name] += batch.record_count()
                sent.append(
                    await self._producer.send_batch(
                        batch, self._target.name(topic), partition=partition
                    )
                )
        following = {tp: record.offset + 1 for tp, record in chunk}
        self._chunks.append(_Chunk(counts, following, sent))
        self._settle()

    def _batches(self, name: str, records: Sequence[Any]) -> list[Any]:
        """Return closed batches of records, without those that the topic would not take."""
        largest = self._target.largest_bytes[self._topics[name]]
        batches: list[Any] = []
        batch = self._producer.create_batch()
        for record in records:
            if not self._append(batch, name, record):
                batches.append(batch)
                batch = self._producer.create_batch()
                self._append(batch, name, record)
        batches.append(batch)
        for batch in batches:
            batch.close()
        fitting = [batch for batch in batches if batch.size() <= largest]
        self.copied.too_large += sum(b.record_count() for b in batches if b.size() > largest)
        return fitting

    def _append(self, batch: Any, name: str, record: Any) -> bool:
        value, moment_ms = record.value, record.timestamp
        if (shifter := self._shifters.get(name)) is not None:
            value, untouched = shifter.shift(value, self._seconds)
            self.copied.untouched[name] += untouched
            moment_ms += self._seconds * 1000
        # The timestamp counts only if the owner of the topic has chosen CreateTime.
        found = batch.append(
            timestamp=max(0, moment_ms),
            key=record.key,
            value=value,
            headers=list(record.headers),
        )
        return found is not None

    def _partition(self, tp: TopicPartition, record: Any) -> int:
        """Return the partition of a copy: the same, or by its key if the counts differ."""
        if tp.topic in self._same:
            return int(tp.partition)
        count = self._target.partitions[self._topics[tp.topic]]
        if record.key is None:
            return int(tp.partition) % count
        return int(self._by_key(record.key, range(count), ()))

    async def _acknowledged(self) -> None:
        """Wait for the oldest chunk.

        Cancelling this does not cancel the sends: they are on their way, and `copy` waits for them.
        """
        sent = self._chunks[0].sent
        await asyncio.wait(sent)
        for one in sent:
            one.result()
        self._settle()

    def _settle(self) -> None:
        """Note the chunks that are acknowledged, up to the first one that is not."""
        while self._chunks and all(map(_is_acknowledged, self._chunks[0].sent)):
            chunk = self._chunks.popleft()
            self.copied.records += chunk.records
            self.copied.following |= chunk.following


def _is_acknowledged(sent: asyncio.Future[Any]) -> bool:
    return sent.done() and not sent.cancelled() and sent.exception() is None
