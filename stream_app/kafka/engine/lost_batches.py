"""Finding batches that were fetched and do not come to their agent.

Faust drops what it has fetched when partitions move at the wrong moment. The agent itself notices
that by the next batch of the partition, which may be long in coming.

On a slow machine a healthy batch waits, too, between the fetch and the agent, and to read again is
what a busy machine needs least. So a batch is lost only when an agent that had nothing to do has
been seen without it several times, over a time in which the event loop had many turns.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from stream_app.kafka.engine.record_batches import BatchValue

LOOK_SECONDS = 0.5
#: How often a batch must be seen to wait for an idle agent.
LOOKS = 4
#: It must wait for as many times the longest delay of the event loop in that time.
DELAYS = 10


@dataclass
class Suspect:
    """The oldest batch that an agent has not taken, since when, and in how many looks."""

    batch: BatchValue
    since: float
    looks: int = 0
    delay: float = 0.0


class LostBatches:
    """Looks at what is fetched and not taken, and has it read again when it is lost."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._suspects: dict[int, Suspect] = {}

    async def watch(self) -> None:
        """Look again and again."""
        while True:
            planned = time.monotonic() + LOOK_SECONDS
            await asyncio.sleep(LOOK_SECONDS)
            now = time.monotonic()
            self.look(now, now - planned)

    def look(self, now: float, delay: float) -> None:
        """Look once; `delay` is how late the event loop has come to it."""
        app = self._app
        if app.rebalancing:
            self._suspects.clear()
            return
        for number, loop in enumerate(app.flush_loops):
            if not loop.is_idle:
                continue  # it may come to it
            found = app.consumer.oldest_waiting(loop.topics)
            if found is None:
                self._suspects.pop(number, None)
                continue
            partition, batch = found
            suspect = self._suspects.get(number)
            if suspect is None or suspect.batch is not batch:
                suspect = self._suspects[number] = Suspect(batch, now)
            suspect.looks += 1
            suspect.delay = max(suspect.delay, delay)
            waited = now - suspect.since
            if suspect.looks >= LOOKS and waited >= DELAYS * suspect.delay:
                app.consumer.rewind(
                    "batch_not_taken",
                    topic=partition.topic,
                    partition=partition.partition,
                    first_offset=batch.start,
                    last_offset=batch.end - 1,
                    waited_seconds=round(waited, 1),
                )
                self._suspects.clear()
                return
