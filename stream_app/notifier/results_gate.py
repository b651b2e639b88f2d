"""Holds deliveries back after a start or a rebalance until earlier results have been read.

Another worker, or this one before a crash, may have made an attempt and written its result, which
`deliver` has not read yet. The state then says that the attempt is due; if it were made at once, it
would page twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Protocol

from aiokafka.errors import KafkaError
from faust.types import TP

from stream_app.logs import get_logger

log = get_logger(__name__)

WATCH_SECONDS = 0.5
WARN_SECONDS = 15.0


class ResultsPositions(Protocol):
    """The consumer: where a partition begins and ends, and how far it has been read."""

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Return where partitions end."""

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Return where partitions begin."""

    def done_to(self, tp: TP) -> int:
        """Return the offset before which everything in a partition is done."""


class ResultsReader(Protocol):
    """The app of the worker that reads the results."""

    @property
    def consumer(self) -> ResultsPositions:
        """The app's consumer."""

    def add_future(self, coro: Coroutine[Any, Any, None]) -> asyncio.Future[None]:
        """Run a task whose error ends the app."""


class ResultsGate:
    """Open for a partition once the results that were there when it closed have been read."""

    def __init__(self, app: ResultsReader, topic: str) -> None:
        self._app = app
        self._topic = topic
        self._ends: dict[int, int] | None = None
        self._watching: asyncio.Future[None] | None = None

    def close(self, partitions: Iterable[int], try_open: Callable[[], bool]) -> None:
        """Close for these partitions, and call `try_open` at intervals until it returns true."""
        if self._watching is not None:
            self._watching.cancel()
        self._ends = None
        tps = [TP(self._topic, partition) for partition in partitions]
        # An error of this task ends the app, as that of an agent does.
        self._watching = self._app.add_future(self._watch(tps, try_open)) if tps else None

    def is_open(self, partition: int, progress: int) -> bool:
        """Tell whether a partition whose results are read up to offset `progress` may send."""
        if self._ends is None:
            return False
        # The next offset may be the marker that ends a transaction, which is no result.
        done = max(progress + 1, self._app.consumer.done_to(TP(self._topic, partition)))
        return self._ends.get(partition, 0) <= done

    async def _watch(self, tps: list[TP], try_open: Callable[[], bool]) -> None:
        ends: dict[TP, int] = {}
        started, is_logged = time.monotonic(), False
        while True:
            try:
                ends = ends or dict(await self._app.consumer.highwaters(*tps))
                starts = await self._app.consumer.earliest_offsets(*tps)
            except KafkaError:
                pass  # the worker itself reports that the broker is away
            else:
                # Results that the topic has deleted by age cannot be read any more.
                self._ends = {
                    tp.partition: end if end > starts[tp] else 0 for tp, end in ends.items()
                }
                if try_open():
                    return
            if not is_logged and time.monotonic() - started > WARN_SECONDS:
                is_logged = True
                log.warning("delivery_results_not_read", topic=self._topic, then="waiting for them")
            await asyncio.sleep(WATCH_SECONDS)
