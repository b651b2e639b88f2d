"""The loop of the pulse: a service beside the notifier's agents.

Its owner sends an event in each round, waits until `deliver` has it, looks at what the cluster
tells of all workers, and pings. A notifier that does not ping only tells the owner of deliveries
that are due here and that nobody sends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from aiokafka.errors import KafkaError
from faust.types import TP

from stream_app.domain.configuration.reserved import PULSE_INTEGRATION_ID
from stream_app.domain.errors import error_text
from stream_app.domain.notices.operator_notice import pulse_stopped
from stream_app.domain.pulse.attempts import AttemptWatch
from stream_app.domain.pulse.note import PulseNote, PulseReason, PulseStop, bounded
from stream_app.domain.pulse.probe import PULSE_HEADER, probe
from stream_app.domain.pulse.rounds import PulsePlace, PulseRounds
from stream_app.kafka.cluster.topics import TOPIC_OF_KIND, Topic, TopicNames
from stream_app.kafka.engine.app import StreamApp
from stream_app.kafka.engine.batched_sends import partition_of_key
from stream_app.logs import get_logger
from stream_app.notifier.operator_integration.notices import OperatorNotices
from stream_app.notifier.pulse.facts import FactsReader, PulseFacts
from stream_app.notifier.pulse.heartbeat import PingedHeartbeat
from stream_app.notifier.pulse.report import PulseReport
from stream_app.notifier.pulse.times import PulseTimes

log = get_logger(__name__)

#: Longest wait for the broker's acknowledgement of a record.
SEND_SECONDS = 10.0
KEY = str(PULSE_INTEGRATION_ID).encode()


class AssignedTable(Protocol):
    """The table of deliveries."""

    @property
    def generation(self) -> int:
        """The assignment that the states belong to."""

    @property
    def partitions(self) -> int:
        """How many partitions there are."""


class Pulse:
    """Pings heartbeats while this notifier owns the pulse's partition and all is well.

    Args:
        due_ms: returns since when each integration with due deliveries waits, by the steady clock.
    """

    def __init__(
        self,
        app: StreamApp,
        table: AssignedTable,
        heartbeat: PingedHeartbeat,
        watch: AttemptWatch,
        due_ms: Callable[[], Mapping[int, int]],
        write: Callable[[int, PulseNote], Awaitable[None]],
        report: PulseReport,
        operator: OperatorNotices,
    ) -> None:
        self._app = app
        self._table = table
        self._heartbeat = heartbeat
        self._watch = watch
        self._due_ms = due_ms
        self._write = write
        self._report = report
        self._operator = operator
        self._times = PulseTimes(app.settings.delivery.retry_scale)
        self._rounds = PulseRounds(self._times.interval_ms, self._times.late_ms)
        self._names = TopicNames(app.settings.topic_prefix)
        self._kinds = {self._names(topic): kind for kind, topic in TOPIC_OF_KIND.items()}
        self._worker = f"{socket.gethostname()}:{os.getpid()}"
        self._partition = partition_of_key(KEY, table.partitions)
        self._place = TP(self._names(Topic.DELIVERIES), self._partition)
        self._reader = FactsReader(app.settings, self._times.waiting_ms, app.clock.steady_ms)
        self._facts = PulseFacts((), {})
        self._facts_ms = 0
        self._send_stops: list[PulseStop] = []
        self._ping_stop: PulseStop | None = None
        #: What other notifiers have against the pulse, by their names.
        self._others: dict[str, PulseNote] = {}
        self._last_sent_ms = 0
        self._pinged_ms = 0
        self._noted_ms: int | None = None
        self._noted_reasons: set[PulseReason] = set()
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    # -- called by `deliver`

    def ended(self, delivery_id: str) -> None:
        """Note that a delivery of the pulse has come through, its state acknowledged."""
        if self._rounds.arrived(delivery_id):
            self._wake.set()

    def noted(self, note: PulseNote) -> None:
        """Take a note from the pulse's partition."""
        if not note.is_owner:
            self._others[note.worker] = note

    # -- the service

    async def start(self) -> None:
        """Start."""
        self._loop = asyncio.create_task(self._run(), name="pulse")
        self._loop.add_done_callback(_log_end)

    async def stop(self) -> None:
        """Stop at once: the next owner pings."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait({self._loop})

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            await self._step()
            wait = self._rounds.wait_ms(self._app.clock.steady_ms()) / 1000
            look = self._times.look_seconds
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(wait, look) if wait else look):
                    await self._wake.wait()

    async def _step(self) -> None:
        """Do what is due now."""
        generation = self._app.ownership.generation
        if not self._is_owner(generation):
            self._rounds.reset()
            self._report.reset()
            await self._tell_owner(generation)
            return
        now_ms = self._app.clock.steady_ms()
        if not self._rounds.wait_ms(now_ms):
            await self._begin_round(now_ms)
        elif self._rounds.wants_ping and (self._stops() or self._facts_are_old()):
            await self._read_facts()
        stops = self._stops()
        if self._rounds.wants_ping and not stops:
            await self._ping(generation)
            stops = self._stops()
        if not self._is_owner(generation):
            return
        if self._heartbeat.fault is not None:
            stops.append(self._heartbeat.fault)
        if self._report.stopped(self._app.clock.steady_ms(), stops):
            await self._tell_operator(stops)
        await self._note(stops)

    def _is_owner(self, generation: int) -> bool:
        """Tell whether this notifier pings: it has the partition, and its state is read."""
        app = self._app
        return (
            self._table.generation == generation
            and app.consumer is not None
            and self._place in app.consumer.start_positions
            and app.ownership.is_current(generation)
        )

    async def _begin_round(self, now_ms: int) -> None:
        await self._read_facts()
        self._send_stops = []
        if not self._facts.may_send:
            self._rounds.reset()  # the next look begins one
            return
        partitions = self._facts.partitions
        for place in self._rounds.begin(now_ms, self._app.clock.now_ms(), partitions):
            await self._send(place)

    async def _send(self, place: PulsePlace) -> None:
        topic, partition = place
        clock = self._app.clock
        self._last_sent_ms = max(self._last_sent_ms + 1, clock.now_ms())
        made = probe(self._kinds[topic], self._last_sent_ms)
        # Noted first: it may have come through before the broker's acknowledgement is read.
        self._rounds.sent(place, made.delivery_id, clock.steady_ms())
        headers = [(PULSE_HEADER, b"1")]
        error = await _failure(self._produce(topic, KEY, made.value, partition, headers))
        if error is not None:
            why = f"no event can be sent to {topic} partition {partition}: {error_text(error)}"
            self._send_stops.append(PulseStop(PulseReason.EVENT_NOT_SENT, why))

    async def _ping(self, generation: int) -> None:
        if not await self._app.ownership.confirm(generation) or not self._is_owner(generation):
            return
        self._ping_stop = await self._heartbeat.ping()
        if self._ping_stop is None:
            self._rounds.pinged()
            self._pinged_ms = self._app.clock.now_ms()
            is_well = self._heartbeat.fault is None
            self._report.pinged(self._app.clock.steady_ms(), self._pinged_ms, is_well=is_well)
            self._noted_ms = None

    # -- what stops it

    def _stops(self) -> list[PulseStop]:
        return [
            *self._facts.stops,
            *self._send_stops,
            *self._missing(),
            *self._waiting(),
            *(stop for note in self._valid_others() for stop in note.stops),
            *(stop for stop in (self._ping_stop,) if stop is not None),
        ]

    def _missing(self) -> Sequence[PulseStop]:
        return [
            PulseStop(
                PulseReason.EVENT_MISSING,
                f"an event sent to {topic} partition {partition} has not come through for "
                f"{wait_ms // 1000} s",
            )
            for (topic, partition), wait_ms in self._rounds.late(self._app.clock.steady_ms())
        ]

    def _waiting(self) -> Sequence[PulseStop]:
        now_ms = self._app.clock.steady_ms()
        found = self._watch.waiting(self._due_ms(), now_ms, self._times.waiting_ms)
        return [
            PulseStop(PulseReason.DELIVERIES_WAIT, f"{self._worker}: {why}")
            for why in found.values()
        ]

    def _valid_others(self) -> Collection[PulseNote]:
        """Return what other notifiers have noted lately."""
        oldest_ms = self._app.clock.now_ms() - 3 * self._times.interval_ms
        self._others = {
            name: note for name, note in self._others.items() if note.noted_at_ms >= oldest_ms
        }
        return self._others.values()

    def _facts_are_old(self) -> bool:
        return self._app.clock.steady_ms() - self._facts_ms > self._times.look_seconds * 1000

    async def _read_facts(self) -> None:
        self._facts = await self._reader.read()
        self._facts_ms = self._app.clock.steady_ms()
        self._ping_stop = None

    # -- notes

    async def _note(self, stops: Sequence[PulseStop]) -> None:
        """Write how the pulse is: after a ping, at a change, and now and then if there is none."""
        now_ms = self._app.clock.steady_ms()
        reasons = {stop.reason for stop in stops}
        is_new = self._noted_ms is None or now_ms - self._noted_ms >= 1.5 * self._times.interval_ms
        if not is_new and reasons == self._noted_reasons:
            return
        self._noted_ms, self._noted_reasons = now_ms, reasons
        await self._write_note(stops, is_owner=True)

    async def _tell_operator(self, stops: Sequence[PulseStop]) -> None:
        """Send the platform team a message, once for each time that the pulse stops."""
        # `deliver` ignores a delivery that it knows: another reason makes no second message.
        since_ms = self._report.well_ms or 0
        notice = pulse_stopped(self._worker, since_ms, self._pinged_ms, stops)
        for send in self._operator.sends(notice):
            await _failure(self._produce(send.topic, send.key, send.value))

    async def _tell_owner(self, generation: int) -> None:
        """Tell the owner, once in a round, of deliveries that nobody sends here."""
        if self._table.generation != generation or not self._app.ownership.is_current(generation):
            return
        stops = self._waiting()
        now_ms = self._app.clock.steady_ms()
        is_new = self._noted_ms is None or now_ms - self._noted_ms >= self._times.interval_ms
        if stops and is_new:
            self._noted_ms = now_ms
            await self._write_note(stops, is_owner=False)

    async def _write_note(self, stops: Sequence[PulseStop], *, is_owner: bool) -> None:
        note = PulseNote(
            worker=self._worker,
            noted_at_ms=self._app.clock.now_ms(),
            is_owner=is_owner,
            pinged_at_ms=self._pinged_ms,
            stops=bounded(stops),
        )
        await _failure(self._write(self._partition, note))

    async def _produce(self, *record: Any) -> None:
        await (await self._app.produce(*record))


def _log_end(task: asyncio.Task[None]) -> None:
    """Log that the loop has ended by itself: the heartbeat will tell a person."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("pulse_failed", error=error_text(error), exc_info=error)


async def _failure(sending: Awaitable[None]) -> KafkaError | TimeoutError | None:
    """Wait until the broker has acknowledged a record; return what prevented it."""
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await sending
    except (KafkaError, TimeoutError) as error:
        return error
    return None
