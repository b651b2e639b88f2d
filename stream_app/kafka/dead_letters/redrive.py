"""Dead letters on their way back: sent to their topic, then marked as done.

The guarantee: at least once. A letter is marked when the broker has acknowledged its record, so
none is lost, and the next redrive leaves it out. A crash between the two sends the letters of one
batch once more: deliveries and alerts are known by their ids and change nothing the second time;
an event counts twice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream_app import __version__
from stream_app.domain.delivery.records import Result, decode_result
from stream_app.domain.errors import KafkaUnreachableError, error_text
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.kafka.cluster.connection import (
    connect_producer,
    connection_options,
    is_refusal,
    kafka_errors,
)
from stream_app.kafka.cluster.consumers import open_topics, records_to_end, seek_to_time
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.dead_letters.writing import (
    ATTEMPT_HEADER,
    EPOCH_HEADER,
    REDRIVEN_HEADER,
    TARGET_HEADER,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from stream_app.domain.dead_letters.dead_letter import DeadLetter, Place
    from stream_app.settings import Settings

#: Letters that are sent before their marks are written: as many may be repeated after a crash.
BATCH = 200


@dataclass(frozen=True)
class Redriven:
    """A letter and the record that it becomes; `partition` None: by the key."""

    letter: DeadLetter
    topic: str
    partition: int | None
    headers: list[tuple[str, bytes]]


@dataclass(frozen=True)
class RedriveOutcome:
    """What came of one letter: the offset of its new record, or why the broker refuses it."""

    sent: Redriven
    partition: int = -1
    offset: int = -1
    problem: str = ""


def redriven(letter: DeadLetter, topic: str, partitions: int, epoch: int | None) -> Redriven:
    """Return the record that a letter becomes: its key, value and headers, one attempt more.

    It goes to the partition it came from: what `deliver` knows of a delivery, and `count` of the
    time, it knows there. That is the one of its key, unless the topic has been made anew.

    Args:
        letter: the letter.
        topic: full name of the topic it goes to.
        partitions: how many that topic has.
        epoch: of the integration of a delivery, as it is now.
    """
    ours = {ATTEMPT_HEADER: str(letter.attempt + 1).encode()}
    if epoch is not None:
        ours[EPOCH_HEADER] = str(epoch).encode()
    kept = [
        (name, value)
        for name, value in letter.headers
        if name not in (ATTEMPT_HEADER, EPOCH_HEADER)
    ]
    number = -1 if letter.original is None else letter.original.partition
    partition = number if 0 <= number < partitions else None
    return Redriven(letter, topic, partition, [*kept, *ours.items()])


def mark_headers(outcome: RedriveOutcome) -> list[tuple[str, bytes]]:
    """Return the headers of the mark of a letter that has been sent."""
    sent = outcome.sent
    target = f"{sent.topic}/{outcome.partition}/{outcome.offset}"
    return [
        (REDRIVEN_HEADER, str(sent.letter.place.offset).encode()),
        (TARGET_HEADER, target.encode()),
        ("x-app", b"stream-app"),
        ("x-app-version", __version__.encode()),
    ]


class Redriver:
    """Sends letters back and marks them.

    Raises:
        KafkaUnreachableError: the broker did not acknowledge a record; what it has acknowledged
            is marked.
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
        """Send letters and mark them. Once begun it comes to its end, also when interrupted."""
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
        marked = await asyncio.gather(*map(self._mark, accepted), return_exceptions=True)
        for place, error in enumerate(marked):
            if isinstance(error, KafkaError) and is_refusal(error):
                outcomes[outcomes.index(accepted[place])] = _without_mark(accepted[place], error)
                marked[place] = None
        unmarked = [o.sent.letter.place for o, m in zip(accepted, marked, strict=True) if m]
        failures = [one for one in (*found, *marked) if isinstance(one, BaseException)]
        if failures:
            raise _unacknowledged(failures[0], unmarked)
        return outcomes

    async def _send_one(self, sent: Redriven) -> RedriveOutcome:
        """Send one letter.

        Raises:
            KafkaError: it may be tried again.
        """
        letter = sent.letter
        try:
            metadata = await self._producer.send_and_wait(
                sent.topic,
                letter.value,
                key=letter.key,
                partition=sent.partition,
                headers=sent.headers,
            )
        except KafkaError as error:
            if not is_refusal(error):
                raise
            return RedriveOutcome(sent, problem=f"the broker refuses it: {error_text(error)}")
        return RedriveOutcome(sent, metadata.partition, metadata.offset)

    async def _mark(self, outcome: RedriveOutcome) -> None:
        letter = outcome.sent.letter
        await self._producer.send_and_wait(
            letter.place.topic,
            b"",
            key=letter.key,
            partition=letter.place.partition,
            headers=mark_headers(outcome),
        )


def _without_mark(outcome: RedriveOutcome, error: KafkaError) -> RedriveOutcome:
    return replace(
        outcome,
        problem=f"it is sent, but its topic refuses the mark that says so ({error}), so that the "
        "next redrive sends it again: see `stream-app topics check`",
    )


def _unacknowledged(error: BaseException, unmarked: Sequence[Place]) -> BaseException:
    """Return the error that says what has been done when a record was not acknowledged."""
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
    """Return those of some deliveries that have been accepted, by their results since then.

    `deliver` itself forgets a finished delivery after 7 days; its results stay as long as its
    dead letter.

    Raises:
        KafkaUnreachableError: the broker doesn't answer.
        TopicMismatchError: the topic is missing.
    """
    accepted: set[str] = set()
    if not delivery_ids:
        return accepted
    consumer = await open_topics(settings, [TopicNames(settings.topic_prefix)(Topic.RESULTS)])
    try:
        with kafka_errors(settings):
            await seek_to_time(consumer, since_ms)
            async for record in records_to_end(consumer):
                result = _result(record)
                if result and result.accepted and result.delivery_id in delivery_ids:
                    accepted.add(result.delivery_id)
    finally:
        await consumer.stop()
    return accepted


def _result(record: Any) -> Result | None:
    try:
        result = decode_result(record.value or b"")
    except DECODE_ERRORS:
        return None
    return result if isinstance(result, Result) else None
