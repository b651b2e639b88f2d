"""Sends sample events at a given rate, to Kafka or to another writer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream_app.domain.errors import KafkaUnreachableError, error_text
from stream_app.domain.events.model import EventKind
from stream_app.kafka.cluster.connection import (
    connection_options,
    kafka_error,
    resolve_bootstrap,
)
from stream_app.kafka.cluster.other_prefixes import require_topics
from stream_app.kafka.cluster.topics import EVENT_TOPICS, Topic, TopicNames
from stream_app.sample.events import Sample, SampleEvent, SampleEvents
from stream_app.settings import Settings

PROGRESS_SECONDS = 5.0
#: A longer delay is not made up for: the computer was suspended, or is too slow.
LATE_SECONDS = 1.0
#: The time that a broker has to acknowledge an event.
ACKNOWLEDGE_MS = 10_000
STOP_SECONDS = 3.0

#: Takes one event: its topic, its key and itself.
Write = Callable[[Topic, str, SampleEvent], Awaitable[None]]


def topic_of(kind: EventKind) -> Topic:
    """Return the topic of a kind of event."""
    return Topic(f"events.{kind}")


async def events_at_rate(
    source: SampleEvents,
    rate: float,
    stopped: asyncio.Event,
    *,
    count: int | None = None,
    topic: Topic | None = None,
) -> AsyncIterator[Sample]:
    """Yield events of `topic` (None: of all) at `rate` a second, until `count` or `stopped`."""
    due, number = time.monotonic(), 0
    while number != count and not stopped.is_set():
        wait = due - time.monotonic()
        if wait < -LATE_SECONDS:
            due -= wait
        with contextlib.suppress(TimeoutError):
            # Without a wait it still yields to the event loop, which must notice a signal.
            await (asyncio.wait_for(stopped.wait(), wait) if wait > 0 else asyncio.sleep(0))
        if stopped.is_set():
            return
        row = source.next(int(time.time()))
        while topic is not None and topic_of(row[0]) is not topic:
            row = source.next(int(time.time()))
        due, number = due + 1 / rate, number + 1
        yield row


async def feed(rows: AsyncIterator[Sample], write: Write, report: Callable[[str], None]) -> None:
    """Write all rows, and report the number of them every few seconds and at the end."""
    number, reported, last = 0, 0, time.monotonic()
    async for kind, key, event in rows:
        await write(topic_of(kind), key, event)
        number += 1
        if (passed := time.monotonic() - last) >= PROGRESS_SECONDS:
            report(f"{number} events ({(number - reported) / passed:.0f}/s)")
            reported, last = number, last + passed
    report(f"{number} events, done")


@contextlib.asynccontextmanager
async def kafka_writer(settings: Settings) -> AsyncIterator[Write]:
    """Yield a function that writes events to their topics; all are acknowledged at the end.

    Raises:
        KafkaUnreachableError: no broker answers, or one did not acknowledge an event.
        TopicMismatchError: a topic does not exist.
    """
    names = TopicNames(settings.topic_prefix)
    # A producer would wait long for a topic that is missing, and then not name it.
    await require_topics(settings, [names(topic) for topic in EVENT_TOPICS])
    failures: list[BaseException] = []

    def note(sent: asyncio.Future[Any]) -> None:
        if not sent.cancelled() and (error := sent.exception()) is not None:
            failures.append(error)

    def check() -> None:
        if failures:
            raise failures[0]

    async def write(topic: Topic, key: str, event: SampleEvent) -> None:
        check()
        sent = await producer.send(names(topic), orjson.dumps(event), key=key.encode())
        sent.add_done_callback(note)

    producer = AIOKafkaProducer(
        **connection_options(settings),
        acks="all",
        enable_idempotence=True,
        linger_ms=20,
        request_timeout_ms=ACKNOWLEDGE_MS,
    )
    try:
        await producer.start()
        try:
            yield write
            async with asyncio.timeout(ACKNOWLEDGE_MS / 1000):
                await producer.flush()
            check()
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await producer.stop()
    except (KafkaError, TimeoutError) as error:
        if (refused := kafka_error(resolve_bootstrap(settings), error)) is not None:
            raise refused from error
        raise KafkaUnreachableError(
            f"Kafka did not acknowledge an event ({error_text(error)}): check that it "
            "runs and that STREAM_APP_KAFKA__BOOTSTRAP_SERVERS is right"
        ) from error
