"""Redriving dead letters: each is sent to its topic again, then marked. Dismissing only marks.

The guarantee is at least once. A dead letter is marked when the broker has acknowledged its
record, so none is lost, and the next redrive leaves it out. After a crash between the two, one
batch is sent again: deliveries and alerts are known by their ids and change nothing the second
time, but an event counts twice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream_app import __version__
from stream_app.domain.dead_letters.dead_letter_index import DISMISSED
from stream_app.domain.delivery.records import Result, decode_result
from stream_app.domain.errors import KafkaUnreachableError, error_text
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.domain.formats import LETTER_FORMAT, LETTER_FORMAT_HEADER
from stream_app.kafka.cluster.connection import (
    connect_producer,
    connection_options,
    is_refusal,
    kafka_errors,
)
from stream_app.kafka.cluster.consumers import reading, records_to_end, seek_to_time
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.dead_letters.writing import (
    ATTEMPT_HEADER,
    EPOCH_HEADER,
    REDRIVEN_HEADER,
    TARGET_HEADER,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence

    from stream_app.domain.dead_letters.dead_letter import DeadLetter, Place
    from stream_app.settings import Settings

Batched = TypeVar("Batched")

#: Dead letters that are sent before their marks are written; a crash may repeat as many.
BATCH = 200


@dataclass(frozen=True)
class Redriven:
    """A dead letter and the record that it becomes; `partition` None: the key decides."""

    dead_letter: DeadLetter
    topic: str
    partition: int | None
    headers: list[tuple[str, bytes]]


@dataclass(frozen=True)
class RedriveOutcome:
    """The result for one dead letter: its new record's offset, or why the broker refuses it."""

    sent: Redriven
    partition: int = -1
    offset: int = -1
    problem: str = ""

    @property
    def target(self) -> str:
        """Where the new record lies."""
        return f"{self.sent.topic}/{self.partition}/{self.offset}"


def redriven(dead_letter: DeadLetter, topic: str, partitions: int, epoch: int | None) -> Redriven:
    """Return the record that a dead letter becomes: its key, value and headers, one attempt more.

    It goes to the partition it came from, because there `deliver` knows the delivery, and `count`
    the time. That is the partition of its key, unless the topic has been made anew. `epoch` is that
    of a delivery's integration now.
    """
    ours = {ATTEMPT_HEADER: str(dead_letter.attempt + 1).encode()}
    if epoch is not None:
        ours[EPOCH_HEADER] = str(epoch).encode()
    kept = [
        (name, value)
        for name, value in dead_letter.headers
        if name not in (ATTEMPT_HEADER, EPOCH_HEADER)
    ]
    number = -1 if dead_letter.original is None else dead_letter.original.partition
    partition = number if 0 <= number < partitions else None
    return Redriven(dead_letter, topic, partition, [*kept, *ours.items()])


def mark_headers(place: Place, target: str) -> list[tuple[str, bytes]]:
    """Return the headers of the mark that says where the dead letter at `place` has gone."""
    return [
        (REDRIVEN_HEADER, str(place.offset).encode()),
        (TARGET_HEADER, target.encode()),
        ("x-app", b"stream-app"),
        ("x-app-version", __version__.encode()),
        (LETTER_FORMAT_HEADER, b"%d" % LETTER_FORMAT),
    ]


async def in_batches(items: AsyncIterator[Batched]) -> AsyncIterator[list[Batched]]:
    """Yield items in lists of `BATCH`; the last one may be shorter."""
    batch: list[Batched] = []
    async for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


