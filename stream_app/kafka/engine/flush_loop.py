"""The loop of an agent that keeps state: take batches, flush, and acknowledge, in that order.

A flush is a list of *steps*: records to send, each step only when the broker has acknowledged
the one before. The last step is the progress of each partition. Only then are the batches
acknowledged, strictly in the order in which they came: Faust commits past an unacknowledged
batch when a later one is acknowledged.

A flush starts when no further batch waits. While batches keep coming, it starts after an interval
or a number of events, checked after each batch. A flush that would write much for the events taken
waits longer, within bounds, because further events may change the same records. It then also waits
for batches that are still at the broker. While a flush waits for the broker, the next batches are
taken; only one flush is in flight at a time. A stage may delay a flush that changes no answer yet;
two events followed by silence must alert at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterable, Collection, Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

from faust.types import TP

from stream_app.domain.formats import require_known_formats
from stream_app.kafka.engine.batched_sends import PartitionName
from stream_app.kafka.engine.flush import Flush, FlushLimits
from stream_app.kafka.engine.ownership import Ownership, run_beside
from stream_app.kafka.engine.record_batches import BatchValue
from stream_app.kafka.engine.stage import Stage
from stream_app.kafka.engine.time_slice import TimeSlice
from stream_app.kafka.records.unreadable_batches import UnreadableBatch
from stream_app.kafka.state.send import Send, Written

#: How often to look whether a batch has come, where a flush waits for one.
PAUSE_SECONDS = 0.005


class Positions(Protocol):
    """Where the consumer has its partitions."""

    @property
    def epoch(self) -> int:
        """How often the positions have been set."""

    @property
    def start_positions(self) -> Mapping[TP, int]:
        """What the positions were last set to."""

    def is_behind(self, topics: Collection[str]) -> bool:
        """Tell whether the broker had more of these topics at the last fetches."""

    def rewind(self, event: str, **facts: Any) -> None:
        """Read again from the progress on; `event` and `facts` are logged."""


class Producer(Protocol):
    """What the app sends for an agent, and the consumer that the agent's batches come from."""

    @property
    def consumer(self) -> Positions:
        """The app's consumer."""

    async def produce_step(self, step: Sequence[Send]) -> Mapping[PartitionName, list[int]]:
        """Send records and wait for the broker; return their offsets by topic and partition."""

    def unreadable_dead_letters(self, batch: UnreadableBatch) -> Sequence[Send]:
        """Return the dead letter of a batch; none where its topic has no dead letters."""


