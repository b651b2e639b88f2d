"""The thread in which Faust's consumer runs its client.

This relies on private methods of Faust 0.15 and aiokafka 0.14.
`tests/unit/kafka/engine/test_faust_contract.py` fails when they change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream_app.kafka.records.fetcher import READ_COMMITTED
from stream_app.kafka.records.partition_records import LeanPartitionRecords


class Fetch(dict[TP, Any]):
    """The records of a fetch, by partition; `seeks` says which positions they follow."""

    seeks = 0


class BatchingThread(driver.AIOKafkaConsumerThread):
    """A consumer thread that reads committed records only, fetches sooner, and times heartbeats."""

    logger = driver.logger

    #: Monotonic time of the last heartbeat (or joining) that the broker accepted.
    last_heartbeat = 0.0
    #: How often the positions have been set.
    seeks = 0

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = self.app.fetch_max_wait_ms  # noqa: SLF001 - hard-coded to 1,500 by the driver
        # The driver reads committed records only if it makes transactions itself. The ends of
        # partitions are then last stable offsets: what comes after those is not decided yet.
        consumer._isolation_level = READ_COMMITTED  # noqa: SLF001 - the driver's choice otherwise
        return consumer

    async def on_start(self) -> None:
        """Start the consumer, then watch its heartbeats."""
        await super().on_start()
        coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001 - keeps no time itself
        do_heartbeat = coordinator._do_heartbeat  # noqa: SLF001

        async def timed_heartbeat() -> bool:
            accepted: bool = await do_heartbeat()
            if accepted:
                self.last_heartbeat = time.monotonic()
            return accepted

        coordinator._do_heartbeat = timed_heartbeat  # noqa: SLF001

    def _stopped_set(self) -> None:
        """Tell the thread to stop, unless it has ended of itself."""
        try:
            super()._stopped_set()
        except RuntimeError:  # its loop is closed: the thread has crashed
            self._stopped.set()

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Skip Faust's check, which only logs.

        It assumes that every partition has a position, and ended workers whose fetch was just out
        of range.
        """

    def group_error(self) -> BaseException | None:
        """Return why the group does not take this member, for example for want of a right.

        aiokafka tells it to whoever reads records from the consumer itself. Faust does not.
        """
        coordinator = None if self._consumer is None else self._consumer._coordinator  # noqa: SLF001
        return getattr(coordinator, "_pending_exception", None)

    async def commit_note(self, partitions: Collection[TP], note: Callable[[str], str]) -> set[TP]:
        """Commit the committed offset of a partition again, with a note beside it.

        Args:
            partitions: the note goes to the first of these that has a committed offset. An empty
                note is written to all of them.
            note: makes the note from this member's id; an empty one removes a note.

        Returns:
            The partitions that have a note now.

        Raises:
            KafkaError: the partitions are moving, or no broker answers.
        """
        found: set[TP] = await self.call_thread(self._commit_note, partitions, note)
        return found

    async def _commit_note(self, partitions: Collection[TP], note: Callable[[str], str]) -> set[TP]:
        consumer = self._ensure_consumer()
        coordinator = consumer._coordinator  # noqa: SLF001 - committed offsets' notes are not public
        metadata = note(coordinator.member_id)
        held = sorted(tp for tp in consumer.assignment() if tp in partitions)
        committed = await coordinator.fetch_committed_offsets(held) if held else {}
        noted = [tp for tp in held if tp in committed and committed[tp].offset >= 0]
        noted = noted[:1] if metadata else noted
        if noted:
            await consumer.commit(
                {tp: OffsetAndMetadata(committed[tp].offset, metadata) for tp in noted}
            )
        return set(noted) if metadata else set()

    async def _fetch_records(self, *args: Any, **kwargs: Any) -> Fetch:
        """Return records, and the seeks before them: only this thread knows that order.

        A right that was withdrawn ends the worker.
        """
        try:
            found = Fetch(await super()._fetch_records(*args, **kwargs))
        except TopicAuthorizationFailedError as error:
            self.parent_loop.call_soon_threadsafe(self.app.fail, error)
            found = Fetch()
        found.seeks = self.seeks
        return found

    async def _seek_wait(self, consumer: Any, partitions: Mapping[TP, int]) -> None:
        """Seek, and forget what was skipped before: it belongs to no batch from there on."""
        self.seeks += 1
        for tp in partitions:
            LeanPartitionRecords.skipped.pop(tp, None)
        await super()._seek_wait(consumer, partitions)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Note that the group has just accepted this member."""
        self.last_heartbeat = time.monotonic()
        await super().on_partitions_assigned(assigned, generation_id)
