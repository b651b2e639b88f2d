"""Finding batches that were fetched and never reached their agent.

Faust drops what it has fetched when partitions move at the wrong moment. The agent itself notices
that with the next batch of the partition, which may be long in coming.

On a slow machine a healthy batch also waits between the fetch and the agent, and reading it again
is what a busy machine needs least. So a batch counts as lost only when its agent has been seen
idle without it several times, over a time in which the event loop had many turns.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from stream_app.kafka.engine.consumer import BatchingConsumer
from stream_app.kafka.engine.flush_loop import FlushLoop
from stream_app.kafka.engine.record_batches import BatchValue

LOOK_SECONDS = 0.5
#: How often a batch must be seen waiting for an idle agent.
LOOKS = 4
#: It must have waited this many times as long as the longest delay of the event loop meanwhile.
DELAYS = 10


@dataclass
class Suspect:
    """The oldest batch that an agent has not taken."""

    batch: BatchValue
    #: When it was first seen, by the monotonic clock.
    since: float
    looks: int = 0
    #: The longest delay of the event loop meanwhile.
    delay_seconds: float = 0.0


class LostBatches:
    """Looks at what is fetched and not taken, and has it read again when it is lost."""

    def __init__(self, consumer: BatchingConsumer, loops: Sequence[FlushLoop]) -> None:
        self._consumer = consumer
        self._loops = loops
        self._suspects: dict[int, Suspect] = {}

    async def watch(self) -> None:
        """Look again and again."""
        while True:
            planned = time.monotonic() + LOOK_SECONDS
            await asyncio.sleep(LOOK_SECONDS)
            now = time.monotonic()
            self.look(now, now - planned)

    def look(self, now: float, delay_seconds: float) -> None:
        """Look once; `delay_seconds` is how late the event loop has made this look."""
        if self._consumer.app.rebalancing:
            self._suspects.clear()
            return
        for number, loop in enumerate(self._loops):
            if not loop.is_idle:
                continue  # it may be about to take the batch
            found = self._consumer.waiting.oldest(loop.topics)
            if found is None:
                self._suspects.pop(number, None)
                continue
            partition, batch = found
            suspect = self._suspects.get(number)
            if suspect is None or suspect.batch is not batch:
                suspect = self._suspects[number] = Suspect(batch, now)
            suspect.looks += 1
            suspect.delay_seconds = max(suspect.delay_seconds, delay_seconds)
            waited = now - suspect.since
            if suspect.looks >= LOOKS and waited >= DELAYS * suspect.delay_seconds:
                self._consumer.rewind(
                    "batch_not_taken",
                    topic=partition.topic,
                    partition=partition.partition,
                    first_offset=batch.start,
                    last_offset=batch.end - 1,
                    waited_seconds=round(waited, 1),
                )
                self._suspects.clear()
                return