class Redriver:
    """Sends dead letters back and marks them.

    Raises:
        KafkaUnreachableError: the broker did not acknowledge a record. Those that it did
            acknowledge are marked.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer = AIOKafkaProducer(
            **connection_options(settings), acks="all", enable_idempotence=True, linger_ms=5
        )

    async def __aenter__(self) -> Self:
        """Connect."""
        await connect_producer(self._settings, self._producer)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._producer.stop()

    async def send(self, batch: Sequence[Redriven]) -> list[RedriveOutcome]:
        """Send dead letters and mark them; a batch that has begun is completed if interrupted."""
        task = asyncio.create_task(self._send(batch))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            raise

    async def _send(self, batch: Sequence[Redriven]) -> list[RedriveOutcome]:
        found = await asyncio.gather(*map(self._send_one, batch), return_exceptions=True)
        outcomes = [one for one in found if isinstance(one, RedriveOutcome)]
        accepted = [outcome for outcome in outcomes if not outcome.problem]
        marks = (self._mark(outcome.sent.dead_letter, outcome.target) for outcome in accepted)
        marked = await asyncio.gather(*marks, return_exceptions=True)
        for place, error in enumerate(marked):
            if isinstance(error, KafkaError) and is_refusal(error):
                outcomes[outcomes.index(accepted[place])] = _without_mark(accepted[place], error)
                marked[place] = None
        unmarked = [o.sent.dead_letter.place for o, m in zip(accepted, marked, strict=True) if m]
        failures = [one for one in (*found, *marked) if isinstance(one, BaseException)]
        if failures:
            raise _unacknowledged(failures[0], unmarked)
        return outcomes

    async def _send_one(self, sent: Redriven) -> RedriveOutcome:
        """Send one dead letter.

        Raises:
            KafkaError: it may be tried again.
        """
        dead_letter = sent.dead_letter
        try:
            metadata = await self._producer.send_and_wait(
                sent.topic,
                dead_letter.value,
                key=dead_letter.key,
                partition=sent.partition,
                headers=sent.headers,
            )
        except KafkaError as error:
            if not is_refusal(error):
                raise
            return RedriveOutcome(sent, problem=f"the broker refuses it: {error_text(error)}")
        return RedriveOutcome(sent, metadata.partition, metadata.offset)

    async def dismiss(self, batch: Sequence[DeadLetter]) -> None:
        """Mark dead letters as done without sending them.

        Raises:
            StreamAppError: the broker refuses a mark, or did not acknowledge it. The same call
                again marks the rest.
        """
        async with kafka_errors(self._settings):
            await asyncio.gather(*(self._mark(letter, DISMISSED) for letter in batch))

    async def _mark(self, dead_letter: DeadLetter, target: str) -> None:
        await self._producer.send_and_wait(
            dead_letter.place.topic,
            b"",
            key=dead_letter.key,
            partition=dead_letter.place.partition,
            headers=mark_headers(dead_letter.place, target),
        )


def _without_mark(outcome: RedriveOutcome, error: KafkaError) -> RedriveOutcome:
    return replace(
        outcome,
        problem=f"it is sent, but its topic refuses the mark that says so ({error}), so that the "
        "next redrive sends it again: see `stream-app topics check`",
    )


def _unacknowledged(error: BaseException, unmarked: Sequence[Place]) -> BaseException:
    """Return an error that says what was done before a record was not acknowledged."""
    if not isinstance(error, KafkaError):
        return error
    said = (
        f"{len(unmarked)} letters from {unmarked[0]} on are sent, but perhaps not marked: the next "
        "redrive may send them again"
        if unmarked
        else "what was sent is marked, the same command again sends the rest"
    )
    return KafkaUnreachableError(
        f"the broker did not acknowledge a record ({error_text(error)}): {said}"
    )


async def read_accepted(
    settings: Settings, delivery_ids: Collection[str], since_ms: int
) -> set[str]:
    """Return which of these deliveries have been accepted, by their results since then.

    `deliver` forgets a finished delivery after 7 days; its results stay as long as its dead letter.

    Raises:
        KafkaUnreachableError: the broker doesn't answer.
        TopicMismatchError: the topic is missing.
    """
    accepted: set[str] = set()
    if not delivery_ids:
        return accepted
    async with reading(settings, [TopicNames(settings.topic_prefix)(Topic.RESULTS)]) as consumer:
        await seek_to_time(consumer, since_ms)
        async for record in records_to_end(consumer):
            result = _result(record)
            if result and result.accepted and result.delivery_id in delivery_ids:
                accepted.add(result.delivery_id)
    return accepted


def _result(record: Any) -> Result | None:
    try:
        result = decode_result(record.value or b"")
    except DECODE_ERRORS:
        return None
    return result if isinstance(result, Result) else None
