"""`announce`: changes of the configuration become notices on `events.account`.

The broker acknowledges a notice before the state records it as written. A crash between the two
writes the same notice again, with the same id.

The topics are compacted. If an object was changed twice while no detector ran, the broker may have
kept only the last record, and there is a notice for that one alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import orjson
from aiokafka.errors import KafkaError
from faust.types import TP

from stream_app.domain.configuration.api_objects import stored_form
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.notices.announced_objects import AnnouncedCut, AnnouncedObjects
from stream_app.domain.notices.config_changes import DEFAULT_ACTOR, Difference
from stream_app.domain.notices.outgoing import Notice
from stream_app.domain.notices.signatures import NO_SIGNATURES, NoticeSigner
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.configuration.catching_up import ConfigurationSource, catch_up
from stream_app.kafka.configuration.records import ACTOR_HEADER, TOPIC_OF, id_of_key
from stream_app.kafka.engine.app import StreamApp
from stream_app.kafka.engine.flush import Flush
from stream_app.kafka.records.unreadable_batches import UnreadableBatch
from stream_app.kafka.state.send import Send
from stream_app.kafka.state.state_table import StateTable
from stream_app.logs import get_logger

log = get_logger(__name__)

#: The `config.*` topics have one partition.
PARTITION = 0
RETRY_SECONDS = 0.2
BASELINE_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Announcement:
    """A difference, with the facts that its notice needs from the record."""

    difference: Difference
    notice_id: str
    actor: str


class AnnounceStage:
    """Compares each configuration record with the one before it."""

    #: A flush writes each notice once, however long it waits, so waiting saves nothing.
    changes = 0
    hold_seconds = 0.0

    def __init__(
        self,
        table: StateTable[AnnouncedObjects],
        baselines: BaselineWriter,
        reader: ConfigurationSource,
        names: TopicNames,
        signer: NoticeSigner = NO_SIGNATURES,
    ) -> None:
        self.table = table
        self._signer = signer
        self._account_topic = names(Topic.ACCOUNT)
        self._baselines = baselines
        self._reader = reader
        self._topics = {names(topic): (topic, kind) for kind, topic in TOPIC_OF.items()}
        self._records: list[tuple[str, Any]] = []

    def steps(self, topic: str, _partition: int, records: Sequence[Any]) -> Iterator[None]:
        """Take the records of one batch; they are compared when the flush is cut."""
        self._records += ((topic, record) for record in records)
        yield

    def pass_over(self, topic: str, _partition: int, batch: UnreadableBatch) -> None:
        """Take the batch as a record without an object, in its place among the records."""
        self._records.append((topic, batch))

    async def prepare(self) -> None:
        """Wait until new clients are known, and until it is known where announcing begins."""
        await catch_up(self._reader)
        await self._baselines.wait_until_known()

    def cut(self) -> Flush[AnnouncedCut]:
        """Take all changes since the last cut, with the notices about them."""
        records, self._records = self._records, []
        state = self.table.state(PARTITION)
        found: list[Announcement] = []
        for topic, record in records:
            found += self._announcements(state, topic, record)
        notices = [
            one.difference.notice(one.notice_id, self._client(one.difference.client_id), one.actor)
            for one in found
        ]
        sends = [
            Send(self._account_topic, notice.key, self._signer.encode(notice)) for notice in notices
        ]
        return Flush(self.table, [sends], {PARTITION: state.cut()}, partial(_report, notices))

    def reset(self) -> None:
        """Forget what is not flushed; it will be read again."""
        self._records = []

    def _announcements(
        self, state: AnnouncedObjects, topic: str, record: Any
    ) -> list[Announcement]:
        """Compare a record with the object before it; return what is to be announced."""
        if not state.is_new(topic, record.offset):
            return []
        base, kind = self._topics[topic]
        number, obj = id_of_key(record.key), _object(record.value)
        if number is None or (obj is None and record.value is not None):
            # The reader of the configuration logs what is wrong with it.
            state.skip(topic, record.offset)
            return []
        if obj is not None and kind is not Kind.CLIENT:
            obj = obj | {"id": number}
        changes = state.take(topic, record.offset, number, obj)
        actor = (dict(record.headers).get(ACTOR_HEADER) or b"").decode(errors="replace")
        notice_id = f"{base}/{record.offset}"
        return [Announcement(change, notice_id, actor or DEFAULT_ACTOR) for change in changes]

    def _client(self, client_id: int) -> Mapping[str, object] | None:
        """Return a client as configured now or, if it is deleted, as last seen."""
        client = self._reader.configuration.clients.get(client_id)
        if client is not None:
            found: dict[str, object] = msgspec.to_builtins(client)
            return found
        return self.table.state(PARTITION).client(client_id)


class BaselineWriter:
    """Writes, at the very first start, that announcing begins at the present end of the topics.

    It writes at once, even if no record comes, so that a change made while no detector runs is
    announced by the next one.
    """

    def __init__(
        self, app: StreamApp, table: StateTable[AnnouncedObjects], topics: Sequence[str]
    ) -> None:
        self._app = app
        self._table = table
        self._partitions = [TP(topic, PARTITION) for topic in topics]
        self._writing: asyncio.Future[None] | None = None
        table.on_restored.append(self._restored)

    async def wait_until_known(self) -> None:
        """Wait until there is a baseline, or until the partition is lost."""
        is_current, table = self._app.ownership.is_current, self._table
        while is_current(table.generation) and table.state(PARTITION).baseline is None:  # noqa: ASYNC110 - the state has no event
            await asyncio.sleep(BASELINE_POLL_SECONDS)

    def _restored(self) -> None:
        """Write a baseline if this worker owns the partition and there is none."""
        if self._writing is not None:
            self._writing.cancel()
        self._writing = None
        is_owner = self._partitions[0] in self._app.consumer.assignment()
        if is_owner and self._table.state(PARTITION).baseline is None:
            # An error of this task ends the app, like an error of an agent.
            self._writing = self._app.add_future(self._write(self._table.generation))

    async def _write(self, generation: int) -> None:
        state, table = self._table.state(PARTITION), self._table
        key, value = state.baseline_record(await self._ends())
        if not await self._app.ownership.confirm(generation):
            return
        sent = await self._app.produce(table.changelog_topic_name, key, value, PARTITION)
        metadata = await sent
        if table.generation == generation:
            state.restore(key, value)
            table.note_written(PARTITION, [metadata.offset])
            log.info("announcing_begins", ends=orjson.loads(value))

    async def _ends(self) -> list[int]:
        while True:
            try:
                ends = await self._app.consumer.highwaters(*self._partitions)
            except KafkaError:
                await asyncio.sleep(RETRY_SECONDS)  # the worker itself reports it
            else:
                return [ends[tp] for tp in self._partitions]


def _report(notices: Sequence[Notice]) -> None:
    """Log the notices that the broker has acknowledged."""
    for notice in notices:
        log.info(
            "configuration_change_announced",
            notice_id=notice.id,
            client_id=notice.client_id,
            notification_type=notice.details["notification_type"],
        )


def _object(value: bytes | None) -> dict[str, object] | None:
    try:
        obj = orjson.loads(value or b"null")
    except orjson.JSONDecodeError:
        return None
    return stored_form(obj) if isinstance(obj, dict) else None