class FlushLoop:
    """Runs one stage on one agent's stream."""

    def __init__(
        self,
        producer: Producer,
        topics: Sequence[str],
        stage: Stage,
        ownership: Ownership,
        limits: FlushLimits,
    ) -> None:
        self.topics = tuple(topics)
        self._producer = producer
        self._stage = stage
        self._ownership = ownership
        self._limits = limits
        self._generation = -1
        self._taken: list[Any] = []
        self._events = 0
        #: Dead letters of batches that cannot be read.
        self._dead_letters: list[Send] = []
        self._last_cut = time.monotonic()
        self._in_flight: asyncio.Task[None] | None = None
        # Whether a batch is being taken, or the loop waits for more before a flush.
        self._is_taking = False
        # The batches that wait for this loop; None before it runs.
        self._waiting: asyncio.Queue[Any] | None = None
        # Where the next batch of each partition must start, in the consumer's epoch.
        self._epoch = -1
        self._next: dict[TP, int] = {}
        #: Number of records that are done, by topic: all that they caused is acknowledged.
        self.done: Counter[str] = Counter()

    async def run(self, stream: Any) -> None:
        """Take batches until the stream ends. Any error ends the process: see `Ownership`."""
        waiting = self._waiting = stream.channel.queue
        batches: AsyncIterable[Any] = stream.noack().events()
        async for event in batches:
            self._is_taking = True
            await self._take(event, waiting)
            self._is_taking = False

    async def _take(self, event: Any, waiting: asyncio.Queue[Any]) -> None:
        message = event.message
        if message.generation_id != self._generation:
            await self._begin(message.generation_id)
        if not self._is_current(message.generation_id):
            return  # the next owner of the partition reads it again
        value: BatchValue = event.value
        if self._is_next(message.tp, value):
            if value.records and not await self._take_records(message, value.records):
                return
            for batch in value.unreadable:
                self._stage.pass_over(message.topic, message.partition, batch)
                self._dead_letters += self._producer.unreadable_dead_letters(batch)
            self._taken.append(event)
            self._events += value.size
            value.release()
        elif not self._taken:
            return
        # If this batch was refused, the next may be long in coming: flush those before it.
        if not await self._takes_more(waiting):
            await self._flush()

    async def _take_records(self, message: Any, records: Sequence[Any]) -> bool:
        """Have the stage take a batch in time slices; False: a rebalance has come meanwhile.

        It has rolled back what was taken, or dropped it with its partition.

        Raises:
            NewerFormatError: a newer version has written a record; nothing of the batch is taken.
        """
        require_known_formats(message.topic, message.partition, records)
        table, time_slice = self._stage.table, TimeSlice()
        epoch = table.epoch
        for _ in self._stage.steps(message.topic, message.partition, records):
            await time_slice.end_step()
            if table.epoch != epoch:
                return False
        return True

    async def _takes_more(self, waiting: asyncio.Queue[Any]) -> bool:
        """Tell whether to take a further batch before the next flush; wait until that is clear."""
        while True:
            has_more = not waiting.empty()
            if has_more and not self._is_due():
                return True
            if self._is_flushing():
                if has_more and self._events < self._overtake_limit:
                    return True
                await self._wait_for_flush()
            elif has_more or not (self._is_early() or self._may_wait()):
                return False
            else:
                await asyncio.sleep(PAUSE_SECONDS)

    def _is_current(self, generation: int) -> bool:
        """Tell whether the states in memory are of `generation`, which still stands."""
        return self._stage.table.generation == generation and self._ownership.is_current(generation)

    def _is_next(self, partition: TP, value: BatchValue) -> bool:
        """Tell whether a batch follows the last one; if one is missing between them, read again."""
        consumer = self._producer.consumer
        if value.epoch != consumer.epoch:
            return False
        if value.epoch != self._epoch:
            self._epoch, self._next = value.epoch, dict(consumer.start_positions)
        expected = self._next.get(partition)
        if value.start != expected:
            consumer.rewind(
                "batch_missing",
                topic=partition.topic,
                partition=partition.partition,
                expected_offset=expected,
                found_offset=value.start,
            )
            return False
        self._next[partition] = value.end
        return True

    @property
    def is_idle(self) -> bool:
        """Tell whether no batch waits for this loop, and none is in it."""
        is_busy = self._is_taking or self._is_flushing()
        return self._waiting is None or (self._waiting.empty() and not is_busy)

    async def settled(self) -> None:
        """Wait until no flush is in flight."""
        if self._in_flight is not None:
            await asyncio.wait({self._in_flight})

    @property
    def _overtake_limit(self) -> int:
        return self._limits.overtake * self._limits.max_events

    def _is_due(self) -> bool:
        seconds = time.monotonic() - self._last_cut
        return self._limits.is_due(self._events, seconds, lambda: self._stage.changes)

    def _is_early(self) -> bool:
        """Tell whether the stage wants to flush later, together with more."""
        return time.monotonic() - self._last_cut < self._stage.hold_seconds

    def _may_wait(self) -> bool:
        """Tell whether to wait for a batch that is still at the broker."""
        return (
            self._limits.writes_much(self._events, self._stage.changes)
            and not self._is_due()
            and self._producer.consumer.is_behind(self.topics)
        )

    def _is_flushing(self) -> bool:
        return self._in_flight is not None and not self._in_flight.done()

    async def _wait_for_flush(self) -> None:
        """Wait until no flush is in flight; an error of that flush is raised here."""
        if self._in_flight is not None:
            task, self._in_flight = self._in_flight, None
            await task

    async def _begin(self, generation: int) -> None:
        """Start over after a rebalance: what was taken before it will be read again."""
        await self._wait_for_flush()
        self._taken, self._events, self._dead_letters = [], 0, []
        self._stage.reset()
        self._generation = generation

    async def _flush(self) -> None:
        await self._wait_for_flush()
        await self._stage.prepare()
        if not self._is_current(self._generation):
            return
        flush = self._stage.cut()
        taken, self._taken, self._events = self._taken, [], 0
        dead_letters, self._dead_letters = self._dead_letters, []
        self._last_cut = time.monotonic()
        # Its error ends the process at once: an agent that waits for batches would not notice it.
        sending = self._send_flush(flush, dead_letters, taken, self._generation)
        self._in_flight = run_beside(self._ownership, sending)

    async def _send_flush(
        self, flush: Flush[Any], dead_letters: list[Send], taken: list[Any], generation: int
    ) -> None:
        """Send the steps of a flush, then acknowledge the batches that it took."""
        written: Written = defaultdict(list)
        for step in chain([dead_letters] if dead_letters else (), flush.steps()):
            if not await self._ownership.confirm(generation):
                return
            await self._send_step(step, written)
        if not await self._ownership.confirm(generation):
            return
        flush.confirm()
        # Only now: if a rebalance has rolled the states back meanwhile, recovery must read all of
        # these records again, together with a progress that got through.
        for (table, partition), offsets in written.items():
            table.note_written(partition, offsets)
        for event in taken:
            event.ack()
            self.done[event.message.topic] += event.value.size

    async def _send_step(self, step: Sequence[Send], written: Written) -> None:
        """Send one step; add the changelog offsets of its records to `written`."""
        tables = {send.topic: send.table for send in step}
        for (topic, partition), offsets in (await self._producer.produce_step(step)).items():
            if (table := tables[topic]) is not None:
                written[table, partition] += offsets
