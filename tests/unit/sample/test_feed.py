"""The rate of sample events, and the topics that they go to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from stream_app.domain.events.model import EventKind
from stream_app.kafka.cluster.topics import EVENT_TOPICS, Topic
from stream_app.sample.events import Sample, SampleEvents
from stream_app.sample.feed import events_at_rate, feed, topic_of


async def taken(rows: AsyncIterator[Sample]) -> list[Sample]:
    return [row async for row in rows]


def test_every_kind_of_event_has_a_topic_of_its_own() -> None:
    assert {topic_of(kind) for kind in EventKind} == set(EVENT_TOPICS)


async def test_events_come_at_the_rate_and_happen_now() -> None:
    started, before = time.monotonic(), int(time.time())
    rows = await taken(events_at_rate(SampleEvents(1), 100, asyncio.Event(), count=40))
    assert 0.35 <= time.monotonic() - started < 2
    times = {event.get("first_time") or event["request_time"] for _, _, event in rows}
    assert before <= min(times) <= max(times) <= int(time.time())


async def test_a_stop_ends_a_slow_feed_at_once() -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, stopped.set)
    started = time.monotonic()
    assert len(await taken(events_at_rate(SampleEvents(1), 0.01, stopped))) == 1
    assert time.monotonic() - started < 2


async def test_a_long_delay_is_not_made_up_for() -> None:
    rows = events_at_rate(SampleEvents(1), 100, asyncio.Event())
    await anext(rows)
    time.sleep(1.5)  # noqa: ASYNC251 - the whole process stands still, as when a computer sleeps
    started = time.monotonic()
    for _ in range(20):
        await anext(rows)
    assert time.monotonic() - started > 0.15


async def test_only_events_of_the_topic_are_made() -> None:
    rows = await taken(
        events_at_rate(SampleEvents(1), 10_000, asyncio.Event(), count=50, topic=Topic.ATTACKS)
    )
    assert {kind for kind, _, _ in rows} == {EventKind.ATTACKS}


async def test_feed_writes_each_row_to_its_topic_and_reports_the_number() -> None:
    written: list[Topic] = []
    said: list[str] = []

    async def write(topic: Topic, _key: str, _event: object) -> None:
        written.append(topic)

    await feed(
        events_at_rate(SampleEvents(1), 10_000, asyncio.Event(), count=500), write, said.append
    )
    assert len(written) == 500
    assert set(written) == set(EVENT_TOPICS)
    assert said == ["500 events, done"]
