"""Restores the states of a worker's partitions in bulk, in place of Faust's recovery.

Faust reads a changelog one record at a time, and its recovery has two faults. It takes a wait that
times out for a stop, and then ends silently. And a recovery that ends after the next rebalance has
begun declares states ready that nobody has read. Here Faust decides only when states are restored.
`changelog_reader.py` reads them at the point where Faust would ask how much there is to read.

This relies on private methods of Faust 0.15. `tests/unit/kafka/engine/test_faust_contract.py` fails
when they change.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aiokafka.errors import KafkaError
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery
from faust.types import TP
from mode import Service

from stream_app.domain.errors import StreamAppError, TopicGrownError
from stream_app.kafka.cluster.connection import connection_options, is_refusal
from stream_app.kafka.cluster.groups import note_of
from stream_app.kafka.state.changelog_reader import StaleRestoreError, restore
from stream_app.kafka.state.recovery_progress import RestoreProgress
from stream_app.kafka.state.state_table import StateTable
from stream_app.logs import get_logger

log = get_logger(__name__)

#: Pause before a broker that did not answer is asked again.
RETRY_SECONDS = 1.0
#: What has happened to a topic is found out within this time by the watch of the topics, which then
#: ends the worker with an error that says more.
STATELESS_SECONDS = 5.0
POLL_SECONDS = 0.1
#: How often a worker that is restoring leaves a note on Kafka. Most are ready before the first one.
NOTE_SECONDS = 2.0


class BulkRecovery(Recovery):
    """Reads the states of the assigned partitions itself, so that Faust has nothing to read."""

    logger = logging.getLogger("faust.stream_app")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: Progress of the newest restoring; None before the first.
        self.progress: RestoreProgress | None = None
        # Source partitions whose committed offsets carry this worker's note.
        self._noted: set[TP] = set()

    def need_recovery(self) -> bool:
        """Tell Faust that there is nothing to read record by record."""
        return False

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ARG002, ASYNC109 - Faust's
        """Wait without a limit: Faust takes a wait that times out for a stopped service.

        The calls that are waited for have timeouts of their own.
        """
        await super()._wait(coro)

    async def _build_highwaters(
        self, consumer: Any, tps: set[TP], destination: Counter[TP], title: str
    ) -> None:
        """Do nothing: the changelog reader asks where the changelogs end."""

    async def _build_offsets(
        self,
        consumer: Any,  # noqa: ARG002 - Faust's
        tps: set[TP],
        destination: Counter[TP],  # noqa: ARG002 - Faust's
        title: str,
    ) -> None:
        """Read the states here, where Faust would ask where to start reading them."""
        if title == "active":
            await self._restore(frozenset(tps))

    async def _seek_offsets(
        self, consumer: Any, tps: set[TP], offsets: Counter[TP], title: str
    ) -> None:
        """Do nothing: Faust's consumer reads no changelog."""

    async def _restore(self, tps: frozenset[TP]) -> None:
        app, generation = self.app, self._generation_id
        # Copies: the next rebalance changes these objects before it cancels this call.
        tables = {tp: self.tp_to_table[tp] for tp in tps}
        if app.state_formats is not None:
            tables[app.state_formats.place] = app.state_formats
        epochs = {table: table.epoch for table in self.tables.values()}

        def is_current() -> bool:
            return app.consumer_generation_id == generation and all(
                table.epoch == epoch for table, epoch in epochs.items()
            )

        for table in self.tables.values():
            if table.stateless:
                await _watch(is_current, STATELESS_SECONDS)
                app.fail(_stateless_error(table.stateless[0], table.changelog_topic_name))
                return
        progress = self.progress = RestoreProgress()
        is_read = asyncio.Event()
        noting = asyncio.create_task(self._note_progress(progress, is_read))
        try:
            if not await self._read(tables, is_current, progress):
                return
            is_read.set()
            # The note's last commit must come before the agents commit their progress.
            await noting
        finally:
            noting.cancel()
        for table, epoch in epochs.items():
            table.note_read(epoch, generation)

    async def _read(
        self,
        tables: Mapping[TP, StateTable[Any]],
        is_current: Callable[[], bool],
        progress: RestoreProgress,
    ) -> bool:
        """Read the states; return False if they cannot be read, after failing the worker."""
        app = self.app
        while True:
            if not is_current():
                raise RebalanceAgain
            try:
                await restore(connection_options(app.settings), tables, is_current, progress)
            except StaleRestoreError:
                # CancelledError would end the recovery for good.
                raise RebalanceAgain from None
            except StreamAppError as error:
                app.fail(error)
                return False
            except (KafkaError, OSError) as error:
                if is_refusal(error):
                    app.fail(error)
                    return False
                why = str(error) or type(error).__name__
                log.warning("state_not_read", why=why, then="trying again")
            else:
                return True
            await asyncio.sleep(RETRY_SECONDS)

    async def _note_progress(self, progress: RestoreProgress, is_read: asyncio.Event) -> None:
        """Note on Kafka that this worker is restoring, for `status`; remove the note at the end.

        Nothing is consumed meanwhile, so the committed offsets stay the same. If a note cannot be
        written, the worker goes on without it.
        """
        consumer, topics = self.app.consumer, self.app.batched_topics
        while not await _is_set_within(is_read, NOTE_SECONDS):
            with contextlib.suppress(KafkaError, OSError):
                sources = {tp for tp in consumer.assignment() if tp.topic in topics}
                self._noted = await consumer.commit_note(sources, partial(note_of, str(progress)))
        if self._noted:
            with contextlib.suppress(KafkaError, OSError):
                self._noted = await consumer.commit_note(self._noted, lambda _: "")

    @Service.task  # type: ignore[untyped-decorator]
    async def _slurp_changelogs(self) -> None:
        """Do nothing: no changelog record comes through Faust."""

    @Service.task  # type: ignore[untyped-decorator]
    async def _publish_stats(self) -> None:
        """Do nothing: the changelog reader reports its progress."""


async def _watch(is_current: Callable[[], bool], seconds: float) -> None:
    """Wait some seconds, or until the partitions are being reassigned.

    Raises:
        RebalanceAgain: they are.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not is_current():
            raise RebalanceAgain
        await asyncio.sleep(min(seconds, POLL_SECONDS))


def _stateless_error(tp: TP, changelog: str) -> TopicGrownError:
    """Return the error for a source partition that this worker has got without its state.

    Faust keeps topics together that have equally many partitions. So this happens when one of them
    has got more, and before the workers have ended for it.
    """
    return TopicGrownError(
        f"{tp.topic} partition {tp.partition} is assigned without its state in {changelog}: one of "
        "these topics has got more partitions. Start the worker again"
    )


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait some seconds for an event; tell whether it is set."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


class BulkTables(TableManager):
    """Faust's tables, with the recovery above."""

    logger = logging.getLogger("faust.stream_app")

    _recovery: Any

    @property
    def recovery(self) -> BulkRecovery:
        """Return the recovery service of these tables."""
        if self._recovery is None:
            self._recovery = BulkRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        found: BulkRecovery = self._recovery
        return found
