"""Has an alert closed when its episode is over.

It looks at the open alerts of this worker's partitions every few seconds, in memory. Only while one
is due does it ask the brokers whether the silence is real (`barrier.py`). Then the owner of the
partition writes the delivery that closes the alert. What is written twice has the same id, and a
close that is overtaken by a further window ends without a request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import Protocol

from stream_app.domain.delivery.records import close_of, encode_delivery
from stream_app.domain.errors import KafkaRefusedError, StreamAppError
from stream_app.domain.formats import format_headers
from stream_app.kafka.cluster.topics import Topic
from stream_app.kafka.configuration.view import Configuration
from stream_app.kafka.engine.ownership import Ownership, run_beside
from stream_app.kafka.state.send import Send
from stream_app.logs import get_logger
from stream_app.metrics import Metrics
from stream_app.notifier.closing.barrier import Barrier, OpenTransactions, Passage
from stream_app.notifier.closing.due_alerts import (
    AlertPlace,
    Clock,
    DueAlerts,
    OverAlert,
    SilenceClock,
)
from stream_app.notifier.closing.positions import GroupPositions
from stream_app.notifier.closing.wait import ClosesWait
from stream_app.notifier.reconcile import DeliveryStates

log = get_logger(__name__)

LOOK_SECONDS = 2.0
#: The same where waits are shortened.
LEAST_SECONDS = 0.2
#: Most alerts that are looked at for one barrier, and most closes that are written at once.
MOST_DUE, MAX_CLOSES = 5000, 500

#: Sends records; done when the broker has acknowledged them.
SendRecords = Callable[[Sequence[Send]], Awaitable[object]]


class AskedCluster(Protocol):
    """The brokers: `Cluster`."""

    async def positions(self, passage: Passage) -> GroupPositions:
        """Ask for the positions of a passage."""

    async def close(self) -> None:
        """Disconnect."""


class SilenceCheck:
    """A service beside the agents.

    Args:
        way: from an event to a delivery.
        topic: full name of the topic that they are written to.
        scale: a factor on all waits, 1 except in tests.
        wall_ms: this machine's clock, Unix ms.
    """

    def __init__(
        self,
        table: DeliveryStates,
        ownership: Ownership,
        cluster: AskedCluster,
        way: Sequence[Passage],
        send: SendRecords,
        topic: str,
        clock: Clock,
        configuration: Configuration,
        scale: float,
        metrics: Metrics,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._table = table
        self._ownership = ownership
        self._cluster = cluster
        self._way = tuple(way)
        self._send = send
        self._topic = topic
        self._headers = format_headers(Topic.DELIVERIES, is_newest=True)
        self._clock = clock
        self._times = SilenceClock(clock, wall_ms)
        self._alerts = DueAlerts(configuration, scale)
        self._look_seconds = max(LOOK_SECONDS * scale, LEAST_SECONDS)
        self._configuration = configuration
        self._metrics = metrics
        self._transactions = OpenTransactions()
        self._wait = ClosesWait(clock.steady_ms)
        self._barrier: Barrier | None = None
        #: Partition -> its time when the barrier was begun.
        self._begun_ms: Mapping[int, int] = {}
        #: Where the alerts are that were due then.
        self._begun_with: Collection[AlertPlace] = ()
        #: The alerts as they were when their closes were written, which `deliver` has yet to read.
        self._written: dict[AlertPlace, OverAlert] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start to look."""
        self._task = run_beside(self._ownership, self._run(), "silence check")

    async def stop(self) -> None:
        """Stop looking; the next owner goes on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._cluster.close()

    async def _run(self) -> None:
        await self._check_rights()
        while True:
            await asyncio.sleep(self._look_seconds)
            await self.look()

    async def _check_rights(self) -> None:
        """Ask once what is asked later, since a right that is missing would show only then."""
        try:
            for passage in self._way:
                await self._cluster.positions(passage)
        except KafkaRefusedError as error:
            then = "alerts with close_after_seconds stay open until the user has the right"
            log.warning("closes_refused", why=str(error), then=then)
        except StreamAppError:
            pass  # the worker itself reports that the broker is away
        finally:
            await self._cluster.close()

    async def look(self) -> None:
        """Look at all open alerts, and have closed what is over."""
        generation = self._table.generation
        if generation < 0 or not self._ownership.is_current(generation):
            self._metrics.closes_waiting.set(None)
            return
        states = self._table.states
        self._written = {at: one for at, one in self._written.items() if self._is_as_it_was(one)}
        now_ms = {p: self._times.now_ms(p, state.now_ms) for p, state in states.items()}
        due = self._due(now_ms)
        self._metrics.closes_waiting.set(len(due))
        if not due:
            self._barrier = None
            self._wait.end()
            await self._cluster.close()
            return
        if self._barrier is None:
            self._barrier = Barrier(self._way, self._transactions)
            self._begun_ms, self._begun_with = now_ms, {one.place for one in due}
        if await self._has_passed(self._barrier, len(due)):
            self._wait.end()
            await self._close(generation)

    def _due(self, now_ms: Mapping[int, int]) -> list[OverAlert]:
        """Return alerts that are over by these times, without those just written as closed."""
        found = self._alerts.find(self._table.states, now_ms)
        return list(islice((one for one in found if one.place not in self._written), MOST_DUE))

    async def _has_passed(self, barrier: Barrier, waiting: int) -> bool:
        is_lasting = False
        try:
            why = await self._obstacle(barrier)
        except StreamAppError as error:
            why, is_lasting = str(error), isinstance(error, KafkaRefusedError)
        if why is not None:
            self._wait.note(waiting, why, is_lasting=is_lasting)
        return why is None

    async def _obstacle(self, barrier: Barrier) -> str | None:
        """Go on as far as possible; return what is in the way, None if all is passed."""
        while (passage := barrier.passage) is not None:
            committed, ends = await self._cluster.positions(passage)
            if (why := barrier.look(committed, ends, self._clock.steady_ms())) is not None:
                return why
        return None

    async def _close(self, generation: int) -> None:
        """Write the closes of what was due when the barrier was begun, and still is."""
        if not await self._ownership.confirm(generation):
            return
        if not self._ownership.is_current(generation) or self._table.generation != generation:
            return
        over = [one for one in self._due(self._begun_ms) if one.place in self._begun_with]
        over = over[:MAX_CLOSES]  # the others are due for the next barrier
        await self._send([self._record(one) for one in over])
        self._written |= {one.place: one for one in over}
        self._barrier = None

    def _is_as_it_was(self, one: OverAlert) -> bool:
        state = self._table.states.get(one.partition)
        return state is not None and state.opened.values.get(one.alert.alias) is one.alert

    def _record(self, one: OverAlert) -> Send:
        number = one.alert.integration_id
        integration = self._configuration.integrations[number]
        value = encode_delivery(close_of(one.alert, integration.alert))
        return Send(self._topic, str(number).encode(), value, one.partition, self._headers)
